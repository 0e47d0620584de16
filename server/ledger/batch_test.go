package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// TestGroupCommit: what waits while a batch is appended is the next batch.
func TestGroupCommit(t *testing.T) {
	const n = 300
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	held := h.backend.holdFirst()
	answers := []<-chan answer{ask(t, l, 0, p.certificate())}
	<-held.reached
	for i := 1; i < n; i++ {
		answers = append(answers, ask(t, l, i, p.certificate()))
	}
	close(held.release)
	serials := map[uint64]bool{}
	for _, got := range answers {
		a := <-got
		if a.err != nil {
			t.Fatal(a.err)
		}
		if serials[a.cert.Serial] {
			t.Errorf("serial %d twice", a.cert.Serial)
		}
		serials[a.cert.Serial] = true
	}
	if got := h.backend.appends(); len(got) != 2 || got[0] != 1 || got[1] != n-1 {
		t.Errorf("appends of %v entries, want 1 and %d", got, n-1)
	}
	h.close(l)
	h.check()
}

// TestLargeBatch: more than fits one transaction becomes several.
func TestLargeBatch(t *testing.T) {
	const n = 1200
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	held := h.backend.holdFirst()
	answers := []<-chan answer{ask(t, l, 0, p.certificate())}
	<-held.reached
	for i := 1; i < n; i++ {
		answers = append(answers, ask(t, l, i, p.certificate()))
	}
	close(held.release)
	for _, got := range answers {
		if a := <-got; a.err != nil {
			t.Fatal(a.err)
		}
	}
	sum := 0
	for _, entries := range h.backend.appends() {
		sum += entries
	}
	if got := h.backend.appends(); len(got) != 4 || sum != n {
		t.Errorf("appends of %v entries", got)
	}
}

// TestS37RevocationInTheSameBatch: a command that waited behind a revocation in
// one batch is decided after it.
func TestS37RevocationInTheSameBatch(t *testing.T) {
	for _, tc := range []struct {
		name          string
		first, second func(p person) access.Command
		allowed       bool
	}{
		{"grant removed, then a session", func(p person) access.Command { return access.RemoveGrant{By: local, Grant: p.grant} },
			func(p person) access.Command { return p.start() }, false},
		{"user removed, then a session", func(p person) access.Command { return access.RemoveUser{By: local, Handle: p.handle} },
			func(p person) access.Command { return p.start() }, false},
		{"target removed, then a session", func(person) access.Command { return access.RemoveTarget{By: local, Name: "db1"} },
			func(p person) access.Command { return p.start() }, false},
		{"user removed, then a certificate", func(p person) access.Command { return access.RemoveUser{By: local, Handle: p.handle} },
			func(p person) access.Command { return p.certificate() }, false},
		{"signed out, then a certificate", func(p person) access.Command { return access.SignOut{By: byToken(p.token)} },
			func(p person) access.Command { return p.certificate() }, false},
		{"user locked, then a certificate", func(p person) access.Command { return lockOn(access.Lockable{User: p.handle}) },
			func(p person) access.Command { return p.certificate() }, false},
		{"user locked, then a session", func(p person) access.Command { return lockOn(access.Lockable{User: p.handle}) },
			func(p person) access.Command { return p.start() }, false},
		{"target locked, then a session", func(person) access.Command { return lockOn(access.Lockable{Target: "db1"}) },
			func(p person) access.Command { return p.start() }, false},
		{"a certificate, then user locked", func(p person) access.Command { return p.certificate() },
			func(p person) access.Command { return lockOn(access.Lockable{User: p.handle}) }, true},
		{"a certificate, then user removed", func(p person) access.Command { return p.certificate() },
			func(p person) access.Command { return access.RemoveUser{By: local, Handle: p.handle} }, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := build(t)
			l := h.open()
			p := employ(t, l, "carol", h.subject)
			held := h.backend.holdFirst()
			other := ask(t, l, 0, addUser("bob"))
			<-held.reached
			first := ask(t, l, 1, tc.first(p))
			second := ask(t, l, 2, tc.second(p))
			close(held.release)
			if a := <-other; a.err != nil {
				t.Fatal(a.err)
			}
			if a := <-first; a.err != nil {
				t.Errorf("first: %v", a.err)
			}
			a := <-second
			var refused *access.Refusal
			if tc.allowed && a.err != nil || !tc.allowed && (!errors.As(a.err, &refused) || a.cert != nil) {
				t.Errorf("second: %+v", a)
			}
			if got := len(h.backend.appends()); got != 2 {
				t.Errorf("%d appends, want both in one", got)
			}
		})
	}
}

// TestS37TargetCertificateInTheSameBatch: the same for the certificate of a
// session that has started.
func TestS37TargetCertificateInTheSameBatch(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	start := p.start()
	do(t, l, start)
	held := h.backend.holdFirst()
	other := ask(t, l, 0, addUser("bob"))
	<-held.reached
	removal := ask(t, l, 1, access.RemoveGrant{By: local, Grant: p.grant})
	issue := ask(t, l, 2, access.IssueTargetCertificate{Session: start.Session, Key: h.subject, Nonce: random32()})
	close(held.release)
	for _, got := range []<-chan answer{other, removal} {
		if a := <-got; a.err != nil {
			t.Error(a.err)
		}
	}
	var refused *access.Refusal
	if a := <-issue; !errors.As(a.err, &refused) || a.cert != nil {
		t.Errorf("answer %+v, want a refusal", a)
	}
}

