package store

import "crypto/sha256"

// An EventType names what an entry says happened, as "thing.happened".
type EventType string

// The event types. docs/ledger-format.md describes each body's fields; the
// numbers are CBOR map keys and are for ever: a field is never renumbered, a
// changed meaning is a new version.
const (
	TypeLedgerCreated     EventType = "ledger.created"
	TypeRulesActivated    EventType = "rules.activated"
	TypeLedgerRestored    EventType = "ledger.restored"
	TypeClockAccepted     EventType = "clock.accepted"
	TypeSettingChanged    EventType = "setting.changed"
	TypeUserAdded         EventType = "user.added"
	TypeUserRemoved       EventType = "user.removed"
	TypeUserErased        EventType = "user.erased"
	TypeBotAdded          EventType = "bot.added"
	TypeJoinCreated       EventType = "join.created"
	TypeInvitationCreated EventType = "invitation.created"
	TypeFactorEnrolled    EventType = "factor.enrolled"
	TypeFactorNamed       EventType = "factor.named"
	TypeFactorRemoved     EventType = "factor.removed"
	TypeFactorCloned      EventType = "factor.cloned"
	TypeSignInSucceeded   EventType = "signin.succeeded"
	TypeSignInFailed      EventType = "signin.failed"
	TypeSignInStopped     EventType = "signin.stopped"
	TypeSignInConfirmed   EventType = "signin.confirmed"
	TypeSignInEnded       EventType = "signin.ended"
	TypeRecoveryCreated   EventType = "recovery.created"
	TypeUserContact       EventType = "user.contact"
	TypeRecoveryBegun     EventType = "recovery.begun"
	TypeRecoveryStopped   EventType = "recovery.stopped"
	TypeRecoveryFinished  EventType = "recovery.finished"
	TypeSSOLinked         EventType = "sso.linked"
	TypeGroupAdded        EventType = "group.added"
	TypeGroupRenamed      EventType = "group.renamed"
	TypeGroupRemoved      EventType = "group.removed"
	TypeMemberAdded       EventType = "member.added"
	TypeMemberRemoved     EventType = "member.removed"
	TypeTargetAdded       EventType = "target.added"
	TypeTargetRemoved     EventType = "target.removed"
	TypeTargetLabelled    EventType = "target.labelled"
	TypeTargetRenamed     EventType = "target.renamed"
	TypeTargetChecked     EventType = "target.checked"
	TypeTargetClosed      EventType = "target.closed"
	TypeTargetReopened    EventType = "target.reopened"
	TypeGrantAdded        EventType = "grant.added"
	TypeGrantRemoved      EventType = "grant.removed"
	TypeLockAdded         EventType = "lock.added"
	TypeLockRemoved       EventType = "lock.removed"
	TypeRequestMade       EventType = "request.made"
	TypeRequestApproved   EventType = "request.approved"
	TypeRequestDenied     EventType = "request.denied"
	TypeRequestWithdrawn  EventType = "request.withdrawn"
	TypeChangeProposed    EventType = "change.proposed"
	TypeReviewStarted     EventType = "review.started"
	TypeReviewAnswered    EventType = "review.answered"
	TypeReviewReminded    EventType = "review.reminded"
	TypeReviewEnded       EventType = "review.ended"
	TypeCertificateIssued EventType = "certificate.issued"
	TypeSessionStarted    EventType = "session.started"
	TypeSessionRefused    EventType = "session.refused"
	TypeSessionEnded      EventType = "session.ended"
)

// An Event is the body of an entry. The implementations are the structs of this
// package, all of them; events from elsewhere can't be encoded.
type Event interface {
	// EventType and the version of its body decide how the body is read.
	EventType() EventType
}

// A Hash is a SHA-256 hash.
type Hash [sha256.Size]byte

// A Millis is a moment in milliseconds since the Unix epoch, UTC. As an end it
// may be 0, which means that there is none.
type Millis int64

// LedgerCreated is entry 0: who this ledger belongs to and the public keys that
// everything after it is signed with. Keys are in SSH wire format (RFC 4253,
// section 6.6), the log key as 32 bytes of Ed25519.
type LedgerCreated struct {
	Name        string `cbor:"1,keyasint"`
	Rules       uint64 `cbor:"2,keyasint"`
	LogKey      []byte `cbor:"3,keyasint"`
	UserCA      []byte `cbor:"4,keyasint"`
	TargetCA    []byte `cbor:"5,keyasint"`
	HostCA      []byte `cbor:"6,keyasint"`
	EmergencyCA []byte `cbor:"7,keyasint"`
}

