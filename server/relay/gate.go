package relay

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// A Gate is the ledger as the relay sees it: it decides, makes entries durable
// and issues. Its methods are called concurrently and honour their context.
//
// An *access.Refusal among a returned error's chain is what the user reads. Any
// other error is logged, and the user reads that the server can't decide.
//
// Certify, Watch and End are called for errands too (see Relay.Run), which no
// Start precedes: the Admission is the one that Run was given, its Identity is
// zero, and so Identity.Cert is nil. Purposes and AwaitPurposes are not: what an
// errand does is the server's own.
type Gate interface {
	// Admit checks a user certificate whose key the client has proved to hold:
	// authority, validity, options, that the ledger holds exactly this
	// certificate, and that the user is active.
	Admit(ctx context.Context, cert *ssh.Certificate, source netip.Addr) (Identity, error)

	// AwaitTouch waits for a touch of a passkey that a session of the identity would
	// start with, and not without. It returns nil at once where there is nothing to
	// wait for; otherwise it calls ask with the page where the person touches it,
	// and returns when they have, or nil when ctx is done: Start says then what is
	// missing. Its refusal is the person's, who turned it down.
	AwaitTouch(ctx context.Context, r StartRequest, ask func(page string)) error

	// Start decides whether the identity may open a session. session.started is
	// durable when it returns nil, and nothing was started when it returns an
	// error. After nil the relay calls End exactly once.
	Start(ctx context.Context, r StartRequest) (*Admission, error)

	// Certify issues the session's target certificate for a key that was made
	// for it. The certificate's entry is durable when it returns.
	Certify(ctx context.Context, a *Admission, key ssh.PublicKey) (*ssh.Certificate, error)

	// Watch blocks until the session must end (the grant ended or was removed,
	// the user was removed, a lock fell) and returns the reason, or until ctx is
	// done. An error beside a reason is what the user reads of it. Any other error
	// but the context's ends the session too: nobody knows then whether it may go
	// on.
	Watch(ctx context.Context, a *Admission) (store.EndReason, error)

	// Purposes returns what the session may do at this moment. It is asked at
	// every channel and request that does something; an error refuses.
	Purposes(ctx context.Context, a *Admission) (store.Purposes, error)

	// AwaitPurposes blocks until the session may do something else than had, and
	// returns what, or until ctx is done.
	AwaitPurposes(ctx context.Context, a *Admission, had store.Purposes) (store.Purposes, error)

	// End appends session.ended.
	End(ctx context.Context, e Ended) error

	// HostKey returns a signer whose public key is a host certificate for name:
	// the relay's own name, or a target's with the suffix. It looks nothing up:
	// before authentication every grammatical name is answered alike.
	HostKey(ctx context.Context, name string) (ssh.Signer, error)
}

// An Identity is who proved to be there, by which certificate.
type Identity struct {
	User        store.UserID
	Handle      store.Handle
	Certificate store.Index
	Cert        *ssh.Certificate
}

// A StartRequest asks for a session.
type StartRequest struct {
	Identity Identity
	Target   store.TargetName
	Login    store.Login
	Way      store.Way
	Source   netip.AddrPort
}

// An Admission is a session that was allowed and has started.
type Admission struct {
	Identity Identity // who it is for; their certificate narrows the session's. Zero for an errand
	Session  store.SessionID
	Target   store.TargetName
	Login    store.Login
	Address  string          // HOST:PORT to connect to
	HostKeys []ssh.PublicKey // pinned, at least one
	Egress   string          // the relay's address as the target sees it
	Ends     time.Time       // the relay ends the session then; zero: never
}

// Ended is how a session ended. In and Out are the bytes that came from the
// user and went to the user on all channels; for an errand the server is the
// user.
type Ended struct {
	Admission *Admission
	Reason    store.EndReason
	Duration  time.Duration
	In, Out   uint64
	Files     []store.RecordingFile
}
