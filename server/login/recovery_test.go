package login_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// engage is employ for who looks at the whole session.
func (o *office) engage(handle string) ([]byte, login.Session) {
	o.Helper()
	token := o.invite(handle)
	seed := o.seed(token)
	s, err := o.FinishEnrolment(context.Background(), token, o.code(seed), home)
	if err != nil {
		o.Fatal(err)
	}
	return seed, s
}

// left is how many recovery codes somebody has.
func (o *office) left(handle store.Handle) int {
	u, _ := o.ledger.State().UserByHandle(handle)
	return u.Recovery.Left()
}

// TestS18RecoveryCodes: ten codes, each of them for one sign-in of its owner, in
// any spelling, and after a restart.
func TestS18RecoveryCodes(t *testing.T) {
	o := found(t)
	_, carol := o.engage("carol")
	_, bob := o.engage("bob")
	if len(carol.Codes) != access.RecoveryCodes {
		t.Fatalf("%d codes", len(carol.Codes))
	}
	for i, code := range carol.Codes {
		if text, err := api.ParseRecoveryCode(code); err != nil || text != code || strings.ContainsAny(code, "lo01") {
			t.Errorf("code %q, error %v", code, err)
		}
		if err := o.try("bob", code, address(i)); !errors.Is(err, access.ErrSignIn) {
			t.Errorf("carol's code for bob: %v", err)
		}
	}
	spell := []func(string) string{
		func(c string) string { return c }, strings.ToUpper,
		func(c string) string { return strings.ReplaceAll(c, "-", "") }, func(c string) string { return " " + strings.ReplaceAll(c, "-", " ") + "\n" },
	}
	for i, code := range carol.Codes {
		s, err := o.SignIn(t.Context(), login.Proof{Handle: "carol", Code: spell[i%len(spell)](code)}, home)
		if err != nil {
			t.Fatalf("code %d: %v", i+1, err)
		}
		if s.Kind != store.FactorRecovery || s.User.Recovery.Left() != access.RecoveryCodes-i-1 {
			t.Errorf("code %d: %s, %d left", i+1, s.Kind, s.User.Recovery.Left())
		}
		o.holdsSession(s)
		if i == 4 {
			o.restart()
		}
		for _, spelling := range spell {
			if err := o.try("carol", spelling(code), address(100+i)); !errors.Is(err, access.ErrSignIn) {
				t.Errorf("code %d again: %v", i+1, err)
			}
		}
	}
	if o.left("carol") != 0 || o.left("bob") != access.RecoveryCodes {
		t.Errorf("%d and %d left", o.left("carol"), o.left("bob"))
	}
	o.do(access.RemoveUser{By: access.Caller{Local: true}, Handle: "bob"})
	if err := o.try("bob", bob.Codes[0], home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("removed: %v", err)
	}
}

// TestS18OneCodeInParallel: of a hundred who show one code at the same time, one
// gets in.
func TestS18OneCodeInParallel(t *testing.T) {
	o := found(t)
	_, carol := o.engage("carol")
	results := make([]error, 100)
	var racers sync.WaitGroup // end with their answers
	for i := range results {
		racers.Go(func() { results[i] = o.try("carol", carol.Codes[3], address(i)) })
	}
	racers.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, access.ErrSignIn) {
			t.Errorf("error %v", err)
		}
	}
	if won != 1 || o.left("carol") != access.RecoveryCodes-1 {
		t.Errorf("%d signed in, %d codes are left", won, o.left("carol"))
	}
}

