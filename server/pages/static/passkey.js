// Making and using passkeys (W3C Web Authentication, level 3): options come from
// the API in the form of its section 5.1.8 and 5.1.9, answers go back as
// RegistrationResponseJSON and AuthenticationResponseJSON.

import { $, Refusal, status } from "./base.js";

const decode = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const encode = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// supported reports whether this browser knows passkeys, on this kind of address.
export const supported = () => Boolean(window.PublicKeyCredential && navigator.credentials);

// usualName is what a passkey is called whose owner types nothing else.
export function usualName() {
  const system = navigator.userAgentData?.platform;
  return system ? `Passkey on ${system}` : "Passkey";
}

const described = (list) => (list ?? []).map((c) => ({ ...c, id: decode(c.id) }));

// The browser's own parsers know extensions that we don't; older ones have none.
function creation(options) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) return PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return {
    ...options,
    challenge: decode(options.challenge),
    user: { ...options.user, id: decode(options.user.id) },
    excludeCredentials: described(options.excludeCredentials),
  };
}

function request(options) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) return PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return { ...options, challenge: decode(options.challenge), allowCredentials: described(options.allowCredentials) };
}

// json is what toJSON says, or would: password managers that stand in for the
// browser hand out objects on which it throws.
function json(credential, response) {
  try {
    return credential.toJSON();
  } catch {
    return {
      id: credential.id,
      rawId: encode(credential.rawId),
      type: credential.type,
      authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
      clientExtensionResults: credential.getClientExtensionResults(),
      response: response(credential.response),
    };
  }
}

const attested = (r) => ({
  clientDataJSON: encode(r.clientDataJSON),
  attestationObject: encode(r.attestationObject),
  transports: r.getTransports?.() ?? [],
});

const asserted = (r) => ({
  clientDataJSON: encode(r.clientDataJSON),
  authenticatorData: encode(r.authenticatorData),
  signature: encode(r.signature),
  userHandle: r.userHandle ? encode(r.userHandle) : undefined,
});

let waiting = null;

// stop ends the wait for a passkey, if there is one.
export function stop() {
  waiting?.abort();
}

// ask waits for the browser and the person. The button stop ends the wait.
async function ask(stopButton, ceremony) {
  if (!supported()) throw new Refusal(...sentences.make.NoPasskeys());
  waiting = new AbortController();
  $(stopButton).hidden = false;
  status("Waiting for the passkey. Your browser shows what to do.");
  try {
    return await ceremony(waiting.signal);
  } finally {
    waiting = null;
    $(stopButton).hidden = true;
  }
}

// make makes a passkey.
export async function make(options, stopButton) {
  try {
    const made = await ask(stopButton, (signal) => navigator.credentials.create({ publicKey: creation(options), signal }));
    return json(made, attested);
  } catch (error) {
    throw explained(error, "make", options.rp?.id);
  }
}

// use signs a challenge with a passkey.
export async function use(options, stopButton) {
  try {
    const used = await ask(stopButton, (signal) => navigator.credentials.get({ publicKey: request(options), signal }));
    return json(used, asserted);
  } catch (error) {
    throw explained(error, "use", options.rpId);
  }
}

function explained(error, doing, name) {
  if (error instanceof Refusal) return error;
  const say = sentences[doing][error?.name] ?? sentences.other;
  return new Refusal(...say(name || "this server", error?.name || "nothing"));
}

const wrongAddress = (name) => [
  `The browser refuses passkeys here, because this address is not that of ${name}.`,
  `open the page at https://${name}/, not by an IP address or another name`,
];
const stopped = () => ["Stopped. Nothing was sent.", "begin again when you are ready"];
const noPasskeys = () => [
  "This browser can't use passkeys.",
  "use a current browser at an https address, or an authenticator app",
];

// sentences say what an exception of WebAuthn means to the person. The
// specification hides on purpose whether there was no passkey or no consent.
const sentences = {
  make: {
    NoPasskeys: noPasskeys,
    NotAllowedError: () => [
      "No passkey was made: it was cancelled, it took too long, or the device could not tell that it was you.",
      "try again; a security key needs a PIN, a computer a screen lock",
    ],
    InvalidStateError: () => [
      "This device or security key already holds a passkey for you here.",
      "use another one, or go on with the passkey that you have",
    ],
    ConstraintError: () => [
      "This device can't tell that it is you, which is needed here.",
      "set a PIN on the security key, or a screen lock on the device, then try again",
    ],
    NotSupportedError: () => [
      "This device or security key can't make a passkey of a kind that the server accepts.",
      "try another device, or use an authenticator app instead",
    ],
    SecurityError: wrongAddress,
    AbortError: stopped,
  },
  use: {
    NotAllowedError: (name) => [
      "No passkey was used: it was cancelled, it took too long, or there is none for you on this device.",
      `try again; a passkey for ${name} on a phone or security key is offered by the browser's window too`,
    ],
    InvalidStateError: () => ["This device has no passkey that could be used here.", "use the device on which you made one"],
    NotSupportedError: () => ["This browser can't do what the server asks of the passkey.", "use a current browser"],
    SecurityError: wrongAddress,
    AbortError: stopped,
  },
  other: (name, what) => [`The browser could not finish (${what}).`, "try again, or use another browser"],
};
