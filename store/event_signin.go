package store

// SignInSucceeded opens a sign-in session, named by its entry's index. Token is
// the SHA-256 hash of the 256 random bits that the client keeps. Step is the
// TOTP time step (RFC 6238) that is now used up, Code the number of the recovery
// code, from 1; Factor is then the index of its set. Counter is the passkey's.
// Key is what the session's calls are signed with; Machine commits to the name of
// the machine that asked. SSO is set where the company's provider was asked first:
// the entry that links its account, and SID is the SHA-256 hash of issuer, line feed
// and the provider's own session, if it named one (OpenID Connect Back-Channel
// Logout 1.0, section 2.1). Where the provider's word was all, Factor is SSO too.
type SignInSucceeded struct {
	User    UserID     `cbor:"1,keyasint"`
	Factor  Index      `cbor:"2,keyasint"`
	Kind    FactorKind `cbor:"3,keyasint"`
	Step    uint64     `cbor:"4,keyasint,omitempty"`
	Token   Hash       `cbor:"5,keyasint"`
	Expires Millis     `cbor:"6,keyasint"`
	Source  Commitment `cbor:"7,keyasint"`
	Code    uint64     `cbor:"8,keyasint,omitempty"`
	Counter uint64     `cbor:"9,keyasint,omitempty"`
	Key     ClientKey  `cbor:"10,keyasint,omitzero"`
	Machine Commitment `cbor:"11,keyasint,omitzero"`
	SSO     Index      `cbor:"12,keyasint,omitempty"`
	SID     Hash       `cbor:"13,keyasint,omitzero"`
}

// SignInFailed sums up failed attempts at one account from one source prefix
// since the last such entry. Count is capped at MaxFailureCount.
type SignInFailed struct {
	User   UserID     `cbor:"1,keyasint"`
	Count  uint64     `cbor:"2,keyasint"`
	Source Commitment `cbor:"3,keyasint"`
}

// SignInEnded closes a sign-in session before it expires.
type SignInEnded struct {
	User   UserID `cbor:"1,keyasint"`
	SignIn Index  `cbor:"2,keyasint"`
}

func (*SignInSucceeded) EventType() EventType          { return TypeSignInSucceeded }
func (e *SignInSucceeded) about(Index) (UserID, Index) { return e.User, 0 }
func (e *SignInSucceeded) check() error {
	recovery := e.Kind == FactorRecovery
	return check(want{e.Kind.valid(), "a known kind of factor"},
		want{recovery == (e.Code != 0) && e.Code <= MaxRecoveryCodes, "a code's number for a recovery code alone"},
		want{e.Kind == FactorTOTP || e.Step == 0, "a time step for TOTP alone"},
		want{e.Kind == FactorPasskey || e.Counter == 0, "a counter for a passkey alone"},
		want{e.Kind != FactorSSO || e.SSO != 0 && e.Factor == e.SSO, "a link as the factor of a single sign-on"},
		want{e.SSO != 0 || e.SID == Hash{}, "a provider's session with its link"},
		want{e.SSO == 0 || !recovery, "no recovery code beside a single sign-on"},
		want{e.SSO == 0 || e.Kind != FactorKey, "no single sign-on of a bot"})
}

func (*SignInFailed) EventType() EventType          { return TypeSignInFailed }
func (e *SignInFailed) about(Index) (UserID, Index) { return e.User, 0 }
func (e *SignInFailed) check() error {
	return check(want{0 < e.Count && e.Count <= MaxFailureCount, "a count from 1 to 10000"})
}

func (*SignInEnded) EventType() EventType          { return TypeSignInEnded }
func (e *SignInEnded) about(Index) (UserID, Index) { return e.User, 0 }
func (*SignInEnded) check() error                  { return nil }
