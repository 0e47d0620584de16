// Using an invitation: a passkey or an authenticator app, then the recovery codes,
// then the command to type next.

import { $, Refusal, copy, on, post, run, status, turn, wanted } from "./base.js";
import { make, stop, supported, usualName } from "./passkey.js";

// The link is https://HOST/enroll#TOKEN[.PIN], token and pin in base64url. The
// fragment is no part of a request; it leaves the address bar and the history
// before anything else happens.
const [token, pin] = location.hash.slice(1).split(".");
history.replaceState(null, "", location.pathname);

// The API takes bytes in base64 with padding.
const invitation = token.replaceAll("-", "+").replaceAll("_", "/") + "=".repeat((4 - (token.length % 4)) % 4);

let passkey = null;

async function begin() {
  if (!/^[A-Za-z0-9_-]{43}$/.test(token)) {
    throw new Refusal("This link is not a whole invitation.", "copy the whole link, with everything behind “#”; where you opened it before, open it again from the mail or chat");
  }
  status("Reading the invitation.");
  const answer = await post("/v1/enroll/begin", { token: invitation });
  passkey = answer.passkey ?? null;
  $("handle").textContent = answer.handle;
  $("expires").dateTime = answer.expires;
  $("expires").textContent = new Date(answer.expires).toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
  $("secret").textContent = answer.secret.replace(/(.{4})(?=.)/g, "$1 ");
  if (answer.uri.startsWith("otpauth://")) $("uri").href = answer.uri;
  if (answer.qr) draw(answer.qr);
  offer(answer.passkey_refusal);
  turn("choose");
}

// offer shows the passkey's form, or why there is none.
function offer(refusal) {
  const reason = refusal || $("passkey-refusal").textContent || (supported() ? "" : "This browser can't use passkeys here.");
  const able = passkey !== null && !reason;
  $("passkey").hidden = !able;
  $("passkey-refusal").hidden = able;
  $("passkey-refusal").textContent = able ? "" : reason || "This server offers no passkey.";
  $("totp").open = !able;
  $("name").value = usualName();
}

// draw makes a picture of the rows of a QR code, with its quiet zone.
function draw(rows) {
  const quiet = 4;
  const size = rows.length + 2 * quiet;
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  const dark = (row, y) => Array.from(row, (bit, x) => (bit === "1" ? `M${x + quiet} ${y + quiet}h1v1h-1z` : "")).join("");
  path.setAttribute("d", rows.map(dark).join(""));
  $("qr").setAttribute("viewBox", `0 0 ${size} ${size}`);
  $("qr").replaceChildren(path);
  $("qr").removeAttribute("hidden");
}

// enrolled shows what there is to keep, then the command to type. Who has no passkey
// says who they are: their browser can't.
function enrolled(answer, flags) {
  $("codes-handle").textContent = answer.handle;
  $("code-list").replaceChildren(
    ...answer.recovery_codes.map((text) => {
      const item = document.createElement("li");
      item.appendChild(document.createElement("code")).textContent = text;
      return item;
    }),
  );
  $("command").textContent = `vaultpam login --server ${$("choose").dataset.server}${pin ? ` --pin ${pin}` : ""}${flags}`;
  turn("codes");
}

on("passkey", "submit", async () => {
  const name = wanted("name", "The passkey needs a name.");
  const credential = await make(passkey.options, "stop");
  enrolled(await post("/v1/enroll/passkey", { id: passkey.id, name, credential }), "");
});
$("stop").addEventListener("click", stop);

on("finish", "submit", async () => {
  const code = wanted("code", "Type the six digits that the app shows now.");
  const answer = await post("/v1/enroll/finish", { token: invitation, code });
  enrolled(answer, ` --handle ${answer.handle} --totp`);
});

on("copy", "click", async () => {
  await copy(Array.from($("code-list").children, (item) => item.textContent).join("\n") + "\n");
  $("copy").textContent = "Copied";
});
$("print").addEventListener("click", () => window.print());
$("kept").addEventListener("change", () => {
  $("go-on").disabled = !$("kept").checked;
});
$("go-on").addEventListener("click", () => {
  $("code-list").replaceChildren();
  turn("next");
});
on("copy-command", "click", async () => {
  await copy($("command").textContent);
  $("copy-command").textContent = "Copied";
});

run(begin);
