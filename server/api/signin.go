package api

import (
	"encoding/json"
	"time"
)

// BrowserSignInRequest asks for a sign-in by a browser. The call is signed with the
// key that the session will be bound to (ProofHeader).
type BrowserSignInRequest struct {
	Machine string `json:"machine"` // what the machine calls itself
	// Challenge is the SHA-256 hash of the verifier (RFC 7636, section 4.2).
	Challenge []byte `json:"challenge"`
	// Port is the one of 127.0.0.1 that the browser is sent back to, with State.
	// Where it is 0 there is a code to type on another machine.
	Port  uint16 `json:"port,omitempty"`
	State string `json:"state,omitempty"`
}

// BrowserResponse says where a browser has to go.
type BrowserResponse struct {
	ID      string    `json:"id"`
	URL     string    `json:"url"`
	Code    string    `json:"code,omitempty"` // to type at URL
	Expires time.Time `json:"expires"`
}

// RedeemRequest fetches the session of a sign-in by browser. The call is signed
// with the key that it was begun with, and may be repeated while it is pending.
type RedeemRequest struct {
	ID       string `json:"id"`
	Code     []byte `json:"code,omitempty"` // from the redirect
	Verifier string `json:"verifier"`
	Device   []byte `json:"device,omitempty"` // of the last SignInResponse on this machine
}

// RedeemResponse holds the session, or nothing while nobody has confirmed it.
type RedeemResponse struct {
	Pending bool            `json:"pending,omitempty"`
	SignIn  *SignInResponse `json:"sign_in,omitempty"`
}

// ConfirmRequest asks for a page on which the caller proves to be there, or adds a
// passkey where Add is set.
type ConfirmRequest struct {
	Add bool `json:"add,omitempty"`
	// Target and Login name what wants it, where something does.
	Target string `json:"target,omitempty"`
	Login  string `json:"login,omitempty"`
}

// ConfirmResponse says where a browser has to go; nowhere where nothing is wanted.
type ConfirmResponse struct {
	Needed bool `json:"needed"`
	BrowserResponse
}

// WaitRequest waits for the outcome of a page.
type WaitRequest struct {
	ID string `json:"id"`
}

// WaitResponse says whether there is one yet.
type WaitResponse struct {
	Pending bool `json:"pending,omitempty"`
}

// ConfirmCodeRequest proves that the caller is there with a code of their
// authenticator app.
type ConfirmCodeRequest struct {
	Code   string `json:"code"`
	Device []byte `json:"device,omitempty"`
}

// PasskeyRequest is what a browser made of the options that it was given.
type PasskeyRequest struct {
	ID         string          `json:"id,omitempty"`
	Name       string          `json:"name,omitempty"` // what its owner calls it
	Credential json.RawMessage `json:"credential"`     // RegistrationResponseJSON or AuthenticationResponseJSON
}

// PasskeyOptions are what a browser is asked (WebAuthn Level 3, sections 5.4 and
// 5.5, in their JSON forms).
type PasskeyOptions struct {
	ID      string          `json:"id,omitempty"`
	Options json.RawMessage `json:"options,omitempty"`
	Create  json.RawMessage `json:"create,omitempty"`
}

// PasskeyOutcome is how a browser goes on.
type PasskeyOutcome struct {
	Redirect string          `json:"redirect,omitempty"`
	Done     string          `json:"done,omitempty"`
	Create   *PasskeyOptions `json:"create,omitempty"`
}

// EnrollPasskeyResponse holds the recovery codes, which are shown once.
type EnrollPasskeyResponse struct {
	Handle        string   `json:"handle"`
	RecoveryCodes []string `json:"recovery_codes"`
}

// SSOLocation says where a browser has to go: to the company's provider.
type SSOLocation struct {
	Location string `json:"location"`
}

// SSOFinishRequest is what the provider sent a browser back with.
type SSOFinishRequest struct {
	State  string `json:"state"`
	Code   string `json:"code"`
	Issuer string `json:"issuer"` // RFC 9207; empty where the provider does not name itself
	Error  string `json:"error"`
}

// SSOCodeRequest is the code of an authenticator app, as a second factor.
type SSOCodeRequest struct {
	Code string `json:"code"`
}

// SSOOutcome is how a browser goes on: back to its program, or to a second factor.
type SSOOutcome struct {
	Redirect string     `json:"redirect,omitempty"`
	Second   *SSOSecond `json:"second,omitempty"`
}

// SSOSecond is what is still asked for.
type SSOSecond struct {
	ID      string `json:"id"` // of the ceremony
	Handle  string `json:"handle"`
	Passkey bool   `json:"passkey"`
	TOTP    bool   `json:"totp"`
}

// LinkSSORequest names the account of the provider that is somebody's.
type LinkSSORequest struct {
	Subject string `json:"subject"`
}

// DeviceFindRequest is the code that a machine shows.
type DeviceFindRequest struct {
	Code string `json:"code"`
}

// DeviceFindResponse names the page where it is confirmed.
type DeviceFindResponse struct {
	ID string `json:"id"`
}

// Factor is what somebody proves their identity with.
type Factor struct {
	ID     uint64    `json:"id"`
	Kind   string    `json:"kind"`
	Name   string    `json:"name,omitempty"`
	Added  time.Time `json:"added"`
	Used   time.Time `json:"used,omitzero"`
	Model  string    `json:"model,omitempty"`  // AAGUID
	Synced bool      `json:"synced,omitempty"` // it may be on several machines
	Cloned bool      `json:"cloned,omitempty"` // there is a copy, so it proves nothing
}

// FactorNameRequest gives a factor another name.
type FactorNameRequest struct {
	Name string `json:"name"`
}

// OpenSignIn is a sign-in session that is open.
type OpenSignIn struct {
	ID        uint64    `json:"id"`
	Kind      string    `json:"kind"`
	Machine   string    `json:"machine,omitempty"`
	Source    string    `json:"source,omitempty"`
	Opened    time.Time `json:"opened"`
	Used      time.Time `json:"used"`
	Ends      time.Time `json:"ends"`
	Confirmed time.Time `json:"confirmed,omitzero"`
	This      bool      `json:"this,omitempty"`
}
