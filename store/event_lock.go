package store

// LockAdded stops a user, a target, one session, or what came from one
// certificate, at once and until LockRemoved; it is named by its entry's index.
// Exactly one of User, Target, Session and Serial says what is locked. Of is whose
// session or certificate that is, where it is somebody's. Why commits to a text
// whose owner is User or Of, and the zero UserID for a target's.
type LockAdded struct {
	User    UserID     `cbor:"1,keyasint,omitzero"`
	Target  Index      `cbor:"2,keyasint,omitempty"`
	Session SessionID  `cbor:"3,keyasint,omitzero"`
	Serial  Serial     `cbor:"4,keyasint,omitempty"`
	Why     Commitment `cbor:"5,keyasint"`
	Of      UserID     `cbor:"6,keyasint,omitzero"`
}

// LockRemoved ends a lock. User and Target are whom and what it was about: those
// of its entry, User also where the entry had it as Of. Why is a commitment as
// that entry's, or zero.
type LockRemoved struct {
	Lock   Index      `cbor:"1,keyasint"`
	User   UserID     `cbor:"2,keyasint,omitzero"`
	Target Index      `cbor:"3,keyasint,omitempty"`
	Why    Commitment `cbor:"4,keyasint,omitzero"`
}

// About returns whom a lock is about: who is locked, or whose session or
// certificate is. It is zero for a target, and for a session of the server's own.
func (e *LockAdded) About() UserID {
	if e.Of.IsZero() {
		return e.User
	}
	return e.Of
}

// EventType returns TypeLockAdded.
func (*LockAdded) EventType() EventType          { return TypeLockAdded }
func (e *LockAdded) about(Index) (UserID, Index) { return e.About(), e.Target }

// EventType returns TypeLockRemoved.
func (*LockRemoved) EventType() EventType          { return TypeLockRemoved }
func (e *LockRemoved) about(Index) (UserID, Index) { return e.User, e.Target }
func (e *LockRemoved) check() error                { return check(want{e.Lock != 0, "a lock"}) }

func (e *LockAdded) check() error {
	what := 0
	for _, named := range []bool{!e.User.IsZero(), e.Target != 0, !e.Session.IsZero(), e.Serial != 0} {
		if named {
			what++
		}
	}
	return check(want{what == 1, "one thing to lock"}, want{e.Serial < EmergencySerial, "a serial below the emergency serials"},
		want{e.Of.IsZero() || !e.Session.IsZero() || e.Serial != 0, "an owner for a session or a certificate alone"},
		want{e.Why != Commitment{}, "a reason"})
}
