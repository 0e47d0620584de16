package store

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// An Entry is one line of the ledger.
//
// Its stored bytes, the leaf of the Merkle tree, are deterministic CBOR
// (RFC 8949, section 4.2.1): the array
//
//	[index, milliseconds since the Unix epoch, type, version, actor, body]
//
// where the actor is 16 bytes of user ID, or empty for the server itself, or
// the single byte 0x01 for the administrator on the server's own machine, and
// the body is a map with integer keys. There is exactly one encoding of an
// entry; any other is refused. docs/ledger-format.md has the CDDL.
type Entry struct {
	Index Index
	Time  Millis
	Actor Actor
	Event Event
}

// An Actor is who caused an entry. The zero Actor is the server itself.
type Actor struct {
	User UserID
	// Local is set for the administrator on the server's own machine, who came
	// by the unix socket or by `vaultpamd init` and is no user.
	Local bool
}

// ErrUnknownEvent is returned for an entry whose type or version this program
// does not know. Whoever meets it stops deciding; skipping the entry could skip
// a revocation.
var ErrUnknownEvent = errors.New("entry of an unknown type or version")

// ErrMalformed is returned for bytes that are not the one encoding of an entry.
var ErrMalformed = errors.New("malformed entry")

// MaxEntry bounds an entry's stored bytes.
const MaxEntry = 64 << 10

// wireEntry is the array of an entry's stored bytes.
type wireEntry struct {
	_       struct{} `cbor:",toarray"`
	Index   uint64
	Time    int64
	Type    string
	Version uint64
	Actor   []byte
	Body    cbor.RawMessage
}

var localActor = []byte{1}

// codec holds the one way to write CBOR and the one way to read it.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

var cborCodec = newCodec()

func newCodec() codec {
	enc, err := cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		IndefLength:   cbor.IndefLengthForbidden,
		NilContainers: cbor.NilContainerAsEmpty, // null is no second way to write "nothing"
		TagsMd:        cbor.TagsForbidden,
	}.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		UTF8:              cbor.UTF8RejectInvalid,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  4096,
		MaxMapPairs:       64,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return codec{enc, dec}
}

// Encode returns the entry's stored bytes.
func (e *Entry) Encode() ([]byte, error) {
	if e.Event == nil {
		return nil, errors.New("encoding an entry without an event")
	}
	if e.Actor.Local && !e.Actor.User.IsZero() {
		return nil, fmt.Errorf("encoding %s: the actor is a user and the local administrator", e.Event.EventType())
	}
	if _, err := newEvent(e.Event.EventType(), 1); err != nil {
		return nil, err
	}
	if err := e.Event.check(); err != nil {
		return nil, fmt.Errorf("encoding %s: %w", e.Event.EventType(), err)
	}
	body, err := cborCodec.enc.Marshal(e.Event)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", e.Event.EventType(), err)
	}
	w := wireEntry{
		Index:   uint64(e.Index),
		Time:    int64(e.Time),
		Type:    string(e.Event.EventType()),
		Version: 1,
		Actor:   e.Actor.encode(),
		Body:    body,
	}
	data, err := cborCodec.enc.Marshal(w)
	if err == nil && len(data) > MaxEntry {
		err = fmt.Errorf("%d bytes are more than an entry may hold (%d)", len(data), MaxEntry)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", e.Event.EventType(), err)
	}
	return data, nil
}

// DecodeEntry reads stored bytes. It returns ErrUnknownEvent or ErrMalformed.
func DecodeEntry(data []byte) (*Entry, error) {
	if len(data) > MaxEntry {
		return nil, fmt.Errorf("%w: %d bytes", ErrMalformed, len(data))
	}
	var w wireEntry
	if err := cborCodec.dec.Unmarshal(data, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	event, err := newEvent(EventType(w.Type), w.Version)
	if err != nil {
		return nil, err
	}
	if err := cborCodec.dec.Unmarshal(w.Body, event); err != nil {
		return nil, fmt.Errorf("%w: body of %s: %w", ErrMalformed, w.Type, err)
	}
	actor, err := decodeActor(w.Actor)
	if err != nil {
		return nil, err
	}
	e := &Entry{Index: Index(w.Index), Time: Millis(w.Time), Actor: actor, Event: event}
	again, err := e.Encode()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("%w: not in its deterministic encoding", ErrMalformed)
	}
	return e, nil
}

// Known reports whether there are events of a type.
func (t EventType) Known() bool {
	_, err := newEvent(t, 1)
	return err == nil
}

// Onward returns the earliest time that the entry behind e may have: e's own, but
// for the one entry after which times may go back.
func (e *Entry) Onward() Millis {
	if accepted, ok := e.Event.(*ClockAccepted); ok {
		return accepted.Time
	}
	return e.Time
}

func (a Actor) encode() []byte {
	switch {
	case a.Local:
		return localActor
	case a.User.IsZero():
		return []byte{}
	default:
		return a.User[:]
	}
}

