package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

const (
	// errandTimeout bounds a session of the server's own; a client waits longer.
	errandTimeout = 25 * time.Second
	// maxHostAnswer bounds what a host says of itself, in bytes.
	maxHostAnswer = 4 << 20
)

// errands are the sessions of the server's own that run. When the server is
// being stopped they are ended, and waited for, so that each has its last entry.
type errands struct {
	mu      sync.Mutex // guards that none begins once stopped is closed
	stopped chan struct{}
	running sync.WaitGroup
}

func newErrands() *errands { return &errands{stopped: make(chan struct{})} }

// begin counts an errand in: what tells it to end, and what is called at its
// end. Both are nil when none is begun any more.
func (e *errands) begin() (<-chan struct{}, func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	select {
	case <-e.stopped:
		return nil, nil
	default:
		e.running.Add(1)
		return e.stopped, e.running.Done
	}
}

// stop ends all errands. It is called once.
func (e *errands) stop() {
	e.mu.Lock()
	close(e.stopped)
	e.mu.Unlock()
	e.running.Wait()
}

// run opens a session of the server's own and has the target carry a script out
// as root. The session is over when run returns, and it ends early when the
// server is being stopped.
func (n *Node) run(ctx context.Context, start access.StartErrand, script string, mode target.Mode) (*store.SessionStarted, relay.Outcome, error) {
	stopping, done := n.errands.begin()
	if done == nil {
		return nil, relay.Outcome{}, api.NewError(api.KindUnavailable, "try again in a minute", "the server is being stopped")
	}
	defer done()
	if err := draw(n.Random, start.Session[:]); err != nil {
		return nil, relay.Outcome{}, err
	}
	start.Session = uuid(start.Session)
	// What has become durable must be ended by somebody: the answer is waited for.
	begun, err := n.ledger.Do(context.WithoutCancel(ctx), start)
	if err != nil {
		return nil, relay.Outcome{}, err
	}
	started := begun.Events[0].(*store.SessionStarted)
	admission, err := (&gate{n}).admission(ctx, started, relay.Identity{})
	if err != nil {
		return nil, relay.Outcome{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, errandTimeout)
	defer cancel()
	// Ends with the errand.
	go func() {
		select {
		case <-stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	outcome, err := n.relay.Run(ctx, admission, relay.Errand{
		Command: target.RunAsRoot(mode), Input: []byte(script), MaxOutput: maxHostAnswer,
	})
	if err != nil {
		return nil, relay.Outcome{}, errandProblem(err)
	}
	return started, outcome, nil
}

// look reads from a host which other ways into it there are, and makes what it
// found an entry. It returns the session that looked.
func (n *Node) look(ctx context.Context, start access.StartErrand) (store.SessionID, error) {
	setup := n.setup(start.Target)
	script, err := target.CheckScript(setup)
	if err != nil {
		return store.SessionID{}, err
	}
	started, outcome, err := n.run(ctx, start, script, target.ModeSetUp)
	if err != nil {
		return store.SessionID{}, err
	}
	if err := hostProblem(start.Target, started.Login, outcome); err != nil {
		return store.SessionID{}, err
	}
	found, err := target.ParseCheck(outcome.Output, setup)
	if err != nil {
		n.Log.Warn("what a target said of itself was not understood", "target", string(start.Target), "session", started.Session.String(), "error", err)
		return store.SessionID{}, api.NewError(api.KindUnavailable, "an auditor sees what it said with: vaultpam play "+started.Session.String(),
			"%s did not say of itself what it was asked", start.Target)
	}
	record := access.RecordCheck{Target: started.Target, Session: started.Session, Report: found.Report, Closed: found.Closed}
	if t, ok := n.ledger.State().Target(started.Target); ok && t.Check.Entry != 0 {
		record.BeforeOf = t.Check.Report
		if record.Before, err = n.ledger.Text(ctx, store.UserID{}, t.Check.Report); err != nil && !errors.Is(err, store.ErrNotFound) {
			return store.SessionID{}, err
		}
	}
	if err := draw(n.Random, record.Salt[:]); err != nil {
		return store.SessionID{}, err
	}
	if _, err := n.ledger.Do(context.WithoutCancel(ctx), record); err != nil {
		return store.SessionID{}, err
	}
	if t, ok := n.ledger.State().Target(started.Target); ok && t.Check.New+t.Check.Gone+t.Check.Unread > 0 {
		n.Log.Warn("the other ways into a target have changed, or could not all be looked at", "target", string(t.Name),
			"entry", uint64(t.Check.Entry), "other_ways", t.Check.Doors, "new", t.Check.New, "gone", t.Check.Gone, "unread", t.Check.Unread)
	}
	return started.Session, nil
}

// wireCheck returns what the last look at a target found.
func (n *Node) wireCheck(ctx context.Context, name store.TargetName) (api.Check, error) {
	t, ok := n.ledger.State().TargetByName(name)
	if !ok {
		return api.Check{}, api.NewError(api.KindNotFound, "vaultpam admin target ls", "there is no target %s", name)
	}
	c := api.Check{CheckSummary: wireSummary(t.Check), Target: string(t.Name), Ways: []api.Door{}, Unknown: []string{}}
	if t.Check.Entry == 0 {
		return c, nil
	}
	c.Session = t.Check.Session.String()
	text, err := n.ledger.Text(ctx, store.UserID{}, t.Check.Report)
	if err != nil {
		return c, err
	}
	report, err := store.ParseDoorReport(text)
	if err != nil {
		return c, fmt.Errorf("report of entry %d: %w: %w", t.Check.Entry, store.ErrCorrupt, err)
	}
	for _, d := range report.Doors {
		c.Ways = append(c.Ways, api.Door{Kind: string(d.Kind), Account: d.Account, Detail: d.Detail})
	}
	c.Unknown = append(c.Unknown, report.Unread...)
	return c, nil
}

func wireSummary(c access.Check) api.CheckSummary {
	return api.CheckSummary{
		Entry: uint64(c.Entry), Time: c.Time.Time(), Doors: c.Doors, New: c.New, Gone: c.Gone, Unread: c.Unread,
		Closed: c.Closed, Missed: c.Missed.Time(),
	}
}

// setup is what a host of this name trusts.
func (n *Node) setup(name store.TargetName) target.Setup {
	return target.Setup{
		Target: name, TargetCAs: []ssh.PublicKey{n.keys.target.PublicKey()}, EmergencyCA: n.keys.emergency, ServerName: n.config.Name,
	}
}

// errandProblem is an errand that did not bring back an answer, as the
// administrator reads it.
func errandProblem(err error) error {
	failed, ok := errors.AsType[*relay.ErrandError](err)
	if !ok {
		return err
	}
	return errors.Join(api.NewError(api.KindUnavailable, failed.Hint, "%s", failed.Message), err)
}

// hostProblem says that a host carried a script out with another status than 0.
func hostProblem(name store.TargetName, login store.Login, o relay.Outcome) error {
	if o.Exit.Status != nil && *o.Exit.Status == 0 {
		return nil
	}
	if o.Exit.Status != nil && *o.Exit.Status == target.ExitNotRoot {
		return api.NewError(api.KindUnavailable, fmt.Sprintf("name another account with --login, or let %s use sudo without a password on %s", login, name),
			"on %s the account %s is not root, and has no sudo without a password", name, login)
	}
	said := o.Stderr
	if said == "" {
		said = "it said nothing about why"
	}
	return api.NewError(api.KindUnavailable, "", "%s did not do what it was asked: %s", name, said)
}
