// Coming back from the company's provider. The provider's redirect comes from
// another site, so that the browser sends no strict cookie with it; what this page
// sends comes from here, and carries it. That is why the address's parameters are
// handed on by a script and not read where the page is served.

import { $, Refusal, on, post, run, turn, wanted } from "./base.js";
import { stop, use } from "./passkey.js";

const answer = new URLSearchParams(location.search);
// The code must not stay in the address, nor in the history.
history.replaceState(null, "", location.pathname);

let ceremony = "";

function done(heading, text) {
  $("done-heading").textContent = heading;
  $("done-text").textContent = text;
  turn("done");
}

// go follows what became of it: back to the program that waits on this machine,
// and nowhere else; or to a second factor.
function go(outcome) {
  if (outcome.second) {
    ceremony = `/v1/ceremonies/${encodeURIComponent(outcome.second.id)}`;
    $("handle").textContent = outcome.second.handle;
    $("passkey").hidden = !outcome.second.passkey;
    $("app").hidden = !outcome.second.totp;
    turn("second");
    return;
  }
  if (!/^http:\/\/127\.0\.0\.1:[0-9]{1,5}\//.test(outcome.redirect ?? "")) {
    throw new Refusal("The server wants to lead this page to another machine, which it must not.", "tell an administrator");
  }
  done("Done", "Your terminal goes on by itself. You can close this window.");
  location.replace(outcome.redirect);
}

on("use", "click", async () => {
  const { options } = await post(`${ceremony}/begin`, {});
  go(await post(`${ceremony}/finish`, { credential: await use(options, "stop") }));
});
$("stop").addEventListener("click", stop);

on("app", "submit", async () => {
  go(await post(`${ceremony}/code`, { code: wanted("code", "Type the code that the app shows.") }));
});

run(async () => {
  try {
    go(
      await post("/v1/sso/finish", {
        state: answer.get("state") ?? "",
        code: answer.get("code") ?? "",
        issuer: answer.get("iss") ?? "",
        error: answer.get("error") ?? "",
      }),
    );
  } catch (refused) {
    $("moment").hidden = true; // there is nothing to wait for any more
    throw refused;
  }
});
