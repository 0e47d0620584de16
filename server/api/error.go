package api

import (
	"fmt"
	"net/http"
)

// A Kind is the kind of an error, as clients may act on it. The set is closed;
// a kind from the wire that is not in it is read as KindInternal.
type Kind string

const (
	// KindInvalid: the request itself is wrong and will stay wrong.
	KindInvalid Kind = "invalid"
	// KindUnauthenticated: nobody is signed in, or the proof was not accepted.
	KindUnauthenticated Kind = "unauthenticated"
	// KindForbidden: somebody is signed in and may not do this.
	KindForbidden Kind = "forbidden"
	// KindNotFound: what the request names is not there.
	KindNotFound Kind = "not-found"
	// KindConflict: what the request wants is at odds with what is there.
	KindConflict Kind = "conflict"
	// KindLimited: too many attempts; RetryAfter says when to try again.
	KindLimited Kind = "rate-limited"
	// KindUnavailable: the server can't decide or can't write at the moment.
	KindUnavailable Kind = "unavailable"
	// KindInternal: something that the server does not explain to strangers.
	KindInternal Kind = "internal"
)

// An Error is a refusal as it crosses the wire: problem+json (RFC 9457) whose
// type is "urn:vaultpam:error:" and the kind. Detail is a sentence for the
// user; Hint says what to do next.
type Error struct {
	Kind       Kind   `json:"kind"`
	Type       string `json:"type"`
	Title      string `json:"title"`
	Status     int    `json:"status"`
	Detail     string `json:"detail"`
	Hint       string `json:"hint,omitempty"`
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
}

// NewError returns the error of a kind with its sentence and its hint.
func NewError(kind Kind, hint, format string, args ...any) *Error {
	return &Error{
		Kind:   kind,
		Type:   "urn:vaultpam:error:" + string(kind),
		Title:  http.StatusText(kind.Status()),
		Status: kind.Status(),
		Detail: fmt.Sprintf(format, args...),
		Hint:   hint,
	}
}

func (e *Error) Error() string { return e.Detail }

// Status returns the HTTP status code of a kind.
func (k Kind) Status() int {
	switch k {
	case KindInvalid:
		return http.StatusBadRequest
	case KindUnauthenticated:
		return http.StatusUnauthorized
	case KindForbidden:
		return http.StatusForbidden
	case KindNotFound:
		return http.StatusNotFound
	case KindConflict:
		return http.StatusConflict
	case KindLimited:
		return http.StatusTooManyRequests
	case KindUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
