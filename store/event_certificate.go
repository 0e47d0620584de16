package store

import "errors"

// CertificateIssued is durable before the certificate is signed. TBS is the
// SHA-256 hash of the bytes to be signed. A target certificate carries the
// target, the login and the session; Parent is the index of the user
// certificate that opened it. User and Parent are zero where the server opened
// the session itself.
//
// A direct one is for a key of the user's own, past the relay. It has no session
// and no parent, but the sign-in session it was asked for in, the grant that
// allows it the longest, and the address that the user asked from.
type CertificateIssued struct {
	Kind    CertificateKind `cbor:"1,keyasint"`
	User    UserID          `cbor:"2,keyasint"`
	TBS     Hash            `cbor:"3,keyasint"`
	Expires Millis          `cbor:"4,keyasint"`
	Rules   uint64          `cbor:"5,keyasint"`
	SignIn  Index           `cbor:"6,keyasint,omitempty"`
	Target  Index           `cbor:"7,keyasint,omitempty"`
	Login   Login           `cbor:"8,keyasint,omitempty"`
	Session SessionID       `cbor:"9,keyasint,omitzero"`
	Parent  Index           `cbor:"10,keyasint,omitempty"`
	Direct  bool            `cbor:"11,keyasint,omitempty"`
	Grant   Index           `cbor:"12,keyasint,omitempty"`
	Source  Commitment      `cbor:"13,keyasint,omitzero"`
}

func (*CertificateIssued) EventType() EventType          { return TypeCertificateIssued }
func (e *CertificateIssued) about(Index) (UserID, Index) { return e.User, e.Target }
func (e *CertificateIssued) check() error {
	target := e.Kind == CertificateTarget
	var err error
	if e.Login != "" {
		_, err = ParseLogin(string(e.Login))
	}
	return errors.Join(err, check(want{e.Kind.valid(), "a known kind of certificate"},
		want{target == (e.Target != 0), "a target for a target certificate alone"},
		want{target == (e.Login != ""), "a login for a target certificate alone"},
		want{(target && !e.Direct) == !e.Session.IsZero(), "a session for a target certificate alone that is not direct"},
		want{!e.Direct || target && e.SignIn != 0 && e.Parent == 0, "a sign-in session and no parent for a direct target certificate"},
		want{e.Direct == (e.Grant != 0), "a grant for a direct certificate alone"},
		want{e.Direct == (e.Source != Commitment{}), "a source for a direct certificate alone"},
		want{target && !e.Direct || !e.User.IsZero(), "a user, but for an errand"},
		want{!e.User.IsZero() || e.Parent == 0, "no parent without a user"}))
}
