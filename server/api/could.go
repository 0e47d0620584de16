package api

import "time"

// Explanation says whether somebody may log in somewhere now, and by what, or what
// is missing. Sentence is the one that the relay would refuse with.
type Explanation struct {
	Could
	Sentence  string   `json:"sentence"`
	Hint      string   `json:"hint,omitempty"`      // what to do next
	Approvers []string `json:"approvers,omitempty"` // who could approve a request for it
}

// Could is what somebody could do with a login of a target at a moment.
type Could struct {
	User     string    `json:"user"`          // handle, or ID where it was erased
	Bot      bool      `json:"bot,omitempty"` // a machine
	Target   string    `json:"target"`
	Login    string    `json:"login"`
	May      bool      `json:"may"`              // log in
	For      string    `json:"for,omitempty"`    // purposes
	Until    time.Time `json:"until,omitzero"`   // when the last of its grants ends
	Touch    uint64    `json:"touch,omitempty"`  // minutes that a touch of a passkey may be ago
	Direct   bool      `json:"direct,omitempty"` // also past the relay
	OnAsking bool      `json:"on_request,omitempty"`
	Locked   uint64    `json:"locked,omitempty"` // the lock's entry
	By       []uint64  `json:"by"`               // entries of the grants, or of the one to ask by
	Why      []Reason  `json:"why,omitempty"`
}

// Reason is an entry that made an answer what it is: as a grant, guardrail, member,
// labels, lock or request.
type Reason struct {
	Role  string `json:"role"`
	Entry Entry  `json:"entry"`
}

// WhoCould answers who could reach a target, or what a user could reach, at a
// moment. Ways are the ways into targets that go past VaultPAM, as far as the last
// check before the moment saw them.
type WhoCould struct {
	At     time.Time   `json:"at"`
	Size   uint64      `json:"size"` // entries that the answer stands on
	Target string      `json:"target,omitempty"`
	User   string      `json:"user,omitempty"`
	Gone   bool        `json:"gone,omitempty"` // there was no such user or target at the moment, but at another
	Could  []Could     `json:"could"`
	Ways   []OtherWays `json:"ways"`
}

// OtherWays are the ways into a target that go past VaultPAM.
type OtherWays struct {
	Target string       `json:"target"`
	Check  CheckSummary `json:"check"`
}

// ReachChange says what an entry, or the clock, changed of who could reach a
// target.
type ReachChange struct {
	Time    time.Time     `json:"time"`
	Entry   *Entry        `json:"entry,omitempty"` // nil where it was the clock
	Changes []RightChange `json:"changes"`
}

// RightChange is a grant, a guardrail, a lock or what can be requested that came to
// be about somebody, or ceased to be.
type RightChange struct {
	Came  bool   `json:"came"` // otherwise it went
	Role  string `json:"role"` // grant, request, guardrail, lock
	User  string `json:"user"`
	Login string `json:"login,omitempty"` // empty: every login
	By    uint64 `json:"by"`              // its entry
}
