package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
)

// The domains of what is hashed for an approval. A changed meaning is a new one.
const (
	requestDomain  = "vaultpam request v1"
	approvalDomain = "vaultpam approval v1"
)

// RequestHash names a request, or a change that was proposed, for whoever approves
// it: the SHA-256 hash of "vaultpam request v1" and the stored bytes of its entry,
// which say what it is and which the ledger proves.
func RequestHash(entry []byte) Hash {
	return sha256.Sum256(append([]byte(requestDomain), entry...))
}

// ApprovalChallenge is what an approver's passkey signs: the SHA-256 hash of
// "vaultpam approval v1", RequestHash and the server's nonce of 32 bytes.
func ApprovalChallenge(request, nonce Hash) Hash {
	text := append([]byte(approvalDomain), request[:]...)
	return sha256.Sum256(append(text, nonce[:]...))
}

// ErrNotApproved is returned for an approval that proves nothing.
var ErrNotApproved = errors.New("not an approval of this request")

// VerifyApproval verifies, from the stored bytes of three entries and nothing else,
// that the person who holds the passkey of the entry enrolled agreed to exactly the
// request (RequestMade), or the change that was proposed (ChangeProposed): that it signed the challenge of request and nonce, at a page of the server
// whose passkeys are bound to rpID (the ledger's name), with the person's presence
// and verification. It returns ErrNotApproved otherwise.
//
// What it does not prove is when it happened, the comment, and that the passkey was
// that person's: for these the entries have to be proved to be in the ledger. An
// approval by TOTP has no signature, and is never verified.
func VerifyApproval(request, approved, enrolled []byte, rpID string) error {
	entry, user, target, err := asked(request)
	if err != nil {
		return err
	}
	said, err := decodeAs[*RequestApproved](approved)
	if err != nil {
		return err
	}
	key, err := decodeAs[*FactorEnrolled](enrolled)
	if err != nil {
		return err
	}
	s, k := said.Event.(*RequestApproved), key.Event.(*FactorEnrolled)
	switch {
	case s.Request != entry || s.User != user || s.Target != target:
		return fmt.Errorf("%w: it names another one", ErrNotApproved)
	case s.Factor != key.Index || said.Actor.User != k.User || k.User.IsZero():
		return fmt.Errorf("%w: it names another factor, or another person's", ErrNotApproved)
	case said.Actor.User == user:
		return fmt.Errorf("%w: by who made it", ErrNotApproved)
	case s.Assertion == nil || k.Passkey == nil:
		return fmt.Errorf("%w: without a passkey", ErrNotApproved)
	}
	return s.Assertion.Verify(ApprovalChallenge(RequestHash(request), s.Nonce), k.Passkey, rpID)
}

// asked reads what an approval can be of: which entry, whose and about which target.
func asked(data []byte) (Index, UserID, Index, error) {
	e, err := DecodeEntry(data)
	if err != nil {
		return 0, UserID{}, 0, err
	}
	switch v := e.Event.(type) {
	case *RequestMade:
		return e.Index, v.User, v.Target, nil
	case *ChangeProposed:
		if e.Actor.User != v.User {
			return 0, UserID{}, 0, fmt.Errorf("%w: somebody else's name is on it", ErrNotApproved)
		}
		return e.Index, v.User, v.Target, nil
	}
	return 0, UserID{}, 0, fmt.Errorf("%w: entry %d is %s", ErrNotApproved, e.Index, e.Event.EventType())
}

func decodeAs[T Event](data []byte) (*Entry, error) {
	e, err := DecodeEntry(data)
	if err != nil {
		return nil, err
	}
	if _, ok := e.Event.(T); !ok {
		return nil, fmt.Errorf("%w: entry %d is %s", ErrNotApproved, e.Index, e.Event.EventType())
	}
	return e, nil
}

// The flags of authenticator data (WebAuthn Level 3, section 6.1).
const (
	flagPresent  = 1 << 0
	flagVerified = 1 << 2
)

// Verify verifies that a passkey signed a challenge at a page of rpID, with its
// person's presence and verification (WebAuthn Level 3, section 7.2, without what
// takes the ceremony's own memory). It returns ErrNotApproved otherwise.
func (a *Assertion) Verify(challenge Hash, key *Passkey, rpID string) error {
	rp := sha256.Sum256([]byte(rpID))
	if len(a.AuthenticatorData) < 37 || !bytes.Equal(a.AuthenticatorData[:32], rp[:]) {
		return fmt.Errorf("%w: for another server", ErrNotApproved)
	}
	if a.AuthenticatorData[32]&(flagPresent|flagVerified) != flagPresent|flagVerified {
		return fmt.Errorf("%w: its person was not verified", ErrNotApproved)
	}
	client, err := readClientData(a.ClientDataJSON)
	if err != nil {
		return fmt.Errorf("%w: client data: %w", ErrNotApproved, err)
	}
	if client["type"] != "webauthn.get" || client["challenge"] != base64.RawURLEncoding.EncodeToString(challenge[:]) {
		return fmt.Errorf("%w: something else was signed", ErrNotApproved)
	}
	if cross, ok := client["crossOrigin"]; ok && cross != false || client["topOrigin"] != nil || !originOf(client["origin"], rpID) {
		return fmt.Errorf("%w: at another page", ErrNotApproved)
	}
	hash := sha256.Sum256(a.ClientDataJSON)
	if err := verifyCOSE(key.PublicKey, append(bytes.Clone(a.AuthenticatorData), hash[:]...), a.Signature); err != nil {
		return fmt.Errorf("%w: %w", ErrNotApproved, err)
	}
	return nil
}

// readClientData reads the members of a JSON object, each of which stands there
// once: one reader takes the first of two and another the last.
func readClientData(data []byte) (map[string]any, error) {
	errNone := errors.New("no object whose members stand there once")
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errNone
	}
	all := map[string]any{}
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		if _, twice := all[name]; err != nil || !ok || twice {
			return nil, errNone
		}
		var value any
		if err := dec.Decode(&value); err != nil {
			return nil, errNone
		}
		all[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errNone
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errNone
	}
	return all, nil
}

// originOf reports whether an origin is an https one of a name, or below it: what
// browsers let use that name's passkeys (WebAuthn Level 3, section 5.1.4.1).
func originOf(origin any, name string) bool {
	text, _ := origin.(string)
	u, err := url.Parse(text)
	if err != nil || name == "" || text != "https://"+u.Host {
		return false
	}
	return u.Hostname() == name || strings.HasSuffix(u.Hostname(), "."+name)
}