// TestS37DirectCertificateInTheSameBatch: a direct certificate that is asked for behind
// the end of its grant, in one batch, is not issued; one before it is, and signed.
func TestS37DirectCertificateInTheSameBatch(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	do(t, l, access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: "direct"})
	grant := l.State().Next() - 1
	direct := func() access.Command {
		return access.IssueDirectCertificate{
			By: byToken(p.token), Target: "db1", Login: "root", Key: h.subject, Source: "192.0.2.7", Nonce: random32(), Salt: random32(),
		}
	}
	held := h.backend.holdFirst()
	other := ask(t, l, 0, addUser("bob"))
	<-held.reached
	before := ask(t, l, 1, direct())
	removal := ask(t, l, 2, access.RemoveGrant{By: local, Grant: grant})
	behind := ask(t, l, 3, direct())
	close(held.release)
	for _, got := range []<-chan answer{other, removal} {
		if a := <-got; a.err != nil {
			t.Error(a.err)
		}
	}
	if a := <-before; a.err != nil || a.cert == nil {
		t.Errorf("before it: %+v", a)
	} else if _, issued, err := l.Issued(t.Context(), a.cert); err != nil || !issued.Direct {
		t.Errorf("its entry: %+v, %v", issued, err)
	}
	var refused *access.Refusal
	if a := <-behind; !errors.As(a.err, &refused) || a.cert != nil {
		t.Errorf("behind it: %+v, want a refusal", a)
	}
}

// TestClose: what waits is answered before the writer ends, and nothing is
// taken after that.
func TestClose(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	held := h.backend.holdFirst()
	answers := []<-chan answer{ask(t, l, 0, p.certificate())}
	<-held.reached
	for i := range 10 {
		answers = append(answers, ask(t, l, i+1, addUser(fmt.Sprintf("user%d", i))))
	}
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }() // ends when the writer does
	// From when Close has begun, nothing more is taken. A command that was quicker
	// is answered like the others.
	await(t, func() bool {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := l.Do(ctx, access.NoteFailures{})
		return errors.Is(err, ledger.ErrStopped)
	})
	select {
	case <-l.Stopped():
		t.Fatal("the writer ended over commands that wait")
	default:
	}
	close(held.release)
	for _, got := range answers {
		if a := <-got; a.err != nil {
			t.Error(a.err)
		}
	}
	if err := <-closed; err != nil || l.Err() != nil {
		t.Errorf("closing: %v, %v", err, l.Err())
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
	if _, err := l.Do(t.Context(), addUser("eve")); !errors.Is(err, ledger.ErrStopped) {
		t.Errorf("after Close: error %v, want ErrStopped", err)
	}
	h.close(l)
	h.check()
}

// TestCallerGone: who gives up waiting learns nothing more, and their command is
// decided all the same.
func TestCallerGone(t *testing.T) {
	h := build(t)
	l := h.open()
	held := h.backend.holdFirst()
	first := ask(t, l, 0, addUser("bob"))
	<-held.reached
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { // ends with cancel
		_, err := l.Do(ctx, addUser("carol"))
		gone <- err
	}()
	await(t, func() bool { return l.Waiting() == 1 })
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	close(held.release)
	<-first
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := l.State().UserByHandle("carol"); !ok {
		t.Error("the command was lost")
	}
}

// TestSideWrites become durable with their entry, or not at all.
func TestSideWrites(t *testing.T) {
	h := build(t)
	l := h.open()
	write := func(key string) store.SideWrite {
		return store.SideWrite{Table: store.SideSecrets, Key: []byte(key), Value: []byte("sealed")}
	}
	do(t, l, addUser("bob"), write("allowed"))
	if _, err := l.Do(t.Context(), addUser("bob"), write("refused")); err == nil {
		t.Fatal("bob was added twice")
	}
	h.backend.set(func(int, store.Batch) error { return store.ErrFull }, nil)
	if _, err := l.Do(t.Context(), addUser("carol"), write("full")); !errors.Is(err, store.ErrFull) {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"allowed": true, "refused": false, "full": false} {
		_, err := h.backend.Side(t.Context(), store.SideSecrets, []byte(key))
		if (err == nil) != want {
			t.Errorf("%s: error %v", key, err)
		}
	}
}

// TestRefusalWithEntry: a refused session is a refusal for its user and an entry
// for the auditor.
func TestRefusalWithEntry(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	do(t, l, access.RemoveGrant{By: local, Grant: p.grant})
	size := l.State().Next()
	r, err := l.Do(t.Context(), p.start())
	var refused *access.Refusal
	if !errors.As(err, &refused) || refused.Reason != store.RefusedNoGrant {
		t.Fatalf("error %v", err)
	}
	if r.First != size || len(r.Events) != 1 || l.State().Next() != size+1 {
		t.Errorf("result %+v, %d entries", r, l.State().Next())
	}
	h.backend.set(nil, nil)
	if _, err := l.Do(t.Context(), p.start()); !errors.As(err, &refused) {
		t.Errorf("error %v", err)
	}
	if got := h.backend.appends(); len(got) != 0 {
		t.Errorf("appends of %v entries for a refusal that is known", got)
	}
}

// TestMemory: what a sign-in or a session leaves in the writer's memory is gone
// when it is over; sources are looked up when somebody asks.
func TestMemory(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	for range 50 {
		start := p.start()
		do(t, l, start)
		do(t, l, access.EndSession{Session: start.Session, Reason: store.EndedByUser})
	}
	h.close(l)
	if n := l.Remembered(); n != 2 { // alice and carol
		t.Errorf("%d texts in memory", n)
	}
	again := h.open()
	h.close(again)
	if n := again.Remembered(); n != 2 {
		t.Errorf("%d texts in memory after a start", n)
	}
}

func lockOn(what access.Lockable) access.Command {
	return access.AddLock{By: local, What: what, Why: "a stolen laptop", Salt: random32()}
}