// RulesActivated says which version of the rules decides from here on.
type RulesActivated struct {
	Rules uint64 `cbor:"1,keyasint"`
}

// LedgerRestored says that the ledger was restored from a backup and that
// entries may have been lost: those from its own index up to Size, if a larger
// checkpoint was shown; Size is 0 where none was. Base is added to the indexes of
// the entries from this one on to make serials, so that no serial is ever given
// out twice.
type LedgerRestored struct {
	Base uint64 `cbor:"1,keyasint"`
	Size uint64 `cbor:"2,keyasint,omitempty"`
	Root Hash   `cbor:"3,keyasint,omitzero"`
}

// ClockAccepted says that somebody looked at the server's clock and that it is
// right: entries after this one are dated from Time on. It is the one way out of
// a ledger that was dated into the future, and the one entry after which times
// may go back.
type ClockAccepted struct {
	Time Millis `cbor:"1,keyasint"`
}

// SettingChanged sets one of the settings that rules depend on.
type SettingChanged struct {
	Setting Setting `cbor:"1,keyasint"`
	Value   string  `cbor:"2,keyasint"`
}

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

// MaxFailureCount is the most that one SignInFailed counts.
const MaxFailureCount = 10_000

// SignInEnded closes a sign-in session before it expires.
type SignInEnded struct {
	User   UserID `cbor:"1,keyasint"`
	SignIn Index  `cbor:"2,keyasint"`
}

// TargetAdded registers a host, named by its entry's index. HostKeys are the
// pinned public keys in SSH wire format; Egress is the address the relay comes
// from as that host sees it.
type TargetAdded struct {
	Name     TargetName `cbor:"1,keyasint"`
	Address  string     `cbor:"2,keyasint"`
	HostKeys [][]byte   `cbor:"3,keyasint"`
	Logins   []Login    `cbor:"4,keyasint"`
	Egress   string     `cbor:"5,keyasint"`
}

// TargetRemoved takes a host out, with every grant to it.
type TargetRemoved struct {
	Target Index `cbor:"1,keyasint"`
}

// TargetRenamed gives a host another name. Everything else about it stays, and its
// grants and sessions with it. The host itself answers to the old name until it is
// set up for the new one.
type TargetRenamed struct {
	Target Index      `cbor:"1,keyasint"`
	Name   TargetName `cbor:"2,keyasint"`
}

// TargetChecked says what a look at a host found: how many other ways into it
// there are (its doors), how many of them the check before did not list, how
// many it listed that are gone (none and none for the first check), and how many
// things could not be looked at.
// Closed says whether VaultPAM's own closing is in force. Report commits to the
// text of the DoorReport, whose owner is the zero UserID. The session's errand
// was to look.
type TargetChecked struct {
	Target  Index      `cbor:"1,keyasint"`
	Session SessionID  `cbor:"2,keyasint"`
	Doors   uint64     `cbor:"3,keyasint"`
	New     uint64     `cbor:"4,keyasint"`
	Gone    uint64     `cbor:"5,keyasint"`
	Unread  uint64     `cbor:"6,keyasint"`
	Closed  bool       `cbor:"7,keyasint"`
	Report  Commitment `cbor:"8,keyasint"`
}

// TargetClosed says that a host's other ways in were shut by a login with an
// emergency certificate of this serial, and that the ordinary login of Session
// still worked afterwards.
type TargetClosed struct {
	Target    Index     `cbor:"1,keyasint"`
	Session   SessionID `cbor:"2,keyasint"`
	Emergency Serial    `cbor:"3,keyasint"`
}

// TargetReopened says that what TargetClosed shut was taken back, and that the
// session of a check saw it so.
type TargetReopened struct {
	Target  Index     `cbor:"1,keyasint"`
	Session SessionID `cbor:"2,keyasint"`
}

// GrantRemoved takes a grant or a guardrail back before its end. User and Target
// are those of the grant, zero where it has none. Review is the review that revoked
// it, by an answer or for want of one.
type GrantRemoved struct {
	User   UserID `cbor:"1,keyasint"`
	Target Index  `cbor:"2,keyasint"`
	Grant  Index  `cbor:"3,keyasint"`
	Review Index  `cbor:"4,keyasint,omitempty"`
}

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

