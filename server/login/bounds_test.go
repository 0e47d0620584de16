package login_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// TestS15Passkeys: assertions that don't verify are told of, and shut nobody out:
// whoever knows somebody's ID can send as many as they like in that name.
func TestS15Passkeys(t *testing.T) {
	o := found(t)
	k, carol := o.enrolPasskey("carol")
	o.enter(k)
	seed := o.employ("dave")
	dave, _ := o.ledger.State().UserByHandle("dave")
	var log bytes.Buffer
	o.Login.Log = slog.New(slog.NewTextHandler(&log, nil))
	thief := newToken(t)
	fail := func(who access.User, from login.Client) {
		p := o.loopback(from)
		asked, err := o.Ask(p.begun.ID, chrome, from)
		if err != nil {
			t.Fatal(err)
		}
		thief.handle = who.ID[:]
		_, err = o.Answer(t.Context(), p.begun.ID, chrome, thief.get(t, asked.Get, origin("https://evil\n.example/"+strings.Repeat("\x1b[2J", 400))), from)
		wantKind(t, "a forged assertion", err, access.Unauthenticated)
		_, err = o.Answer(t.Context(), p.begun.ID, chrome, thief.get(t, o.ask(p)), from)
		wantKind(t, "another", err, access.Unauthenticated)
	}
	for i := range 40 {
		fail(carol, home)
		fail(dave, home)
		fail(dave, address(i))
		if i%20 == 19 {
			o.clock.wait(5 * time.Minute) // for ceremonies to end
		}
	}
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	of := map[store.UserID]uint64{}
	for _, e := range o.noted() {
		of[e.User] += e.Count
	}
	if of[carol.ID] != 80 || of[dave.ID] != 160 || len(o.stops()) != 0 {
		t.Errorf("%d failures of carol's and %d of dave's are told of, stops %v; want 80 and 160, and none", of[carol.ID], of[dave.ID], o.stops())
	}
	o.enter(k)
	o.clock.wait(30 * time.Second)
	if err := o.try("dave", o.code(seed), home); err != nil {
		t.Errorf("dave's code, from where the failures came: %v", err)
	}
	o.clock.wait(30 * time.Second)
	if err := o.try("dave", o.code(seed), from("198.18.0.1")); err != nil {
		t.Errorf("dave's code, from a machine that nobody knows: %v", err)
	}
	// In a minute no more are counted than there is use for, and each is one line.
	for range 130 {
		if err := login.NotePasskey(t.Context(), o.Login, carol.ID, home); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	notes := o.noted()
	if n := len(notes); notes[n-1].Count != 100 && notes[0].Count != 100 {
		t.Errorf("notes %+v", notes[n-1])
	}
	for line := range strings.Lines(log.String()) {
		if !strings.HasPrefix(line, "time=") || len(line) > 500 || strings.Contains(line, "\x1b") {
			t.Errorf("logged: %q", line)
		}
	}
	if !strings.Contains(log.String(), "another origin") {
		t.Errorf("the log does not say what was wrong:\n%.300s", log.String())
	}
}

// TestS32Ceremonies: strangers open no more than there is room for, from one source
// and in all; what had its time makes room; and who is signed in has room of their
// own.
func TestS32Ceremonies(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	in := o.signIn(o.enter(k))
	o.clock.wait(5 * time.Minute)
	begin := func(from login.Client) error {
		from.Machine = "m"
		_, err := o.BeginSignIn(from, login.SignInWish{Challenge: store.Hash{1}})
		return err
	}
	for i := range login.MaxPerSource {
		if err := begin(home); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	wantKind(t, "one more of a source", begin(home), access.Limited)
	wantKind(t, "its neighbour", begin(from("192.0.2.8")), 0)
	for i := range login.MaxCeremonies - login.MaxPerSource - 1 {
		if err := begin(address(i)); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	wantKind(t, "one more of all", begin(from("203.0.113.1")), access.Limited)
	if n, _ := o.Kept(); n != login.MaxCeremonies {
		t.Errorf("%d are kept", n)
	}
	for i := range login.MaxPerSource {
		if _, err := o.BeginConfirm(in, login.PurposeConfirm, "x", home); err != nil {
			t.Fatalf("confirmation %d of somebody who is signed in: %v", i, err)
		}
	}
	_, err := o.BeginConfirm(in, login.PurposeConfirm, "x", home)
	wantKind(t, "one more of theirs", err, access.Limited)
	o.clock.wait(5*time.Minute - time.Millisecond)
	wantKind(t, "before their time", begin(home), access.Limited)
	o.clock.wait(time.Millisecond)
	if err := begin(home); err != nil {
		t.Errorf("after their time: %v", err)
	}
	if n, _ := o.Kept(); n != 1 {
		t.Errorf("%d are kept after their time", n)
	}
}
