// Answering what a machine asked for: with a passkey, or with "This wasn't me".

import { $, Refusal, idle, on, post, run, sentence, turn, wanted } from "./base.js";
import { make, stop, use, usualName } from "./passkey.js";

const ceremony = `/v1/ceremonies/${encodeURIComponent($("ask").dataset.ceremony)}`;

function done(heading, text) {
  $("done-heading").textContent = heading;
  $("done-text").textContent = text;
  turn("done");
}

const loopback = /^http:\/\/127\.0\.0\.1:[0-9]{1,5}\//;

// leave goes back to the program that waits on this machine, and nowhere else.
function leave(to) {
  if (!loopback.test(to)) {
    throw new Refusal("The server wants to lead this page to another machine, which it must not.", "tell an administrator");
  }
  done("Done", "Your terminal goes on by itself. You can close this window.");
  location.replace(to);
}

let creation = null;

on("confirm", "click", async () => {
  const { options, create } = await post(`${ceremony}/begin`, {});
  // Who has just proved to be there is not asked for it again.
  const answer = create ? { create: { options: create } } : await post(`${ceremony}/finish`, { credential: await use(options, "stop") });
  if (answer.create) {
    creation = answer.create.options;
    turn("make");
  } else if (answer.redirect) {
    leave(answer.redirect);
  } else {
    done("Done", `${sentence(answer.done)} You can close this window.`);
  }
});

$("stop").addEventListener("click", stop);

// Denying goes before everything else: it ends a wait for the passkey first.
$("deny").addEventListener("click", async () => {
  stop();
  await idle();
  run(async () => {
    const answer = await post(`${ceremony}/deny`, {});
    done("Refused", answer.done ? sentence(answer.done) : "The machine that asked got nothing. If this keeps happening, tell your administrator. You can close this window.");
  });
});

if ($("sso")) {
  on("sso", "click", async () => {
    const { location: to } = await post(`${ceremony}/sso`, {});
    if (!loopback.test(to) && !/^https:\/\/[^/]/.test(to)) throw new Refusal("The address of the company's sign-in is not an https address.", "tell an administrator");
    location.assign(to);
  });
}

if ($("register")) {
  $("name").value = usualName();
  on("register", "submit", async () => {
    const name = wanted("name", "The passkey needs a name.");
    const credential = await make(creation, "stop-make");
    const answer = await post(`${ceremony}/register`, { name, credential });
    done("Passkey added", `${sentence(answer.done)} You can close this window.`);
  });
  $("stop-make").addEventListener("click", stop);
}
