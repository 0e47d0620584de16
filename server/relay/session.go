package relay

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// maxTotal bounds the channels of one session over its life: session.ended names
// a file for each, beside the log.
const maxTotal = access.MaxFiles - 1

// maxNotes bounds the lines in a recording's log that a client can cause beside
// its channels, so that refused requests can't fill a disk.
const maxNotes = 1000

// A session is one recorded connection from a user, or from the server itself, to
// a target. It exists from the moment session.started is durable, and abandon,
// run or Relay.Run ends it: exactly one of the three, once.
type session struct {
	relay     *Relay
	admission *Admission
	recording *recording.Recording
	target    *onward
	started   time.Time
	in, out   atomic.Uint64 // bytes from the user, and to the user
	refused   atomic.Int64  // requests and channels

	over chan struct{} // closed by end
	once sync.Once     // guards reason and text
	// why the session is over and what the user reads of it; "" where they know
	reason store.EndReason
	text   string

	agent     atomic.Bool    // the user asked for their agent to be forwarded
	chores    sync.WaitGroup // of narrow; they end with the connections
	listening sync.Mutex     // held while the target is asked to listen

	mu        sync.Mutex // guards the fields below
	channels  map[*channel]bool
	opening   int  // channels that are open or being opened
	total     int  // channels so far
	noMore    bool // the client sent no-more-sessions@openssh.com
	tunnels   map[*tunnel]bool
	tunnelled int // so far
	listeners map[listener]use
	listened  int      // so far; each is a line of the recording
	notices   []string // for the user, once a program runs whose standard error they read
}

// open starts a session and connects it to its target. Where that does not
// succeed after the start, the session is ended here.
func (r *Relay) open(ctx context.Context, request StartRequest, banner func(string)) (*session, *refusal) {
	a, err := r.gate.Start(ctx, request)
	if err == nil && a == nil {
		err = errors.New("no admission was returned")
	}
	if err != nil {
		r.log.Info("session refused", "target", string(request.Target), "login", string(request.Login), "error", err.Error())
		return nil, &refusal{text: refusalText(err), err: err}
	}
	// The restrictions that are enforced are those of the key that was proved,
	// whatever came back.
	a.Identity = request.Identity
	s := r.newSession(a)
	if f := s.begin(ctx, a.Identity.Handle, banner); f != nil {
		s.abandon(ctx, f.reason)
		return nil, f
	}
	return s, nil
}

func (r *Relay) newSession(a *Admission) *session {
	return &session{
		relay: r, admission: a, started: r.now(),
		over: make(chan struct{}), channels: map[*channel]bool{},
		tunnels: map[*tunnel]bool{}, listeners: map[listener]use{},
	}
}

// begin creates the session's recording, in handle's name, and connects it to
// its target. Where that does not succeed the caller ends the session.
func (s *session) begin(ctx context.Context, handle store.Handle, banner func(string)) *refusal {
	r, a := s.relay, s.admission
	// What started is recorded even if ctx is done by now: it is for the
	// connection to notice that, or the recorder would get the blame.
	made, err := r.recordings.Create(context.WithoutCancel(ctx), a.Session, recording.Head{
		Handle: handle, Login: a.Login, Target: a.Target, Server: r.name, Started: s.started,
	})
	if err != nil {
		return &refusal{store.EndedByRecorder, recorderText(err), err}
	}
	s.recording = made
	target, f := r.connect(ctx, a, banner)
	if f != nil {
		r.log.Info("target not reached", "session", a.Session.String(), "reason", string(f.reason), "error", f.err.Error())
		return f
	}
	s.target = target
	return nil
}

// abandon ends a session that never ran.
func (s *session) abandon(ctx context.Context, reason store.EndReason) {
	if s.target != nil {
		s.target.Close()
		var parts sync.WaitGroup
		parts.Go(func() { rejectAll(s.target.channels) })           // ends with the connection
		parts.Go(func() { ssh.DiscardRequests(s.target.requests) }) // the same
		parts.Wait()
	}
	_ = s.finish(ctx, reason) // it is in the ledger, and nothing was done
}

// run carries the session until one side, the Gate or the recorder ends it.
func (s *session) run(ctx context.Context, client ssh.Conn, raw net.Conn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	// All of these end with live or with the two connections, which are closed
	// below.
	var parts, open sync.WaitGroup
	s.tend(live, &parts)
	parts.Go(func() { s.globals(requests) })
	parts.Go(func() { s.serveChannels(channels, &open) })
	parts.Go(func() { s.serveBack(s.target.channels, client, &open) })
	parts.Go(func() { s.follow(live) })
	parts.Go(func() { keepalive(live, client, s.relay.limits.Keepalive) })
	parts.Go(func() {
		_ = client.Wait() // how it ended says nothing about who wanted it
		s.end(store.EndedByUser, "")
	})
	<-s.over
	if s.reason == store.EndedByLock {
		// Whoever is locked must not have the time of the last words to do more.
		s.target.Close()
	}
	s.farewell(client, raw)
	cancel()
	client.Close()
	s.target.Close()
	parts.Wait()
	open.Wait()
	s.chores.Wait()
	_ = s.finish(ctx, s.reason) // it is in the ledger, and nobody is left to be told
}

