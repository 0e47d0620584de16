package store

const (
	// MaxFactors is the most factors that one person has at a time.
	MaxFactors = 20
	// MaxCredentialID is the longest ID of a WebAuthn credential in bytes
	// (WebAuthn Level 3, section 4, "Credential ID").
	MaxCredentialID = 1023
	// maxPublicKey bounds a COSE_Key: an RSA key of 8192 bits fits.
	maxPublicKey = 2048
)

// A ClientKey is the Ed25519 public key that a client made for one sign-in
// session. Whoever calls as that session signs each call with it.
type ClientKey [32]byte

// IsZero reports whether there is no key.
func (k ClientKey) IsZero() bool { return k == ClientKey{} }

// An AAGUID says which model an authenticator is, where it says so at all
// (WebAuthn Level 3, section 6.5.1).
type AAGUID [16]byte

// A Passkey is a WebAuthn credential as it was enrolled: its ID, its public key
// as a COSE_Key (RFC 9052, section 7), the signature counter, the model of the
// authenticator, and the flags of its authenticator data (WebAuthn Level 3,
// section 6.1). It holds no secret, so that anybody can verify later what was
// signed with it.
type Passkey struct {
	Credential []byte `cbor:"1,keyasint"`
	PublicKey  []byte `cbor:"2,keyasint"`
	Counter    uint64 `cbor:"3,keyasint,omitempty"`
	AAGUID     AAGUID `cbor:"4,keyasint,omitzero"`
	Flags      uint64 `cbor:"5,keyasint,omitempty"`
}

func (p *Passkey) check() error {
	return check(
		want{0 < len(p.Credential) && len(p.Credential) <= MaxCredentialID, "a credential ID of 1 to 1023 bytes"},
		want{0 < len(p.PublicKey) && len(p.PublicKey) <= maxPublicKey, "a public key of 1 to 2048 bytes"},
		want{p.Counter <= 1<<32-1 && p.Flags <= 0xff, "a counter of 32 and flags of 8 bits"},
	)
}

// FactorEnrolled gives a person another factor, named by its entry's index. One
// that an invitation was used up for takes the place of all before it; one that
// the person added in the sign-in session SignIn stands beside them, but for
// TOTP, of which there is one. Step is the TOTP time step of the code that proved
// it; Passkey is set for a passkey alone. Name commits to what its owner calls it.
//
// A bot's factors are keys: Key is the public key in SSH wire format (RFC 4253,
// section 6.6), of Ed25519 or ECDSA on P-256, and Join the entry of the token that
// was used up for it, or 0 where an administrator named it. A key stands beside
// those before it.
type FactorEnrolled struct {
	User       UserID     `cbor:"1,keyasint"`
	Kind       FactorKind `cbor:"2,keyasint"`
	Invitation Index      `cbor:"3,keyasint"`
	Step       uint64     `cbor:"4,keyasint,omitempty"`
	Passkey    *Passkey   `cbor:"5,keyasint,omitempty"`
	Name       Commitment `cbor:"6,keyasint,omitzero"`
	SignIn     Index      `cbor:"7,keyasint,omitempty"`
	Key        []byte     `cbor:"8,keyasint,omitempty"`
	Join       Index      `cbor:"9,keyasint,omitempty"`
}

func (e *FactorEnrolled) check() error {
	if e.Kind == FactorKey {
		return check(want{0 < len(e.Key) && len(e.Key) <= maxBotKey, "a public key of 1 to 256 bytes"},
			want{e.Invitation == 0 && e.SignIn == 0 && e.Step == 0 && e.Passkey == nil, "nothing of a person's factors for a key"})
	}
	passkey := e.Kind == FactorPasskey
	if err := check(want{passkey || e.Kind == FactorTOTP, "a kind of factor that is enrolled"},
		want{passkey == (e.Passkey != nil), "a credential for a passkey alone"},
		want{!passkey || e.Step == 0, "no time step for a passkey"},
		want{len(e.Key) == 0 && e.Join == 0, "no bot's key for a person"},
		want{(e.Invitation == 0) != (e.SignIn == 0), "an invitation or a sign-in session"}); err != nil || !passkey {
		return err
	}
	return e.Passkey.check()
}