// TestS18NewCodes: they take a fresh code of the authenticator, and those before
// count no more.
func TestS18NewCodes(t *testing.T) {
	o := found(t)
	seed, s := o.engage("carol")
	caller := by(s.Token)
	renew := func(by access.Caller, code string) ([]string, error) {
		return o.NewRecoveryCodes(t.Context(), by, login.Proof{Code: code, Device: s.Device}, home)
	}
	used := o.code(seed)
	o.clock.wait(access.FreshLook)
	if _, err := renew(caller, ""); !errors.Is(err, access.ErrNotFresh) {
		t.Errorf("no code: %v", err)
	}
	for name, code := range map[string]string{"used": used, "wrong": o.wrong(seed), "a recovery code": s.Codes[0]} {
		if _, err := renew(caller, code); !errors.Is(err, access.ErrSecondLook) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o.clock.wait(30 * time.Second)
	if _, err := renew(access.Caller{}, o.code(seed)); kind(err) != access.Unauthenticated {
		t.Errorf("not signed in: %v", err)
	}
	codes, err := renew(caller, o.code(seed))
	if err != nil || len(codes) != access.RecoveryCodes {
		t.Fatalf("%d codes, error %v", len(codes), err)
	}
	if err := o.try("carol", o.code(seed), home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("the code that made them, again: %v", err)
	}
	for i, old := range s.Codes {
		if err := o.try("carol", old, address(i)); !errors.Is(err, access.ErrSignIn) {
			t.Errorf("an old code: %v", err)
		}
	}
	if err := o.try("carol", codes[9], home); err != nil {
		t.Error(err)
	}
}

// TestS15SecondLookCounts: guessing codes with a stolen sign-in is guessing.
func TestS15SecondLookCounts(t *testing.T) {
	o := found(t)
	seed, s := o.engage("carol")
	caller := by(s.Token)
	tried := 0
	for range 50 {
		_, err := o.NewRecoveryCodes(t.Context(), caller, login.Proof{Code: o.wrong(seed)}, home)
		if errors.Is(err, access.ErrSecondLook) {
			tried++
		} else if kind(err) != access.Limited {
			t.Fatal(err)
		}
	}
	if tried != login.LimitPerPair {
		t.Errorf("%d tries", tried)
	}
	if err := o.try("carol", o.wrong(seed), home); kind(err) != access.Limited {
		t.Errorf("signing in from there: %v", err)
	}
}

// TestS18SwappedRecords: what a user's record says counts for that user, and only
// while the ledger knows it.
func TestS18SwappedRecords(t *testing.T) {
	o := found(t)
	_, carol := o.engage("carol")
	seed, bob := o.engage("bob")
	key := func(s login.Session) []byte { return append(s.User.ID[:], "recovery"...) }
	read := func(s login.Session) []byte {
		record, err := o.backend.Side(t.Context(), store.SideSecrets, key(s))
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	write := func(s login.Session, record []byte) {
		if err := o.backend.WriteSide(t.Context(), []store.SideWrite{{Table: store.SideSecrets, Key: key(s), Value: record}}); err != nil {
			t.Fatal(err)
		}
	}
	mine, theirs := read(carol), read(bob)
	write(carol, theirs)
	for _, code := range []string{carol.Codes[0], bob.Codes[0]} {
		if err := o.try("carol", code, home); !errors.Is(err, access.ErrSignIn) {
			t.Errorf("with another's record: %v", err)
		}
	}
	write(carol, mine)
	// An earlier set that is put back counts no more.
	o.clock.wait(time.Minute)
	if _, err := o.NewRecoveryCodes(t.Context(), by(bob.Token), login.Proof{Code: o.code(seed)}, home); err != nil {
		t.Fatal(err)
	}
	write(bob, theirs)
	if err := o.try("bob", bob.Codes[5], home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("with a record of before: %v", err)
	}
	write(carol, nil)
	if err := o.try("carol", carol.Codes[0], home); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("with the record gone: %v", err)
	}
}

// TestS18ErasedAndHashed: the database holds no code, and nothing of a removed
// user once they are forgotten.
func TestS18ErasedAndHashed(t *testing.T) {
	o := found(t)
	_, s := o.engage("carol")
	if err := o.try("carol", s.Codes[0], home); err != nil {
		t.Fatal(err)
	}
	for _, code := range s.Codes {
		compact := strings.ReplaceAll(code, "-", "")
		for _, form := range []string{code, compact, strings.ToUpper(compact), base32.StdEncoding.EncodeToString([]byte(compact))} {
			if o.holds([]byte(form)) {
				t.Errorf("the database holds %s", form)
			}
		}
	}
	if o.holds(s.Device) {
		t.Error("the database holds a device's token")
	}
	o.do(access.RemoveUser{By: access.Caller{Local: true}, Handle: "carol"})
	if err := o.Forget(t.Context(), s.User.ID); err != nil {
		t.Fatal(err)
	}
	for w, err := range o.backend.SideAll(t.Context(), store.SideSecrets, nil) {
		if err != nil || bytes.HasPrefix(w.Key, s.User.ID[:]) {
			t.Errorf("still there: %x, error %v", w.Key, err)
		}
	}
	if err := o.try("carol", s.Codes[1], home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("erased: %v", err)
	}
}
