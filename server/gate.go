package server

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// A gate is the ledger as the relay sees it.
type gate struct {
	*Node
}

var _ relay.Gate = (*gate)(nil)

// Admit checks a certificate by itself, then that the ledger holds exactly it,
// then that its user is still one.
func (g *gate) Admit(ctx context.Context, cert *ssh.Certificate, source netip.Addr) (relay.Identity, error) {
	user, err := ca.CheckUser(cert, g.keys.user.PublicKey(), g.Now(), source)
	if err != nil {
		return relay.Identity{}, certificateRefusal(cert, g.Now(), err)
	}
	index, issued, err := g.ledger.Issued(ctx, cert)
	if err == nil && (issued.Kind != store.CertificateUser || issued.User != user) {
		err = ledger.ErrForgery
	}
	if errors.Is(err, ledger.ErrForgery) {
		// The CA's signature verifies: somebody else has the key. That is an entry.
		g.Log.Error("a certificate under the user CA is not in the ledger: the key is in other hands", "serial", cert.Serial)
		_, err = g.ledger.Do(ctx, access.RefuseSession{User: user, Reason: store.RefusedForgery})
		return relay.Identity{}, err
	}
	if errors.Is(err, store.ErrCorrupt) {
		g.Log.Error("the entry of a certificate is not the one that the ledger's tree holds: somebody changed the database", "serial", cert.Serial, "error", err)
	}
	if err != nil {
		return relay.Identity{}, err
	}
	u, ok := g.ledger.State().User(user)
	if !ok {
		return relay.Identity{}, &access.Refusal{
			Kind: access.Forbidden, Reason: store.RefusedNotActive,
			Message: "this user has been removed", Hint: "ask an administrator",
		}
	}
	return relay.Identity{User: u.ID, Handle: u.Handle, Certificate: index, Cert: cert}, nil
}

// certificateRefusal says in a sentence what is wrong with a certificate.
func certificateRefusal(cert *ssh.Certificate, now time.Time, err error) error {
	r := &access.Refusal{Kind: access.Unauthenticated, Hint: "vaultpam login"}
	switch {
	case errors.Is(err, ca.ErrExpired):
		ago := now.Sub(time.Unix(int64(cert.ValidBefore), 0)).Round(time.Second)
		r.Message, r.Hint = fmt.Sprintf("your certificate expired %s ago", ago), "vaultpam cert"
	case errors.Is(err, ca.ErrNotYetValid):
		r.Message, r.Hint = "your certificate is not valid yet", "check this machine's clock, then: vaultpam cert"
	case errors.Is(err, ca.ErrSource):
		r.Message = "your certificate may not be used from this address"
	case errors.Is(err, ca.ErrForeign):
		r.Message, r.Hint = "this certificate is of another authority", "vaultpam cert"
	case errors.Is(err, ca.ErrWrongType):
		r.Message, r.Hint = "this certificate is not a user certificate", "vaultpam cert"
	default:
		r.Message, r.Hint = "this certificate is not one that VaultPAM issues: "+err.Error(), "vaultpam cert"
	}
	return r
}

// signInOf is the sign-in session that an identity's certificate came from.
func (g *gate) signInOf(ctx context.Context, who relay.Identity) (store.Index, error) {
	e, err := g.ledger.Proved(ctx, who.Certificate)
	if err != nil {
		return 0, err
	}
	issued, ok := e.Event.(*store.CertificateIssued)
	if !ok {
		return 0, ledger.ErrForgery
	}
	return issued.SignIn, nil
}

