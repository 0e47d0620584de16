package api

import "time"

// The kinds of what can be locked.
const (
	LockUser    = "user"    // by handle
	LockTarget  = "target"  // by name
	LockSession = "session" // by ID
	LockSerial  = "serial"  // of a certificate, as a decimal number
)

// LockRequest names what is to be locked or unlocked, and why. Unlocking may go
// without a reason.
type LockRequest struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Why  string `json:"why,omitempty"`
}

// Lock is one that is in force. Kind and Name are those of a LockRequest.
type Lock struct {
	ID    uint64    `json:"id"` // the index of its entry
	Kind  string    `json:"kind"`
	Name  string    `json:"name"`
	Of    string    `json:"of,omitempty"` // whose session or certificate it is
	Since time.Time `json:"since"`
	By    string    `json:"by"`
	Why   string    `json:"why"`
}
