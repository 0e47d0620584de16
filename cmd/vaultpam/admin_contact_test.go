package main

import (
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestAdminEmail(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteContact, api.Empty{})
	m.run("admin", "user", "email", "carol", "carol@Example.EU").want(t, exitOK, "carol gets notices at carol@example.eu")
	if got := s.body(api.RouteContact); !strings.Contains(got, `{"handle":"carol","email":"carol@example.eu"}`) {
		t.Errorf("sent %s", got)
	}
	m.run("admin", "user", "email", "carol", "--remove").want(t, exitOK, "carol gets no notices by mail any more")
	if got := s.body(api.RouteContact); !strings.Contains(got, `{"handle":"carol","email":""}`) {
		t.Errorf("sent %s", got)
	}
	for _, args := range [][]string{{"carol"}, {"carol", "carol"}, {"carol", "a@b\r\nBcc: c@d"}, {"Carol", "a@b"}, {"carol", "a@b", "--remove"}, {"carol", "a@b", "c@d"}} {
		if r := m.run(append([]string{"admin", "user", "email"}, args...)...); r.code != exitUsage || strings.ContainsAny(strings.TrimRight(r.stderr, "\n"), "\r") {
			t.Errorf("%q: %+v", args, r)
		}
	}
}

// TestInvitationByMail: what is sent is printed nowhere, also by a server that
// shows it all the same.
func TestInvitationByMail(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	dave := api.User{Handle: "dave", Email: "dave@example.eu"}
	s.set(api.RouteUserAdd, api.AddUserResponse{User: dave})
	r := m.run("admin", "user", "add", "dave", "--email", "dave@example.eu", "--send")
	r.want(t, exitOK, "the invitation of dave, until", "is sent to dave@example.eu")
	if r.out != "" || !strings.Contains(s.body(api.RouteUserAdd), `"email":"dave@example.eu","send":true}`) {
		t.Errorf("stdout %q after %s", r.out, s.body(api.RouteUserAdd))
	}
	s.set(api.RouteUserInvite, api.AddUserResponse{User: dave})
	m.run("admin", "user", "invite", "dave", "--send").want(t, exitOK, "is sent to dave@example.eu")
	if !strings.Contains(s.body(api.RouteUserInvite), `{"send":true}`) {
		t.Errorf("sent %s", s.body(api.RouteUserInvite))
	}
	s.set(api.RouteUserInvite, api.AddUserResponse{User: dave, Invitation: s.invitation()})
	if r := m.run("admin", "user", "invite", "dave", "--send"); r.code == exitOK || strings.Contains(r.out+r.stderr, s.invitation()) {
		t.Errorf("an invitation that was to be sent: %+v", r)
	}
	s.set(api.RouteUserAdd, api.AddUserResponse{User: dave})
	if r := m.run("admin", "user", "add", "dave", "--email", "dave@example.eu"); r.code == exitOK {
		t.Errorf("no invitation: %+v", r)
	}
	m.run("admin", "user", "add", "dave", "--send").want(t, exitUsage, "--send takes --email ADDRESS")
	m.run("admin", "user", "add", "dave", "--email", "dave").want(t, exitUsage, "e-mail address")
}

func TestAdminRecovery(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteAdminRecovery, api.AdminRecovery{})
	m.run("admin", "recovery", "show").want(t, exitOK, "no recovery of an administrator is under way")
	at := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	s.set(api.RouteAdminRecovery, api.AdminRecovery{Entry: 12, Handle: "carol", Begun: at, Ready: at.Add(time.Hour), Ends: at.Add(25 * time.Hour)})
	r := m.run("admin", "recovery", "show")
	r.want(t, exitOK)
	if !strings.HasPrefix(r.out, "carol: begun on the server's own machine at 2026-11-24 12:00:00 UTC (entry 12); can be finished from 2026-11-24 13:00:00 UTC") {
		t.Errorf("%+v", r)
	}
	if r := m.run("admin", "recovery", "show", "--json"); r.code != exitOK || !strings.Contains(r.out, `"handle": "carol"`) {
		t.Errorf("%+v", r)
	}
	s.set(api.RouteAdminRecovery, api.AdminRecovery{Entry: 12, Handle: "carol\x1b[31m"})
	if r := m.run("admin", "recovery", "show"); r.code == exitOK || strings.Contains(r.out+r.stderr, "\x1b") {
		t.Errorf("%+v", r)
	}
	s.set(api.RouteAdminRecoveryStop, api.Empty{})
	m.run("admin", "recovery", "stop").want(t, exitOK, "stopped; look who")
	s.set(api.RouteAdminRecoveryStop, api.NewError(api.KindNotFound, "", "no recovery of an administrator is under way"))
	if r := m.run("admin", "recovery", "stop"); r.code == exitOK || !strings.Contains(r.stderr, "no recovery of an administrator is under way") {
		t.Errorf("%+v", r)
	}
}
