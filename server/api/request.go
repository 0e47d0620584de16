package api

import "time"

// MakeRequest asks for what a grant with conditions says.
type MakeRequest struct {
	Target string `json:"target"`
	Login  string `json:"login"`
	For    string `json:"for,omitempty"` // purposes; empty: all that the grant is for
	// Lasts is how long it is wanted, in seconds from the last approval on.
	Lasts  uint64 `json:"lasts"`
	Reason string `json:"reason,omitempty"`
	Ticket string `json:"ticket,omitempty"`
	// Waits is how many seconds it waits for its answer; 0: eight hours.
	Waits uint64 `json:"waits,omitempty"`
}

// AccessRequest is a request as it is read, or a proposal: an administrator's change
// in their own favour. A proposal has a Change, and of the rest what is about it:
// no Login, For, Lasts, Base and Grant.
type AccessRequest struct {
	ID      uint64    `json:"id"`
	Hash    string    `json:"hash"` // in hexadecimal; what approvals are made over
	State   string    `json:"state"`
	User    string    `json:"user"`
	Change  string    `json:"change,omitempty"` // what is proposed, in words
	Target  string    `json:"target"`
	Login   string    `json:"login"`
	For     string    `json:"for"`
	Lasts   uint64    `json:"lasts"` // seconds
	Reason  string    `json:"reason,omitempty"`
	Ticket  string    `json:"ticket,omitempty"`
	Source  string    `json:"source,omitempty"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	// Approvals are those that were made, of which Have count now; Want are needed.
	Approvals []AccessApproval `json:"approvals"`
	Have      uint64           `json:"have"`
	Want      uint64           `json:"want"`
	Base      uint64           `json:"base"`            // the grant that it is requested by
	Grant     uint64           `json:"grant,omitempty"` // that answered it
	Until     time.Time        `json:"until,omitzero"`  // of that grant
	Yours     bool             `json:"yours,omitempty"` // you may answer it
	// Comment is that of whoever denied it.
	Comment string `json:"comment,omitempty"`
}

// AccessApproval is one person's.
type AccessApproval struct {
	Entry   uint64    `json:"entry"`
	User    string    `json:"user"`
	Time    time.Time `json:"time"`
	Factor  string    `json:"factor"` // "passkey", which anybody can verify, or "totp"
	Comment string    `json:"comment,omitempty"`
}

// Changed answers a change. Where it would have given its caller access, nothing was
// changed: Waits is the proposal that another administrator has to approve.
type Changed struct {
	Waits *AccessRequest `json:"waits,omitempty"`
}

// AddedGrant is a grant with its ID; or nothing of one, and the proposal of it.
type AddedGrant struct {
	Grant
	Changed
}

// AnswerRequest answers a request. Code is for an approval by a code of an
// authenticator app; without one an approval is made on a page.
type AnswerRequest struct {
	Comment string `json:"comment,omitempty"`
	Code    string `json:"code,omitempty"`
	Device  []byte `json:"device,omitempty"`
}
