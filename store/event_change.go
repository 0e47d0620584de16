package store

// ChangeProposed says that its actor, the administrator User, wants a change that
// would give themselves access. It waits until another administrator agrees to it
// (RequestApproved), and is made by the entry right behind that approval. It is
// named by its entry's index, and by RequestHash of its stored bytes for whoever
// approves it. Exactly one of the changes is there. Target is the one that the
// change names, 0 where it names none. Source commits to where its actor came from.
// Nobody answers it from Expires on: running out makes no entry.
type ChangeProposed struct {
	User    UserID          `cbor:"1,keyasint"`
	Target  Index           `cbor:"2,keyasint"`
	Expires Millis          `cbor:"3,keyasint"`
	Source  Commitment      `cbor:"4,keyasint"`
	Grant   *GrantAdded     `cbor:"5,keyasint,omitempty"`
	Ungrant *GrantRemoved   `cbor:"6,keyasint,omitempty"`
	Join    *MemberAdded    `cbor:"7,keyasint,omitempty"`
	Leave   *MemberRemoved  `cbor:"8,keyasint,omitempty"`
	Label   *TargetLabelled `cbor:"9,keyasint,omitempty"`
}

// Propose fills in the change, and reports whether it is one that can be proposed.
func (e *ChangeProposed) Propose(change Event) bool {
	switch c := change.(type) {
	case *GrantAdded:
		e.Grant, e.Target = c, c.Target
	case *GrantRemoved:
		e.Ungrant, e.Target = c, c.Target
	case *MemberAdded:
		e.Join = c
	case *MemberRemoved:
		e.Leave = c
	case *TargetLabelled:
		e.Label, e.Target = c, c.Target
	default:
		return false
	}
	return true
}

// Change returns the change that is proposed, nil where there is not exactly one.
func (e *ChangeProposed) Change() Event {
	var all []Event
	if e.Grant != nil {
		all = append(all, e.Grant)
	}
	if e.Ungrant != nil {
		all = append(all, e.Ungrant)
	}
	if e.Join != nil {
		all = append(all, e.Join)
	}
	if e.Leave != nil {
		all = append(all, e.Leave)
	}
	if e.Label != nil {
		all = append(all, e.Label)
	}
	if len(all) != 1 {
		return nil
	}
	return all[0]
}

func (e *ChangeProposed) check() error {
	change := e.Change()
	if err := check(want{!e.User.IsZero(), "a user"}, want{e.Expires > 0, "a moment at which it runs out"}, want{change != nil, "one change"}); err != nil {
		return err
	}
	var again ChangeProposed
	if err := check(want{again.Propose(change) && again.Target == e.Target, "the change's target"},
		want{e.Grant == nil || !e.Grant.Forbids && e.Grant.Request == 0 && e.Grant.Base == 0, "no guardrail, and no grant that answers a request"}); err != nil {
		return err
	}
	return change.check()
}

// EventType returns TypeChangeProposed.
func (*ChangeProposed) EventType() EventType          { return TypeChangeProposed }
func (e *ChangeProposed) about(Index) (UserID, Index) { return e.User, e.Target }
