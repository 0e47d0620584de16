package main

import (
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/api"
)

// Recovery codes are shown on the terminal, or printed for a script, and nowhere
// else; a sign-in with one says how many are left.
func TestS18RecoveryCodesAreShownOnce(t *testing.T) {
	s := newFakeServer(t)
	m := newMachine(t)
	m.typed = []string{goodCode + "\n"}
	m.run("enroll", s.invitation()).want(t, exitOK)
	const sentence = "Keep these recovery codes on paper; each signs you in once without your authenticator, and they are not shown again:"
	if tty := m.tty.String(); strings.Count(tty, sentence) != 1 || !strings.Contains(tty, "  "+testCodes[0]+"\n  "+testCodes[1]+"\n") {
		t.Errorf("the terminal shows:\n%s", tty)
	}
	m.tty.Reset()
	m.typed = []string{goodCode + "\n"}
	if r := m.run("recovery", "new"); r.code != exitOK || r.out+r.stderr != "" || !strings.Contains(m.tty.String(), testCodes[1]) {
		t.Errorf("%+v\n%s", r, m.tty.String())
	}
	if body := s.body(api.RouteRecovery); !strings.Contains(body, `"device":"ZmVkY2JhOTg3NjU0`) {
		t.Errorf("the machine does not say which it is: %s", body)
	}
	m.typed = nil
	m.run("recovery", "new").want(t, exitOther, "in a script: --code-stdin")
	if r := m.runWith(strings.NewReader(goodCode), "recovery", "new", "--code-stdin"); r.out != strings.Join(testCodes, "\n")+"\n" {
		t.Errorf("standard output %q", r.out)
	}
	if r := m.runWith(strings.NewReader(goodCode), "recovery", "new", "--code-stdin", "--json"); !strings.Contains(r.out, `"codes"`) {
		t.Errorf("standard output %q", r.out)
	}
	if r := m.runWith(strings.NewReader(testCodes[0]), "recovery", "new", "--code-stdin"); r.code == exitOK || !strings.Contains(r.stderr, "not a code") {
		t.Errorf("a recovery code for new ones: %+v", r)
	}
}

func TestS18LoginWithARecoveryCode(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	session := s.answers[api.RouteSignIn.Pattern()].(api.SignInResponse)
	session.Factor, session.RecoveryLeft = "recovery-code", 3
	s.set(api.RouteSignIn, session)
	m.runWith(strings.NewReader(strings.ToUpper(testCodes[0])+"\n"), "login", "--code-stdin").want(t, exitOK,
		"3 recovery codes are left; vaultpam recovery new makes ten new ones\n", "vaultpam recovery enroll")
	if body := s.body(api.RouteSignIn); !strings.Contains(body, testCodes[0]) || !strings.Contains(body, `"device":"ZmVkY2JhOTg3NjU0`) {
		t.Errorf("sent: %s", body)
	}
	session.RecoveryLeft = 1
	s.set(api.RouteSignIn, session)
	m.runWith(strings.NewReader(testCodes[0]), "login", "--code-stdin").want(t, exitOK, "1 recovery code is left")
	limited := api.NewError(api.KindLimited, "wait", "too many failed attempts")
	limited.RetryAfter = 900
	s.set(api.RouteSignIn, limited)
	m.runWith(strings.NewReader(goodCode), "login", "--code-stdin").want(t, exitRefused, "hint: wait\nhint: the next attempt is possible at ")
}
