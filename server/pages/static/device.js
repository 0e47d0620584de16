// Finding the ceremony of a code that another machine shows.

import { $, Refusal, on, post, wanted } from "./base.js";

// The code is not taken from the address: a link with a code in it is a trap.
on("find", "submit", async () => {
  const typed = wanted("code", "Type the code that the machine shows.");
  const { id } = await post("/v1/device/find", { code: typed.toUpperCase() });
  if (!/^[A-Za-z0-9_-]+$/.test(id)) throw new Refusal("The server gave an answer that this page can't read.", "tell an administrator");
  location.assign(`/signin/${id}`);
});

$("code").focus();
