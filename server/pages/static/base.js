// What the pages of all ceremonies do alike: talk to the API, say what happened
// and never let two acts run at once. Whatever comes from the server or from a
// person is written with textContent, so that none of it is read as markup.

export const $ = (id) => document.getElementById(id);

// A Refusal is an error with a sentence for the person and what to do next.
export class Refusal extends Error {
  constructor(message, hint = "") {
    super(message);
    this.hint = hint;
  }
}

// post sends one JSON request to the API, which answers in JSON: what was asked
// for, or problem+json (RFC 9457) with detail, hint and retry_after in seconds.
export async function post(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Refusal("The server can't be reached.", "look at your network connection, then try again");
  }
  let answer;
  try {
    answer = await response.json();
  } catch {
    throw new Refusal("The server gave an answer that this page can't read.", "try again in a minute, then tell an administrator");
  }
  if (!response.ok) {
    throw new Refusal(sentence(answer.detail || "The server refused, and did not say why"), next(answer));
  }
  return answer;
}

function next(problem) {
  if (problem.hint) return problem.hint;
  if (problem.retry_after > 0) return `try again in ${problem.retry_after} seconds`;
  return "";
}

// sentence makes one of an error's text, which begins small and ends without a
// full stop.
export function sentence(text) {
  const t = String(text).trim();
  return t.charAt(0).toUpperCase() + t.slice(1) + (/[.!?]$/.test(t) ? "" : ".");
}

// fail shows why something did not work, and moves the focus there.
export function fail(error) {
  const known = error instanceof Refusal;
  $("notice-text").textContent = known ? error.message : "Something went wrong on this page.";
  $("notice-next").textContent = known ? error.hint : "load the page again; if that does not help, tell an administrator";
  $("notice-hint").hidden = known && !error.hint;
  $("notice").hidden = false;
  $("notice").focus();
  if (!known) console.error(error);
}

// status says what is going on, without moving the focus.
export function status(text) {
  $("status").textContent = text;
}

// turn shows one section in place of all others, and begins it for a keyboard and
// a screen reader at its heading.
export function turn(id) {
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== id;
  const heading = $(id).querySelector("h1");
  document.title = `${heading.textContent} · VaultPAM`;
  heading.focus();
}

let running = null;

// run does one act at a time. What else is pressed meanwhile does nothing; the
// buttons stay as they are, so that the focus stays where it is.
export function run(work) {
  if (running) return running;
  $("notice").hidden = true;
  $("main").setAttribute("aria-busy", "true");
  running = (async () => {
    try {
      await work();
    } catch (error) {
      fail(error);
    } finally {
      running = null;
      $("main").setAttribute("aria-busy", "false");
      status("");
    }
  })();
  return running;
}

// idle resolves when nothing runs any more.
export const idle = () => running ?? Promise.resolve();

// on runs an act when a button is pressed or a form is sent.
export function on(id, event, work) {
  $(id).addEventListener(event, (e) => {
    e.preventDefault();
    run(work);
  });
}

// copy puts text on the clipboard, and says so.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    throw new Refusal("The browser does not let this page copy.", "mark the text and copy it by hand");
  }
}

// wanted is what somebody typed, which may not be nothing.
export function wanted(id, missing) {
  const field = $(id);
  const value = field.value.trim();
  field.setAttribute("aria-invalid", String(value === ""));
  if (value === "") throw new Refusal(missing);
  return value;
}