// SessionStarted is durable before the relay connects onward. Certificate and
// Grant are the indexes of the entries that allowed it, Ends the moment at which
// the relay will end it. A session that the server opened for an errand of its
// own has no user, certificate and grant; its entry's actor is who wanted it.
// Touched is when its person had last touched a passkey, 0 for never. Also are the
// other grants that allowed it, the first MaxAlso of them.
type SessionStarted struct {
	Session     SessionID  `cbor:"1,keyasint"`
	User        UserID     `cbor:"2,keyasint"`
	Target      Index      `cbor:"3,keyasint"`
	Login       Login      `cbor:"4,keyasint"`
	Certificate Index      `cbor:"5,keyasint"`
	Grant       Index      `cbor:"6,keyasint"`
	Way         Way        `cbor:"7,keyasint"`
	Source      Commitment `cbor:"8,keyasint"`
	Ends        Millis     `cbor:"9,keyasint,omitempty"`
	Errand      Errand     `cbor:"10,keyasint,omitempty"`
	Touched     Millis     `cbor:"11,keyasint,omitempty"`
	Also        []Index    `cbor:"12,keyasint,omitempty"`
}

// MaxAlso bounds the grants that a SessionStarted names beside the first.
const MaxAlso = 100

// SessionRefused says that a signed-in user asked for a session and why it did
// not start. Target is 0 where no registered target was named. Repetitions
// within a minute are one entry.
type SessionRefused struct {
	User   UserID  `cbor:"1,keyasint"`
	Target Index   `cbor:"2,keyasint,omitempty"`
	Login  Login   `cbor:"3,keyasint,omitempty"`
	Reason Refusal `cbor:"4,keyasint"`
}

// SessionEnded closes a session and names what was recorded.
type SessionEnded struct {
	Session  SessionID       `cbor:"1,keyasint"`
	User     UserID          `cbor:"2,keyasint"`
	Target   Index           `cbor:"3,keyasint"`
	Started  Index           `cbor:"4,keyasint"`
	Reason   EndReason       `cbor:"5,keyasint"`
	Duration int64           `cbor:"6,keyasint"` // milliseconds
	In       uint64          `cbor:"7,keyasint"` // bytes from the user
	Out      uint64          `cbor:"8,keyasint"` // bytes to the user
	Files    []RecordingFile `cbor:"9,keyasint,omitempty"`
}

// A RecordingFile names one file of a recording by what it holds.
type RecordingFile struct {
	Name   string `cbor:"1,keyasint"`
	Label  Label  `cbor:"2,keyasint"`
	Size   int64  `cbor:"3,keyasint"`
	SHA256 Hash   `cbor:"4,keyasint"`
}

func (*LedgerCreated) EventType() EventType  { return TypeLedgerCreated }
func (*RulesActivated) EventType() EventType { return TypeRulesActivated }
func (*LedgerRestored) EventType() EventType { return TypeLedgerRestored }
func (*ClockAccepted) EventType() EventType  { return TypeClockAccepted }
func (*SettingChanged) EventType() EventType { return TypeSettingChanged }
func (*UserAdded) EventType() EventType      { return TypeUserAdded }
func (*UserRemoved) EventType() EventType    { return TypeUserRemoved }

// EventType returns TypeUserErased.
func (*UserErased) EventType() EventType { return TypeUserErased }

func (*InvitationCreated) EventType() EventType { return TypeInvitationCreated }
func (*SignInSucceeded) EventType() EventType   { return TypeSignInSucceeded }
func (*SignInFailed) EventType() EventType      { return TypeSignInFailed }
func (*SignInEnded) EventType() EventType       { return TypeSignInEnded }
func (*TargetAdded) EventType() EventType       { return TypeTargetAdded }
func (*TargetRemoved) EventType() EventType     { return TypeTargetRemoved }

// EventType returns TypeTargetRenamed.
func (*TargetRenamed) EventType() EventType { return TypeTargetRenamed }

func (*TargetChecked) EventType() EventType     { return TypeTargetChecked }
func (*TargetClosed) EventType() EventType      { return TypeTargetClosed }
func (*TargetReopened) EventType() EventType    { return TypeTargetReopened }
func (*GrantRemoved) EventType() EventType      { return TypeGrantRemoved }
func (*CertificateIssued) EventType() EventType { return TypeCertificateIssued }
func (*SessionStarted) EventType() EventType    { return TypeSessionStarted }
func (*SessionRefused) EventType() EventType    { return TypeSessionRefused }
func (*SessionEnded) EventType() EventType      { return TypeSessionEnded }
