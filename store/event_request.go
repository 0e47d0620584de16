package store

const (
	// MaxRequestLife is the longest time in which a request can be answered, and
	// MaxRequestLasts the longest that what it asks for lasts.
	MaxRequestLife  Millis = 7 * 24 * 60 * 60 * 1000
	MaxRequestLasts Millis = MaxLongestMinutes * 60 * 1000
	// Bounds of what an authenticator and a browser made of a challenge, in bytes.
	maxAuthenticatorData = 2048
	maxClientData        = 4096
	maxSignature         = 1024
)

// RequestMade says that somebody wants what a grant with conditions says, as one
// login of one target, for Lasts from when it is approved. It is named by its
// entry's index, and by RequestHash of its stored bytes for whoever approves it. For
// is what it is for, nothing for all that the grant says. Reason and Ticket commit
// to what the requester wrote, Source to where they came from. Nobody answers it
// from Expires on: running out makes no entry. Nonce is random.
type RequestMade struct {
	User    UserID     `cbor:"1,keyasint"`
	Target  Index      `cbor:"2,keyasint"`
	Login   Login      `cbor:"3,keyasint"`
	Base    Index      `cbor:"4,keyasint"`
	For     Purposes   `cbor:"5,keyasint,omitempty"`
	Lasts   Millis     `cbor:"6,keyasint"`
	Reason  Commitment `cbor:"7,keyasint,omitzero"`
	Ticket  Commitment `cbor:"8,keyasint,omitzero"`
	Expires Millis     `cbor:"9,keyasint"`
	Nonce   Hash       `cbor:"10,keyasint"`
	Source  Commitment `cbor:"11,keyasint"`
}

// An Assertion is what a passkey signed, whole as the browser sent it (WebAuthn
// Level 3, section 5.2.2), so that anybody verifies it with the key that
// FactorEnrolled has.
type Assertion struct {
	AuthenticatorData []byte `cbor:"1,keyasint"`
	ClientDataJSON    []byte `cbor:"2,keyasint"`
	Signature         []byte `cbor:"3,keyasint"`
}

// Counter returns the signature counter that the passkey said, 0 where it does not
// count (WebAuthn Level 3, section 6.1).
func (a *Assertion) Counter() uint64 {
	if a == nil || len(a.AuthenticatorData) < 37 {
		return 0
	}
	var n uint64
	for _, b := range a.AuthenticatorData[33:37] {
		n = n<<8 | uint64(b)
	}
	return n
}

// RequestApproved says that the entry's actor agrees to a request of User's for
// Target, or to a change that User proposed (ChangeProposed), about Target or about
// none (0); Request is the entry of either. With a passkey they signed ApprovalChallenge, which the server's Nonce is
// a part of: VerifyApproval. With TOTP, where the company allows that, the server's
// word is all there is, and Step is used up. SignIn is the session they did it in,
// Comment commits to what they wrote.
type RequestApproved struct {
	User      UserID     `cbor:"1,keyasint"`
	Target    Index      `cbor:"2,keyasint"`
	Request   Index      `cbor:"3,keyasint"`
	SignIn    Index      `cbor:"4,keyasint"`
	Factor    Index      `cbor:"5,keyasint"`
	Kind      FactorKind `cbor:"6,keyasint"`
	Nonce     Hash       `cbor:"7,keyasint,omitzero"`
	Assertion *Assertion `cbor:"8,keyasint,omitempty"`
	Step      uint64     `cbor:"9,keyasint,omitempty"`
	Comment   Commitment `cbor:"10,keyasint,omitzero"`
}

// RequestDenied says that an approver, its actor, turned a request down, or an
// administrator what another one proposed. That ends it.
type RequestDenied struct {
	User    UserID     `cbor:"1,keyasint"`
	Target  Index      `cbor:"2,keyasint"`
	Request Index      `cbor:"3,keyasint"`
	Comment Commitment `cbor:"4,keyasint"`
}

// RequestWithdrawn says that who made a request, or proposed a change, does not want
// it any more.
type RequestWithdrawn struct {
	User    UserID `cbor:"1,keyasint"`
	Target  Index  `cbor:"2,keyasint"`
	Request Index  `cbor:"3,keyasint"`
}

func (e *RequestMade) check() error {
	if _, err := ParseLogin(string(e.Login)); err != nil {
		return err
	}
	if len(e.For) > 0 {
		if err := e.For.CheckGrant(); err != nil {
			return err
		}
	}
	return check(want{!e.User.IsZero() && e.Target != 0 && e.Base != 0, "a user, a target and a grant"},
		want{0 < e.Lasts && e.Lasts <= MaxRequestLasts, "a time of at most 31 days"},
		want{e.Expires > 0, "a moment at which it runs out"}, want{e.Nonce != Hash{}, "a nonce"})
}

func (e *RequestApproved) check() error {
	passkey := e.Kind == FactorPasskey
	if err := check(want{!e.User.IsZero() && e.Request != 0, "a user's request"},
		want{e.SignIn != 0 && e.Factor != 0, "a sign-in session and a factor"},
		want{passkey || e.Kind == FactorTOTP, "a kind of factor that is enrolled"},
		want{passkey == (e.Assertion != nil), "what was signed for a passkey alone"},
		want{passkey == (e.Nonce != Hash{}), "a nonce for a passkey alone"},
		want{passkey == (e.Step == 0), "a time step for TOTP alone"}); err != nil || !passkey {
		return err
	}
	a := e.Assertion
	return check(want{37 <= len(a.AuthenticatorData) && len(a.AuthenticatorData) <= maxAuthenticatorData, "authenticator data of 37 to 2048 bytes"},
		want{0 < len(a.ClientDataJSON) && len(a.ClientDataJSON) <= maxClientData, "client data of 1 to 4096 bytes"},
		want{0 < len(a.Signature) && len(a.Signature) <= maxSignature, "a signature of 1 to 1024 bytes"})
}

// EventType returns TypeRequestMade.
func (*RequestMade) EventType() EventType          { return TypeRequestMade }
func (e *RequestMade) about(Index) (UserID, Index) { return e.User, e.Target }

// EventType returns TypeRequestApproved.
func (*RequestApproved) EventType() EventType          { return TypeRequestApproved }
func (e *RequestApproved) about(Index) (UserID, Index) { return e.User, e.Target }

// EventType returns TypeRequestDenied.
func (*RequestDenied) EventType() EventType          { return TypeRequestDenied }
func (e *RequestDenied) about(Index) (UserID, Index) { return e.User, e.Target }
func (e *RequestDenied) check() error {
	return check(want{!e.User.IsZero() && e.Request != 0, "a user's request"}, want{e.Comment != Commitment{}, "a comment"})
}

// EventType returns TypeRequestWithdrawn.
func (*RequestWithdrawn) EventType() EventType          { return TypeRequestWithdrawn }
func (e *RequestWithdrawn) about(Index) (UserID, Index) { return e.User, e.Target }
func (e *RequestWithdrawn) check() error {
	return check(want{!e.User.IsZero() && e.Request != 0, "a user's request"})
}
