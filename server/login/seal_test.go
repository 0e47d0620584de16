package login_test

import (
	"bytes"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// TestS12SeedsAreSealed: what somebody reads who gets hold of the database holds
// no seed, no token and no code, in no form.
func TestS12SeedsAreSealed(t *testing.T) {
	o := found(t)
	token := o.invite("carol")
	seed := o.seed(token)
	s, err := o.FinishEnrolment(t.Context(), token, o.code(seed), home)
	if err != nil {
		t.Fatal(err)
	}
	o.clock.wait(time.Minute)
	code := o.code(seed)
	s2, err := o.SignIn(t.Context(), login.Proof{Handle: "carol", Code: code}, home)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{
		"seed": seed, "invitation": token, "token": s.Token, "second token": s2.Token, "sealer's key": o.key,
	} {
		for form, canary := range map[string][]byte{
			"raw": secret, "hex": []byte(hex.EncodeToString(secret)),
			"base32": []byte(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)),
		} {
			if o.holds(canary) {
				t.Errorf("the %s is in the database, %s", name, form)
			}
		}
	}
	u, _ := o.ledger.State().UserByHandle("carol")
	sealed, err := o.backend.Side(t.Context(), store.SideSecrets, u.ID[:])
	if err != nil || !o.holds(sealed) {
		t.Fatalf("the canary test reads the wrong file: %v", err)
	}
}

// TestSealIsForOne: what was sealed for one user opens for nobody else, and not
// after a change.
func TestSealIsForOne(t *testing.T) {
	o := found(t)
	s, carol, bob := o.sealer(), store.UserID{1}, store.UserID{2}
	sealed, err := login.Seal(s, carol, []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := login.Seal(s, carol, []byte("secret")); err != nil || bytes.Equal(again, sealed) {
		t.Errorf("sealed twice it is the same, error %v", err)
	}
	if got, err := login.Open(s, carol, sealed); err != nil || string(got) != "secret" {
		t.Errorf("%q, error %v", got, err)
	}
	if _, err := login.Open(s, bob, sealed); err == nil {
		t.Error("opened for somebody else")
	}
	o.key = random(32)
	if _, err := login.Open(o.sealer(), carol, sealed); err == nil {
		t.Error("opened with another key")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := login.Open(s, carol, changed); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
		if _, err := login.Open(s, carol, sealed[:i]); err == nil {
			t.Errorf("opened the first %d bytes", i)
		}
	}
}

// TestS40SwappedSecrets: whoever can write to the database can't sign in as
// somebody else with their own authenticator.
func TestS40SwappedSecrets(t *testing.T) {
	o := found(t)
	o.employ("carol")
	mallory := o.employ("mallory")
	victim, _ := o.ledger.State().UserByHandle("carol")
	thief, _ := o.ledger.State().UserByHandle("mallory")
	sealed, err := o.backend.Side(t.Context(), store.SideSecrets, thief.ID[:])
	if err != nil {
		t.Fatal(err)
	}
	if err := o.backend.WriteSide(t.Context(), []store.SideWrite{{Table: store.SideSecrets, Key: victim.ID[:], Value: sealed}}); err != nil {
		t.Fatal(err)
	}
	o.clock.wait(time.Minute)
	size := o.ledger.State().Next()
	if err := o.try("carol", o.code(mallory), home); err == nil || errors.Is(err, access.ErrSignIn) {
		t.Errorf("error %v, want one that says what is wrong", err)
	}
	if err := o.backend.WriteSide(t.Context(), []store.SideWrite{{Table: store.SideSecrets, Key: victim.ID[:]}}); err != nil {
		t.Fatal(err)
	}
	if err := o.try("carol", o.code(mallory), home); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("with the secret gone: error %v, want ErrCorrupt", err)
	}
	if o.ledger.State().Next() != size {
		t.Error("something was appended")
	}
}
