package store

import (
	"errors"
	"slices"
)

// SessionStarted is durable before the relay connects onward. Certificate and
// Grant are the indexes of the entries that allowed it, Ends the moment at which
// the relay will end it. A session that the server opened for an errand of its
// own has no user, certificate and grant; its entry's actor is who wanted it.
// Touched is when its person had last touched a passkey, 0 for never. Also are the
// other grants that allowed it, the first MaxAlso of them.
type SessionStarted struct {
	Session     SessionID  `cbor:"1,keyasint"`
	User        UserID     `cbor:"2,keyasint"`
	Target      Index      `cbor:"3,keyasint"`
	Login       Login      `cbor:"4,keyasint"`
	Certificate Index      `cbor:"5,keyasint"`
	Grant       Index      `cbor:"6,keyasint"`
	Way         Way        `cbor:"7,keyasint"`
	Source      Commitment `cbor:"8,keyasint"`
	Ends        Millis     `cbor:"9,keyasint,omitempty"`
	Errand      Errand     `cbor:"10,keyasint,omitempty"`
	Touched     Millis     `cbor:"11,keyasint,omitempty"`
	Also        []Index    `cbor:"12,keyasint,omitempty"`
}

// SessionRefused says that a signed-in user asked for a session and why it did
// not start. Target is 0 where no registered target was named. Repetitions
// within a minute are one entry.
type SessionRefused struct {
	User   UserID  `cbor:"1,keyasint"`
	Target Index   `cbor:"2,keyasint,omitempty"`
	Login  Login   `cbor:"3,keyasint,omitempty"`
	Reason Refusal `cbor:"4,keyasint"`
}

// SessionEnded closes a session and names what was recorded.
type SessionEnded struct {
	Session  SessionID       `cbor:"1,keyasint"`
	User     UserID          `cbor:"2,keyasint"`
	Target   Index           `cbor:"3,keyasint"`
	Started  Index           `cbor:"4,keyasint"`
	Reason   EndReason       `cbor:"5,keyasint"`
	Duration int64           `cbor:"6,keyasint"` // milliseconds
	In       uint64          `cbor:"7,keyasint"` // bytes from the user
	Out      uint64          `cbor:"8,keyasint"` // bytes to the user
	Files    []RecordingFile `cbor:"9,keyasint,omitempty"`
}

// A RecordingFile names one file of a recording by what it holds.
type RecordingFile struct {
	Name   string `cbor:"1,keyasint"`
	Label  Label  `cbor:"2,keyasint"`
	Size   int64  `cbor:"3,keyasint"`
	SHA256 Hash   `cbor:"4,keyasint"`
}

func (*SessionStarted) EventType() EventType          { return TypeSessionStarted }
func (e *SessionStarted) about(Index) (UserID, Index) { return e.User, e.Target }
func (e *SessionStarted) check() error {
	_, err := ParseLogin(string(e.Login))
	errand := e.Way == WayErrand
	return errors.Join(err, check(want{e.Way.valid(), "a known way in"}, want{!e.Session.IsZero(), "a session"},
		want{errand == e.User.IsZero(), "a user, but for an errand"},
		want{(e.Certificate == 0) == errand && (e.Grant == 0) == errand, "a certificate and a grant, but for an errand"},
		want{errand == (e.Errand != "") && (!errand || e.Errand.valid()), "a known errand"},
		want{len(e.Also) <= MaxAlso && (!errand || len(e.Also) == 0), "at most 100 other grants, and none of an errand"}))
}

func (*SessionRefused) EventType() EventType          { return TypeSessionRefused }
func (e *SessionRefused) about(Index) (UserID, Index) { return e.User, e.Target }
func (e *SessionRefused) check() error {
	var err error
	if e.Login != "" {
		_, err = ParseLogin(string(e.Login))
	}
	return errors.Join(err, check(want{e.Reason.valid(), "a known reason"}))
}

func (*SessionEnded) EventType() EventType          { return TypeSessionEnded }
func (e *SessionEnded) about(Index) (UserID, Index) { return e.User, e.Target }
func (e *SessionEnded) check() error {
	return check(want{e.Reason.valid(), "a known reason"}, want{e.Duration >= 0, "a duration"},
		want{!slices.ContainsFunc(e.Files, func(f RecordingFile) bool { return f.Size < 0 || !f.Label.valid() }), "sizes and labels of files"})
}
