package store

import "errors"

// TargetAdded registers a host, named by its entry's index. HostKeys are the
// pinned public keys in SSH wire format; Egress is the address the relay comes
// from as that host sees it.
type TargetAdded struct {
	Name     TargetName `cbor:"1,keyasint"`
	Address  string     `cbor:"2,keyasint"`
	HostKeys [][]byte   `cbor:"3,keyasint"`
	Logins   []Login    `cbor:"4,keyasint"`
	Egress   string     `cbor:"5,keyasint"`
}

// TargetRemoved takes a host out, with every grant to it.
type TargetRemoved struct {
	Target Index `cbor:"1,keyasint"`
}

// TargetRenamed gives a host another name. Everything else about it stays, and its
// grants and sessions with it. The host itself answers to the old name until it is
// set up for the new one.
type TargetRenamed struct {
	Target Index      `cbor:"1,keyasint"`
	Name   TargetName `cbor:"2,keyasint"`
}

// TargetChecked says what a look at a host found: how many other ways into it
// there are (its doors), how many of them the check before did not list, how
// many it listed that are gone (none and none for the first check), and how many
// things could not be looked at.
// Closed says whether VaultPAM's own closing is in force. Report commits to the
// text of the DoorReport, whose owner is the zero UserID. The session's errand
// was to look.
type TargetChecked struct {
	Target  Index      `cbor:"1,keyasint"`
	Session SessionID  `cbor:"2,keyasint"`
	Doors   uint64     `cbor:"3,keyasint"`
	New     uint64     `cbor:"4,keyasint"`
	Gone    uint64     `cbor:"5,keyasint"`
	Unread  uint64     `cbor:"6,keyasint"`
	Closed  bool       `cbor:"7,keyasint"`
	Report  Commitment `cbor:"8,keyasint"`
}

// TargetClosed says that a host's other ways in were shut by a login with an
// emergency certificate of this serial, and that the ordinary login of Session
// still worked afterwards.
type TargetClosed struct {
	Target    Index     `cbor:"1,keyasint"`
	Session   SessionID `cbor:"2,keyasint"`
	Emergency Serial    `cbor:"3,keyasint"`
}

// TargetReopened says that what TargetClosed shut was taken back, and that the
// session of a check saw it so.
type TargetReopened struct {
	Target  Index     `cbor:"1,keyasint"`
	Session SessionID `cbor:"2,keyasint"`
}

func (*TargetAdded) EventType() EventType           { return TypeTargetAdded }
func (*TargetAdded) about(at Index) (UserID, Index) { return UserID{}, at }
func (e *TargetAdded) check() error {
	_, err := ParseTargetName(string(e.Name))
	return errors.Join(err, check(want{len(e.HostKeys) > 0, "a pinned host key"}), checkLogins(e.Logins))
}

func (*TargetRemoved) EventType() EventType          { return TypeTargetRemoved }
func (e *TargetRemoved) about(Index) (UserID, Index) { return UserID{}, e.Target }
func (*TargetRemoved) check() error                  { return nil }

// EventType returns TypeTargetRenamed.
func (*TargetRenamed) EventType() EventType          { return TypeTargetRenamed }
func (e *TargetRenamed) about(Index) (UserID, Index) { return UserID{}, e.Target }
func (e *TargetRenamed) check() error {
	_, err := ParseTargetName(string(e.Name))
	return errors.Join(err, check(want{e.Target != 0, "a target"}))
}

func (*TargetChecked) EventType() EventType          { return TypeTargetChecked }
func (e *TargetChecked) about(Index) (UserID, Index) { return UserID{}, e.Target }
func (e *TargetChecked) check() error {
	return check(want{e.Target != 0, "a target"}, want{!e.Session.IsZero(), "a session"},
		want{e.Doors+e.Unread <= MaxDoors && e.New <= e.Doors && e.Gone <= MaxDoors, "counts of one report"})
}

func (*TargetClosed) EventType() EventType          { return TypeTargetClosed }
func (e *TargetClosed) about(Index) (UserID, Index) { return UserID{}, e.Target }
func (e *TargetClosed) check() error {
	return check(want{e.Target != 0, "a target"}, want{!e.Session.IsZero(), "a session"},
		want{EmergencySerial <= e.Emergency && e.Emergency < SerialLimit, "an emergency certificate's serial"})
}

func (*TargetReopened) EventType() EventType          { return TypeTargetReopened }
func (e *TargetReopened) about(Index) (UserID, Index) { return UserID{}, e.Target }
func (e *TargetReopened) check() error {
	return check(want{e.Target != 0, "a target"}, want{!e.Session.IsZero(), "a session"})
}
