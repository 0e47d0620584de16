package store

// UserContact says where a person gets notices from here on. Email is a
// commitment to an Email, or zero, which takes the address before away.
type UserContact struct {
	User  UserID     `cbor:"1,keyasint"`
	Email Commitment `cbor:"2,keyasint,omitzero"`
}

// RecoveryBegun says that somebody on the server's own machine wants to make a
// person an administrator with an invitation, because nobody else can. It can be
// finished from Ready on and stopped until then. It is named by its entry's index.
type RecoveryBegun struct {
	User  UserID `cbor:"1,keyasint"`
	Ready Millis `cbor:"2,keyasint"`
}

// RecoveryStopped says that what RecoveryBegun began comes to nothing.
type RecoveryStopped struct {
	User  UserID `cbor:"1,keyasint"`
	Begun Index  `cbor:"2,keyasint"`
}

// RecoveryFinished makes the person of a RecoveryBegun an administrator. The
// entry after it is their invitation.
type RecoveryFinished struct {
	User  UserID `cbor:"1,keyasint"`
	Begun Index  `cbor:"2,keyasint"`
}

// EventType returns TypeUserContact.
func (*UserContact) EventType() EventType          { return TypeUserContact }
func (e *UserContact) about(Index) (UserID, Index) { return e.User, 0 }
func (e *UserContact) check() error                { return check(want{!e.User.IsZero(), "a user"}) }

// EventType returns TypeRecoveryBegun.
func (*RecoveryBegun) EventType() EventType          { return TypeRecoveryBegun }
func (e *RecoveryBegun) about(Index) (UserID, Index) { return e.User, 0 }
func (e *RecoveryBegun) check() error {
	return check(want{!e.User.IsZero(), "a user"}, want{e.Ready > 0, "a moment"})
}

// EventType returns TypeRecoveryStopped.
func (*RecoveryStopped) EventType() EventType          { return TypeRecoveryStopped }
func (e *RecoveryStopped) about(Index) (UserID, Index) { return e.User, 0 }
func (e *RecoveryStopped) check() error {
	return check(want{!e.User.IsZero(), "a user"}, want{e.Begun != 0, "what was begun"})
}

// EventType returns TypeRecoveryFinished.
func (*RecoveryFinished) EventType() EventType          { return TypeRecoveryFinished }
func (e *RecoveryFinished) about(Index) (UserID, Index) { return e.User, 0 }
func (e *RecoveryFinished) check() error {
	return check(want{!e.User.IsZero(), "a user"}, want{e.Begun != 0, "what was begun"})
}
