package access

import (
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// A Kind groups refusals by what the caller can do about them.
type Kind int

const (
	// Invalid: the command itself is wrong.
	Invalid Kind = iota + 1
	// Unauthenticated: no proof of identity, or not a good one.
	Unauthenticated
	// Forbidden: somebody known may not do this.
	Forbidden
	// NotFound: what the command names is not there.
	NotFound
	// Conflict: what is there stands against it.
	Conflict
	// Limited: too many attempts.
	Limited
	// Clock: the time can't be trusted, so nothing is decided.
	Clock
)

// A Refusal is the answer of Decide to a command that the rules forbid. Message
// is a sentence for the user, Hint says what to do next. Reason is set where a
// session was refused.
type Refusal struct { //nolint:errname // the word of the design: an answer to somebody
	Kind    Kind
	Message string
	Hint    string
	Reason  store.Refusal
	// RetryAfter is how long to wait where waiting helps, or 0.
	RetryAfter time.Duration
}

func (r *Refusal) Error() string { return r.Message }
