// Package pages is what a browser shows of the sign-in ceremonies: enrolling from
// an invitation, signing in, confirming with a fresh touch, adding a passkey, and
// the code of a machine that has no browser.
//
// A page is written from what the server knows, never from what stands in the
// address; everything else it asks of the API as the person acts. It loads nothing
// from anywhere else, runs no script and no style that is not a file of this
// package, and writes nothing that it is told as markup: the content security
// policy holds all three, even where a template or a script is wrong.
//
// What the scripts ask of the API, all by POST with JSON (RFC 9457 where it refuses;
// options and credentials as in WebAuthn level 3, 5.1.8 and 5.1.9):
//
//	/v1/enroll/begin              {token} → {handle, secret, uri, expires,
//	                              qr?, passkey?: {id, options}, passkey_refusal?}
//	/v1/enroll/passkey            {id, name, credential} → {handle, recovery_codes}
//	/v1/enroll/finish             {token, code} → {handle, recovery_codes}
//	/v1/device/find               {code} → {id}
//	/v1/ceremonies/{id}/begin     {} → {options}
//	/v1/ceremonies/{id}/finish    {credential} → {redirect}, {done} or {create: {options}}
//	/v1/ceremonies/{id}/register  {name, credential} → {done}
//	/v1/ceremonies/{id}/sso       {} → {location}
//	/v1/ceremonies/{id}/deny      {} → {done?}
//
// A redirect leads to http://127.0.0.1:PORT/… or is refused; a location, which is
// the company's provider, to https:// or to 127.0.0.1. "done" is a sentence.
//
// The package decides nothing and keeps nothing. Who may do what, what a challenge
// is and whether a passkey's answer is good is decided behind the API.
package pages
