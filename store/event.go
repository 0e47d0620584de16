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
	// check holds the event to the grammars and the closed sets, when it is written
	// and when it is read: what a ledger says can be relied on without looking again.
	check() error
	// about returns the user and the target that the event's entry, whose index is
	// at, is found by; 0 is none.
	about(at Index) (UserID, Index)
}

// A Hash is a SHA-256 hash.
type Hash [sha256.Size]byte

// A Millis is a moment in milliseconds since the Unix epoch, UTC. As an end it
// may be 0, which means that there is none.
type Millis int64

// MaxFailureCount is the most that one SignInFailed counts.
const MaxFailureCount = 10_000

// MaxAlso bounds the grants that a SessionStarted names beside the first.
const MaxAlso = 100
