package login_test

import (
	"errors"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// TestEnrol is the way from an invitation to sign-ins.
func TestEnrol(t *testing.T) {
	o := found(t)
	token := o.invite("carol")
	e, err := o.BeginEnrolment(token)
	if err != nil {
		t.Fatal(err)
	}
	again, err := o.BeginEnrolment(token)
	if err != nil || again != e {
		t.Errorf("read again it is %+v, error %v, was %+v", again, err, e)
	}
	if e.Handle != "carol" || !e.Expires.Equal(o.clock.Now().Add(access.InvitationLife)) {
		t.Errorf("enrolment %+v", e)
	}
	u, err := url.Parse(e.URI)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Query().Get("secret") != e.Secret ||
		u.Query().Get("period") != "30" || u.Query().Get("digits") != "6" || !strings.HasSuffix(u.Path, ":carol") || strings.Contains(e.URI, "+") {
		t.Errorf("URI %s, error %v", e.URI, err)
	}
	seed := o.seed(token)
	if len(seed) != 20 {
		t.Errorf("seed of %d bytes", len(seed))
	}
	if _, err := o.FinishEnrolment(t.Context(), token, o.wrong(seed), home); kind(err) != access.Unauthenticated {
		t.Errorf("with a wrong code: %v", err)
	}
	s, err := o.FinishEnrolment(t.Context(), token, o.code(seed), home)
	if err != nil || s.User.Handle != "carol" || len(s.Token) != 32 || !s.Expires.Equal(o.clock.Now().Add(10*time.Hour)) {
		t.Fatalf("session %+v, error %v", s, err)
	}
	o.holdsSession(s)
	o.clock.wait(30 * time.Second)
	s2, err := o.SignIn(t.Context(), login.Proof{Handle: "carol", Code: o.code(seed)}, home)
	if err != nil {
		t.Fatal(err)
	}
	o.holdsSession(s2)
	o.holdsSession(s)
	if string(s.Token) == string(s2.Token) {
		t.Error("two sessions with one token")
	}
}

// holdsSession fails the test where a session is not open.
func (o *office) holdsSession(s login.Session) {
	o.Helper()
	u, x, err := o.ledger.State().Caller(by(s.Token), store.At(o.clock.Now()))
	if err != nil || u.ID != s.User.ID || !x.Expires.Time().Equal(s.Expires) {
		o.Errorf("session %+v, %+v, error %v", u, x, err)
	}
}

// TestInvitationOnce: an invitation enrols once, whoever races for it.
func TestInvitationOnce(t *testing.T) {
	o := found(t)
	token := o.invite("carol")
	seed := o.seed(token)
	code := o.code(seed)
	results := make([]error, 20)
	var racers sync.WaitGroup // end with their answers
	for i := range results {
		racers.Go(func() { _, results[i] = o.FinishEnrolment(t.Context(), token, code, home) })
	}
	racers.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else if !errors.Is(err, access.ErrInvitation) {
			t.Errorf("error %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d enrolled", won)
	}
	if _, err := o.BeginEnrolment(token); !errors.Is(err, access.ErrInvitation) {
		t.Errorf("a used invitation: %v", err)
	}
	for name, token := range map[string][]byte{"unknown": random(32), "empty": nil, "its hash": hashOf(token)} {
		if _, err := o.BeginEnrolment(token); !errors.Is(err, access.ErrInvitation) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := o.FinishEnrolment(t.Context(), token, code, home); !errors.Is(err, access.ErrInvitation) {
			t.Errorf("%s: %v", name, err)
		}
	}
	late := o.invite("dave")
	o.clock.wait(access.InvitationLife)
	if _, err := o.BeginEnrolment(late); !errors.Is(err, access.ErrInvitation) {
		t.Errorf("expired: %v", err)
	}
}

func hashOf(token []byte) []byte {
	h := login.TokenHash(token)
	return h[:]
}

// TestInviteAgain: with a new invitation comes another secret, and the old one
// signs nobody in.
func TestInviteAgain(t *testing.T) {
	o := found(t)
	old := o.employ("carol")
	token := random(32)
	o.do(access.InviteUser{By: access.Caller{Local: true}, Handle: "carol", Invite: access.Invite{Token: login.TokenHash(token)}})
	o.clock.wait(30 * time.Second)
	if err := o.try("carol", o.code(old), home); err != nil {
		t.Errorf("the old factor before the new is enrolled: %v", err)
	}
	seed := o.seed(token)
	if string(seed) == string(old) {
		t.Fatal("the same seed for another invitation")
	}
	o.clock.wait(30 * time.Second)
	if _, err := o.FinishEnrolment(t.Context(), token, o.code(seed), home); err != nil {
		t.Fatal(err)
	}
	o.clock.wait(30 * time.Second)
	if err := o.try("carol", o.code(old), home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("the old factor: %v", err)
	}
	if err := o.try("carol", o.code(seed), home); err != nil {
		t.Errorf("the new factor: %v", err)
	}
}