// FactorNamed gives a factor another name.
type FactorNamed struct {
	User   UserID     `cbor:"1,keyasint"`
	Factor Index      `cbor:"2,keyasint"`
	Name   Commitment `cbor:"3,keyasint"`
}

// FactorRemoved takes a factor away. It is never the last of a person's; a bot
// without a key waits for another. What a bot signed in to with its key is over.
type FactorRemoved struct {
	User   UserID `cbor:"1,keyasint"`
	Factor Index  `cbor:"2,keyasint"`
}

// FactorCloned says that a passkey's signature counter did not go on from where
// it was: Counter was shown after Last. The assertion verified, so that somebody
// holds a copy of its private key (WebAuthn Level 3, section 6.1.1). The factor
// proves nothing from then on.
type FactorCloned struct {
	User    UserID `cbor:"1,keyasint"`
	Factor  Index  `cbor:"2,keyasint"`
	Counter uint64 `cbor:"3,keyasint"`
	Last    uint64 `cbor:"4,keyasint"`
}

// SignInConfirmed says that the person of a sign-in session was there again and
// proved it with a factor: a touch of a passkey, whose Counter it is, or a TOTP
// code, whose Step is used up.
type SignInConfirmed struct {
	User    UserID     `cbor:"1,keyasint"`
	SignIn  Index      `cbor:"2,keyasint"`
	Factor  Index      `cbor:"3,keyasint"`
	Kind    FactorKind `cbor:"4,keyasint"`
	Step    uint64     `cbor:"5,keyasint,omitempty"`
	Counter uint64     `cbor:"6,keyasint,omitempty"`
	Source  Commitment `cbor:"7,keyasint"`
}

// EventType returns TypeFactorEnrolled.
func (*FactorEnrolled) EventType() EventType          { return TypeFactorEnrolled }
func (e *FactorEnrolled) about(Index) (UserID, Index) { return e.User, 0 }

// EventType returns TypeFactorNamed.
func (*FactorNamed) EventType() EventType          { return TypeFactorNamed }
func (e *FactorNamed) about(Index) (UserID, Index) { return e.User, 0 }
func (e *FactorNamed) check() error {
	return check(want{!e.User.IsZero() && e.Factor != 0, "a user's factor"}, want{e.Name != Commitment{}, "a name"})
}

// EventType returns TypeFactorRemoved.
func (*FactorRemoved) EventType() EventType          { return TypeFactorRemoved }
func (e *FactorRemoved) about(Index) (UserID, Index) { return e.User, 0 }
func (e *FactorRemoved) check() error {
	return check(want{!e.User.IsZero() && e.Factor != 0, "a user's factor"})
}

// EventType returns TypeFactorCloned.
func (*FactorCloned) EventType() EventType          { return TypeFactorCloned }
func (e *FactorCloned) about(Index) (UserID, Index) { return e.User, 0 }
func (e *FactorCloned) check() error {
	return check(want{!e.User.IsZero() && e.Factor != 0, "a user's factor"}, want{e.Counter <= e.Last && e.Last <= 1<<32-1, "a counter that did not go on"})
}

// EventType returns TypeSignInConfirmed.
func (*SignInConfirmed) EventType() EventType          { return TypeSignInConfirmed }
func (e *SignInConfirmed) about(Index) (UserID, Index) { return e.User, 0 }

func (e *SignInConfirmed) check() error {
	return check(want{!e.User.IsZero() && e.SignIn != 0 && e.Factor != 0, "a user's sign-in session and factor"},
		want{e.Kind == FactorTOTP || e.Kind == FactorPasskey, "a kind of factor that is enrolled"},
		want{e.Kind == FactorTOTP || e.Step == 0, "a time step for TOTP alone"},
		want{e.Kind == FactorPasskey || e.Counter == 0, "a counter for a passkey alone"})
}