// AwaitTouch waits until the ledger says that the touch was there, whichever page
// it was made on.
func (g *gate) AwaitTouch(ctx context.Context, r relay.StartRequest, ask func(page string)) error {
	signIn, err := g.signInOf(ctx, r.Identity)
	if err != nil {
		return err
	}
	wanted := func() (access.SignIn, bool) {
		s, now := g.ledger.State(), store.At(g.Now())
		x, ok := s.SignIn(signIn, now)
		return x, ok && x.User == r.Identity.User && s.WantsTouch(x, r.Target, r.Login, now)
	}
	x, ok := wanted()
	if !ok {
		return nil
	}
	u, _ := g.ledger.State().User(x.User)
	if u.Bot {
		return nil // nobody could touch it: Start says so
	}
	begun, err := g.login.BeginConfirm(signIn, login.PurposeConfirm, fmt.Sprintf("%s@%s wants a fresh touch", r.Login, r.Target),
		login.Client{Source: r.Source.Addr(), Machine: g.machineOf(u, x)})
	if err != nil {
		g.Log.Info("no page to touch a passkey on", "user", x.User.String(), "error", err)
		return nil // Start says what is missing
	}
	ask(g.browserResponse(begun).URL)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- g.login.Wait(ctx, begun.ID, signIn) }() // ends with ctx
	for {
		changed := g.ledger.Changed()
		if _, ok := wanted(); !ok {
			return nil
		}
		select {
		case err := <-answered:
			var refused *access.Refusal
			if errors.As(err, &refused) {
				return err
			}
			answered = nil // the time is over, or the ledger says it in a moment
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// Start decides and makes session.started durable.
func (g *gate) Start(ctx context.Context, r relay.StartRequest) (*relay.Admission, error) {
	signIn, err := g.signInOf(ctx, r.Identity)
	if err != nil {
		return nil, err
	}
	c := access.StartSession{
		Certificate: r.Identity.Certificate, SignIn: signIn, User: r.Identity.User,
		Target: r.Target, Login: r.Login, Way: r.Way, Source: r.Source.Addr().Unmap().String(),
	}
	if err := draw(g.Random, c.Session[:], c.Salt[:]); err != nil {
		return nil, err
	}
	c.Session = uuid(c.Session)
	// A session that became durable must be returned, or nobody would end it: the
	// answer is waited for even if the user has gone.
	done, err := g.ledger.Do(context.WithoutCancel(ctx), c)
	if err != nil {
		return nil, err
	}
	started := done.Events[0].(*store.SessionStarted)
	return g.admission(ctx, started, r.Identity)
}

// uuid makes random bytes a UUID of version 4 (RFC 9562, section 5.4).
func uuid(random store.SessionID) store.SessionID {
	random[6], random[8] = random[6]&0x0f|0x40, random[8]&0x3f|0x80
	return random
}

// admission is what the relay needs of a session that has started.
func (g *gate) admission(ctx context.Context, started *store.SessionStarted, who relay.Identity) (*relay.Admission, error) {
	t, ok := g.ledger.State().Target(started.Target)
	if !ok { // removed since: it must not be connected to, and its session is over
		_, err := g.ledger.Do(ctx, access.EndSession{Session: started.Session, Reason: store.EndedByGrant})
		return nil, errors.Join(&access.Refusal{
			Kind: access.Forbidden, Message: "the target has just been removed", Hint: "vaultpam targets",
		}, err)
	}
	a := &relay.Admission{
		Identity: who, Session: started.Session, Target: t.Name, Login: started.Login, Address: t.Address, Egress: t.Egress, Ends: started.Ends.Time(),
	}
	for _, blob := range t.HostKeys {
		key, err := ssh.ParsePublicKey(blob)
		if err != nil {
			return nil, fmt.Errorf("pinned host key of %s: %w", t.Name, err)
		}
		a.HostKeys = append(a.HostKeys, key)
	}
	return a, nil
}

// Certify issues the session's target certificate, with what the user's own
// certificate leaves of extensions.
func (g *gate) Certify(ctx context.Context, a *relay.Admission, key ssh.PublicKey) (*ssh.Certificate, error) {
	c := access.IssueTargetCertificate{Session: a.Session, Key: key}
	if own := a.Identity.Cert; own != nil { // an errand has none, and needs no extension
		c.ForceCommand = own.CriticalOptions["force-command"]
		for e := range own.Extensions {
			c.Extensions = append(c.Extensions, e)
		}
	}
	if err := draw(g.Random, c.Nonce[:]); err != nil {
		return nil, err
	}
	cert, _, err := g.ledger.Issue(ctx, c)
	return cert, err
}

// said is what the user of a session reads that has to end, where that is not the
// relay's to say: of a lock.
func (g *gate) said(id store.SessionID) error {
	if locked := g.ledger.State().LockedSession(id); locked != nil {
		return locked
	}
	return nil
}

// End makes session.ended durable, now or, where there is no room, when there is.
func (g *gate) End(ctx context.Context, e relay.Ended) error {
	end := access.EndSession{
		Session: e.Admission.Session, Reason: e.Reason, Duration: e.Duration.Milliseconds(),
		In: e.In, Out: e.Out, Files: e.Files,
	}
	err := g.endSession(ctx, end)
	if err != nil {
		g.unended.put(end)
		return fmt.Errorf("it is tried again: %w", err)
	}
	return nil
}

// HostKey returns a host certificate's signer.
func (g *gate) HostKey(ctx context.Context, name string) (ssh.Signer, error) {
	return g.hosts.signer(ctx, name)
}
