package store

import "errors"

// UserAdded brings a person into the ledger. Handle is a commitment.
type UserAdded struct {
	User   UserID     `cbor:"1,keyasint"`
	Handle Commitment `cbor:"2,keyasint"`
	Roles  []Role     `cbor:"3,keyasint"`
}

// UserErased says that every text about somebody who was removed was taken out of
// the side table with this entry: their handle, addresses, and what was said of
// them. What commits to the texts stays, and opens to nobody.
type UserErased struct {
	User UserID `cbor:"1,keyasint"`
}

// UserRemoved ends everything that the user could do, a person or a bot.
type UserRemoved struct {
	User UserID `cbor:"1,keyasint"`
}

// InvitationCreated lets whoever shows the token enrol one factor for the user.
// Token is the SHA-256 hash of 256 random bits.
type InvitationCreated struct {
	User    UserID `cbor:"1,keyasint"`
	Token   Hash   `cbor:"2,keyasint"`
	Expires Millis `cbor:"3,keyasint"`
}

func (*UserAdded) EventType() EventType          { return TypeUserAdded }
func (e *UserAdded) about(Index) (UserID, Index) { return e.User, 0 }
func (e *UserAdded) check() error {
	return errors.Join(check(want{!e.User.IsZero(), "a user"}), checkRoles(e.Roles))
}

// EventType returns TypeUserErased.
func (*UserErased) EventType() EventType          { return TypeUserErased }
func (e *UserErased) about(Index) (UserID, Index) { return e.User, 0 }
func (e *UserErased) check() error                { return check(want{!e.User.IsZero(), "a user"}) }

func (*UserRemoved) EventType() EventType          { return TypeUserRemoved }
func (e *UserRemoved) about(Index) (UserID, Index) { return e.User, 0 }
func (*UserRemoved) check() error                  { return nil }

func (*InvitationCreated) EventType() EventType          { return TypeInvitationCreated }
func (e *InvitationCreated) about(Index) (UserID, Index) { return e.User, 0 }
func (*InvitationCreated) check() error                  { return nil }