func decodeActor(b []byte) (Actor, error) {
	switch {
	case len(b) == 0:
		return Actor{}, nil
	case bytes.Equal(b, localActor):
		return Actor{Local: true}, nil
	case len(b) == len(UserID{}):
		return Actor{User: UserID(b)}, nil
	}
	return Actor{}, fmt.Errorf("%w: actor of %d bytes", ErrMalformed, len(b))
}

// newEvent returns an empty body of the type and version.
func newEvent(t EventType, version uint64) (Event, error) {
	if version != 1 {
		return nil, fmt.Errorf("%w: %q version %d", ErrUnknownEvent, clip(string(t)), version)
	}
	switch t {
	case TypeLedgerCreated:
		return new(LedgerCreated), nil
	case TypeRulesActivated:
		return new(RulesActivated), nil
	case TypeLedgerRestored:
		return new(LedgerRestored), nil
	case TypeClockAccepted:
		return new(ClockAccepted), nil
	case TypeSettingChanged:
		return new(SettingChanged), nil
	case TypeUserAdded:
		return new(UserAdded), nil
	case TypeUserRemoved:
		return new(UserRemoved), nil
	case TypeUserErased:
		return new(UserErased), nil
	case TypeBotAdded:
		return new(BotAdded), nil
	case TypeJoinCreated:
		return new(JoinCreated), nil
	case TypeInvitationCreated:
		return new(InvitationCreated), nil
	case TypeFactorEnrolled:
		return new(FactorEnrolled), nil
	case TypeFactorNamed:
		return new(FactorNamed), nil
	case TypeFactorRemoved:
		return new(FactorRemoved), nil
	case TypeFactorCloned:
		return new(FactorCloned), nil
	case TypeSignInConfirmed:
		return new(SignInConfirmed), nil
	case TypeSignInSucceeded:
		return new(SignInSucceeded), nil
	case TypeSignInFailed:
		return new(SignInFailed), nil
	case TypeSignInStopped:
		return new(SignInStopped), nil
	case TypeRecoveryCreated:
		return new(RecoveryCreated), nil
	case TypeUserContact:
		return new(UserContact), nil
	case TypeRecoveryBegun:
		return new(RecoveryBegun), nil
	case TypeRecoveryStopped:
		return new(RecoveryStopped), nil
	case TypeRecoveryFinished:
		return new(RecoveryFinished), nil
	case TypeSignInEnded:
		return new(SignInEnded), nil
	case TypeSSOLinked:
		return new(SSOLinked), nil
	case TypeGroupAdded:
		return new(GroupAdded), nil
	case TypeGroupRenamed:
		return new(GroupRenamed), nil
	case TypeGroupRemoved:
		return new(GroupRemoved), nil
	case TypeMemberAdded:
		return new(MemberAdded), nil
	case TypeMemberRemoved:
		return new(MemberRemoved), nil
	case TypeTargetAdded:
		return new(TargetAdded), nil
	case TypeTargetRemoved:
		return new(TargetRemoved), nil
	case TypeTargetRenamed:
		return new(TargetRenamed), nil
	case TypeTargetLabelled:
		return new(TargetLabelled), nil
	case TypeTargetChecked:
		return new(TargetChecked), nil
	case TypeTargetClosed:
		return new(TargetClosed), nil
	case TypeTargetReopened:
		return new(TargetReopened), nil
	case TypeGrantAdded:
		return new(GrantAdded), nil
	case TypeGrantRemoved:
		return new(GrantRemoved), nil
	case TypeLockAdded:
		return new(LockAdded), nil
	case TypeLockRemoved:
		return new(LockRemoved), nil
	case TypeRequestMade:
		return new(RequestMade), nil
	case TypeRequestApproved:
		return new(RequestApproved), nil
	case TypeRequestDenied:
		return new(RequestDenied), nil
	case TypeRequestWithdrawn:
		return new(RequestWithdrawn), nil
	case TypeChangeProposed:
		return new(ChangeProposed), nil
	case TypeReviewStarted:
		return new(ReviewStarted), nil
	case TypeReviewAnswered:
		return new(ReviewAnswered), nil
	case TypeReviewReminded:
		return new(ReviewReminded), nil
	case TypeReviewEnded:
		return new(ReviewEnded), nil
	case TypeCertificateIssued:
		return new(CertificateIssued), nil
	case TypeSessionStarted:
		return new(SessionStarted), nil
	case TypeSessionRefused:
		return new(SessionRefused), nil
	case TypeSessionEnded:
		return new(SessionEnded), nil
	}
	return nil, fmt.Errorf("%w: %q version %d", ErrUnknownEvent, clip(string(t)), version)
}

// At returns t as a Millis.
func At(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Time returns the moment in UTC. For a Millis of 0 it returns the zero Time.
func (m Millis) Time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(m)).UTC()
}