// tend starts what every session needs beside its channels, whoever it is for.
// All of it ends with live and the connection to the target.
func (s *session) tend(live context.Context, parts *sync.WaitGroup) {
	parts.Go(func() { s.watch(live) })
	parts.Go(func() { targetGlobals(s.target.requests) })
	parts.Go(func() { keepalive(live, s.target, s.relay.limits.Keepalive) })
	parts.Go(func() {
		_ = s.target.Wait()
		s.end(store.EndedByTarget, endText(s.admission, store.EndedByTarget))
	})
}

// watch ends the session when it must not go on.
func (s *session) watch(ctx context.Context) {
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	type verdict struct {
		reason store.EndReason
		err    error
	}
	verdicts := make(chan verdict, 1)
	// Ended by cancel.
	go func() {
		reason, err := s.relay.gate.Watch(watched, s.admission)
		verdicts <- verdict{reason, err}
	}()
	var ends <-chan time.Time
	if !s.admission.Ends.IsZero() {
		timer := time.NewTimer(until(s.relay.now(), s.admission.Ends))
		defer timer.Stop()
		ends = timer.C
	}
	select {
	case <-s.over:
	case <-ctx.Done():
		s.end(store.EndedByShutdown, endText(s.admission, store.EndedByShutdown))
	case <-ends:
		s.end(store.EndedByGrant, endText(s.admission, store.EndedByGrant))
	case <-s.recording.Failed():
		s.recorderFailed(s.recording.Err())
	case v := <-verdicts:
		if ctx.Err() != nil {
			v.reason = store.EndedByShutdown
		} else if v.reason == "" {
			s.relay.log.Error("watching a session", "session", s.admission.Session.String(), "error", errText(v.err))
			v.reason = store.EndedRelayFailed
		}
		s.end(v.reason, verdictText(s.admission, v.reason, v.err))
		return
	}
	cancel()
	<-verdicts
}

// end makes the session be over. The first reason counts; end reports whether
// it is this one.
func (s *session) end(reason store.EndReason, text string) bool {
	first := false
	s.once.Do(func() {
		first = true
		s.reason, s.text = reason, text
		close(s.over)
	})
	return first
}

func (s *session) recorderFailed(err error) {
	s.end(store.EndedByRecorder, recorderText(err))
}

// farewell gives what is on its way the time to arrive, tells the user why, and
// hangs up.
func (s *session) farewell(client ssh.Conn, raw net.Conn) {
	patience := s.relay.limits.Farewell
	if s.reason == store.EndedByTarget {
		patience = s.relay.limits.Stop // a slow reader is owed what the target sent
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	said := make(chan struct{})
	// Ends at the latest when the connections are closed, which unblocks writes.
	go func() {
		defer close(said)
		for _, c := range s.open() {
			switch s.reason {
			case store.EndedByUser:
				c.awaitUser()
			case store.EndedByTarget, store.EndedByLock:
				c.awaitTarget() // which is gone; what it sent ends with the last words
			}
			c.say(s.text)
		}
	}()
	select {
	case <-said:
	case <-timer.C:
	}
	if s.reason == store.EndedByUser {
		s.target.Close()
		<-said
		return
	}
	// Closing a TCP connection that holds unread data resets it, and the last
	// words would be lost: so the end is announced first.
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_ = client.Wait() // ended by the caller's Close
	}()
	if half, ok := raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		timer.Reset(s.relay.limits.Farewell)
		select {
		case <-gone:
		case <-timer.C:
		}
	}
	client.Close()
	<-gone
	<-said
}

func (s *session) open() []*channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*channel, 0, len(s.channels))
	for c := range s.channels {
		all = append(all, c)
	}
	return all
}

// finish closes the recording and then appends the session's last entry. A
// process that dies before leaves both to the next start, as interrupted. The
// end of the relay must not keep the entry from being written, so ctx counts
// for its values alone. It returns why the recording is not whole.
func (s *session) finish(ctx context.Context, reason store.EndReason) (broken error) {
	ended := Ended{
		Admission: s.admission,
		Duration:  s.relay.now().Sub(s.started),
		In:        s.in.Load(),
		Out:       s.out.Load(),
	}
	if s.recording != nil {
		var summary recording.Summary
		if summary, broken = s.recording.Close(string(reason)); broken != nil {
			s.relay.log.Error("closing a recording", "session", s.admission.Session.String(), "error", broken.Error())
			reason = store.EndedByRecorder
		}
		ended.Files = Files(summary)
	}
	ended.Reason = reason
	s.relay.log.Info("session ended", "session", s.admission.Session.String(), "reason", string(reason))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.relay.limits.Stop)
	defer cancel()
	if err := s.relay.gate.End(ctx, ended); err != nil {
		s.relay.log.Error("ending a session", "session", s.admission.Session.String(), "error", err.Error())
	}
	return broken
}
