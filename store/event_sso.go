package store

// SSOLinked ties a user to one account of the company's OpenID provider, in place
// of the one before it. Identity commits to the account's issuer and subject
// (OpenID Connect Core 1.0, section 2), which are joined by a line feed. What the
// provider calls that account (its handle, its address) plays no part from then on.
type SSOLinked struct {
	User     UserID     `cbor:"1,keyasint"`
	Identity Commitment `cbor:"2,keyasint"`
}

// EventType returns TypeSSOLinked.
func (*SSOLinked) EventType() EventType          { return TypeSSOLinked }
func (e *SSOLinked) about(Index) (UserID, Index) { return e.User, 0 }
func (e *SSOLinked) check() error {
	return check(want{!e.User.IsZero(), "a user"}, want{e.Identity != Commitment{}, "an identity"})
}
