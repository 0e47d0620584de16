package store

import "errors"

// GrantAdded allows somebody logins of some targets, or forbids them where Forbids
// is set: then it is a guardrail, which is stronger than every grant. It is named
// by its entry's index.
//
// It is for one user or for one group, and a guardrail where neither is set for
// everybody; for one target, or for those that a selector chooses at the moment
// when somebody asks. No logins of a guardrail are all logins. For says what it is
// for: nothing is DefaultPurposes, of a guardrail everything. From and Until bound
// its life, Hours the times in it. Request is the index of the entry of the request
// that it answers, and Base the grant whose conditions that request fulfilled.
type GrantAdded struct {
	User       UserID     `cbor:"1,keyasint"`
	Target     Index      `cbor:"2,keyasint"`
	Logins     []Login    `cbor:"3,keyasint"`
	From       Millis     `cbor:"4,keyasint,omitempty"`
	Until      Millis     `cbor:"5,keyasint,omitempty"`
	Group      Index      `cbor:"6,keyasint,omitempty"`
	Targets    Selector   `cbor:"7,keyasint,omitzero"`
	Forbids    bool       `cbor:"8,keyasint,omitempty"`
	For        Purposes   `cbor:"9,keyasint,omitempty"`
	Hours      Hours      `cbor:"10,keyasint,omitzero"`
	Conditions Conditions `cbor:"11,keyasint,omitzero"`
	Request    Index      `cbor:"12,keyasint,omitempty"`
	Base       Index      `cbor:"13,keyasint,omitempty"`
}

// DefaultPurposes are what a grant is for that does not say it: working on the
// host, and nothing that leads on from it.
func DefaultPurposes() Purposes {
	return Purposes{
		{Purpose: PurposeShell, Limits: []string{}}, {Purpose: PurposeExec, Limits: []string{}}, {Purpose: PurposeNoTTY, Limits: []string{}},
		{Purpose: PurposeSFTP, Limits: []string{string(SFTPReadWrite)}},
	}
}

func (e *GrantAdded) check() error {
	one := want{(e.User.IsZero()) != (e.Group == 0), "a user or a group"}
	if e.Forbids {
		one = want{e.User.IsZero() || e.Group == 0, "a user or a group or neither"}
	}
	if err := check(one, want{(e.Target == 0) != e.Targets.IsZero(), "a target or a selector"},
		want{(e.Request == 0) == (e.Base == 0) && (e.Request == 0 || !e.User.IsZero() && e.Target != 0 && !e.Forbids), "a request with its grant, of one user for one target"},
		want{!e.Forbids || e.Conditions.IsZero(), "no conditions of a guardrail"}); err != nil {
		return err
	}
	logins, purposes := checkLogins, e.For.CheckGrant
	if e.Forbids {
		purposes = e.For.CheckGuardrail
		if len(e.Logins) == 0 {
			logins = func([]Login) error { return nil }
		}
	}
	err := logins(e.Logins)
	if len(e.For) > 0 {
		err = errors.Join(err, purposes())
	}
	return errors.Join(err, e.Conditions.Check())
}

// TargetLabelled gives a target these labels in place of those that it had.
type TargetLabelled struct {
	Target Index        `cbor:"1,keyasint"`
	Labels TargetLabels `cbor:"2,keyasint"`
}

// EventType returns TypeGrantAdded.
func (*GrantAdded) EventType() EventType          { return TypeGrantAdded }
func (e *GrantAdded) about(Index) (UserID, Index) { return e.User, e.Target }

// EventType returns TypeTargetLabelled.
func (*TargetLabelled) EventType() EventType          { return TypeTargetLabelled }
func (e *TargetLabelled) about(Index) (UserID, Index) { return UserID{}, e.Target }
func (e *TargetLabelled) check() error {
	return errors.Join(check(want{e.Target != 0, "a target"}), e.Labels.Check())
}

// GrantRemoved takes a grant or a guardrail back before its end. User and Target
// are those of the grant, zero where it has none. Review is the review that revoked
// it, by an answer or for want of one.
type GrantRemoved struct {
	User   UserID `cbor:"1,keyasint"`
	Target Index  `cbor:"2,keyasint"`
	Grant  Index  `cbor:"3,keyasint"`
	Review Index  `cbor:"4,keyasint,omitempty"`
}

func (*GrantRemoved) EventType() EventType          { return TypeGrantRemoved }
func (e *GrantRemoved) about(Index) (UserID, Index) { return e.User, e.Target }
func (*GrantRemoved) check() error                  { return nil }
