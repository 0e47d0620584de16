package login_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// lock has somebody locked on the server's own machine.
func (o *office) lock(handle store.Handle) {
	o.Helper()
	lock := access.AddLock{By: access.Caller{Local: true}, What: access.Lockable{User: handle}, Why: "a stolen laptop"}
	copy(lock.Salt[:], random(32))
	o.do(lock)
}

// wantLocked wants whoever proved a factor to read that they are locked.
func wantLocked(t *testing.T, what string, err error) {
	t.Helper()
	if !says(err, "carol is locked since ") || kind(err) != access.Forbidden || says(err, "laptop") {
		t.Errorf("%s: %v", what, err)
	}
}

// TestS37LockInFlight: whatever somebody had begun when they were locked comes to
// nothing, how far it ever was.
func TestS37LockInFlight(t *testing.T) {
	o := found(t)
	k, carol := o.enrolPasskey("carol")
	in := o.signIn(o.enter(k))
	touched, device, begun, waiting := o.loopback(home), o.device(home), o.loopback(home), o.device(home)
	code := touched.touch(k)
	device.touch(k)
	stepUp, err := o.BeginConfirm(in, login.PurposeConfirm, "root on db1", home)
	if err != nil {
		t.Fatal(err)
	}
	add, err := o.BeginConfirm(in, login.PurposeAdd, "", home)
	if err != nil {
		t.Fatal(err)
	}
	create, err := o.Ask(add.ID, chrome, home)
	if err != nil || create.Create == nil {
		t.Fatalf("%+v, %v", create, err)
	}
	invitation := random(32)
	o.do(access.InviteUser{By: access.Caller{Local: true}, Handle: "carol", Invite: access.Invite{Token: login.TokenHash(invitation)}})
	enrol, asked, err := o.BeginPasskey(invitation, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	app := o.seed(invitation)
	redeemed := make(chan error, 1)
	go func() { // ends with the touch below
		_, err := waiting.redeem(nil)
		redeemed <- err
	}()
	signIns, factors := len(o.entries(store.TypeSignInSucceeded)), len(o.entries(store.TypeFactorEnrolled))

	o.lock("carol")
	_, err = touched.redeem(code)
	wantLocked(t, "a touch from before, and its redirect", err)
	_, err = device.redeem(nil)
	wantLocked(t, "a touch from before, and a device", err)
	_, err = begun.redeem(begun.touch(k))
	wantLocked(t, "a touch from afterwards", err)
	waiting.touch(k)
	wantLocked(t, "a device that waited", <-redeemed)
	late := o.loopback(home)
	_, err = late.redeem(late.touch(k))
	wantLocked(t, "a sign-in from afterwards", err)
	if _, err := o.confirm(stepUp.ID, k); !errors.Is(err, access.ErrNotSignedIn) {
		t.Errorf("a step-up: %v", err)
	}
	if err := o.Register(t.Context(), add.ID, chrome, newToken(t).create(t, create.Create), "one more"); !errors.Is(err, access.ErrNotSignedIn) {
		t.Errorf("another passkey: %v", err)
	}
	if _, err := o.BeginConfirm(in, login.PurposeConfirm, "x", home); err == nil {
		t.Error("a step-up was begun")
	}
	if _, err := o.FinishPasskey(context.Background(), enrol.ID, chrome, newToken(t).create(t, asked.Create), "new"); !errors.Is(err, access.ErrInvitation) {
		t.Errorf("an invitation, half used: %v", err)
	}
	if _, err := o.FinishEnrolment(t.Context(), invitation, o.code(app), home); !errors.Is(err, access.ErrInvitation) {
		t.Errorf("an invitation: %v", err)
	}
	if _, err := o.BeginEnrolment(invitation); !errors.Is(err, access.ErrInvitation) {
		t.Errorf("an invitation that is read: %v", err)
	}
	if s, f := len(o.entries(store.TypeSignInSucceeded)), len(o.entries(store.TypeFactorEnrolled)); s != signIns || f != factors {
		t.Errorf("%d sign-ins and %d factors more", s-signIns, f-factors)
	}
	o.do(access.RemoveLock{By: access.Caller{Local: true}, What: access.Lockable{User: "carol"}})
	o.enter(k)
	if u, _ := o.ledger.State().User(carol.ID); len(u.Passkeys()) != 1 {
		t.Errorf("passkeys %+v", u.Passkeys())
	}
}

// TestS16LockedAnswersAsAnybody: of a locked person whoever has no factor of theirs
// hears what they hear of others; their own code tells them, and counts as no guess.
func TestS16LockedAnswersAsAnybody(t *testing.T) {
	o := found(t)
	carol, dave := o.employ("carol"), o.employ("dave")
	o.lock("carol")
	stranger := at("203.0.113.7")
	for _, wrong := range []string{o.wrong(carol), "aaaa-bbbb-cccc-dddd-eeee-ffff", ""} {
		locked, other := o.try("carol", wrong, stranger), o.try("dave", wrong, stranger)
		if !errors.Is(locked, access.ErrSignIn) || !errors.Is(other, access.ErrSignIn) {
			t.Errorf("with %q: of the locked one %v, of the other %v", wrong, locked, other)
		}
	}
	o.clock.wait(time.Minute)
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(o.noted())
	for range 3 {
		wantLocked(t, "the right code", o.try("carol", o.code(carol), home))
	}
	o.clock.wait(time.Minute)
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(o.noted()); n != before {
		t.Errorf("%d failures more were noted", n-before)
	}
	if err := o.try("dave", o.code(dave), home); err != nil {
		t.Error(err)
	}
}
