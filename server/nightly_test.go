package server_test

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func TestLastBefore(t *testing.T) {
	at := 2*time.Hour + 30*time.Minute
	for text, want := range map[string]string{
		"2026-08-01T02:29:59Z":      "2026-07-31T02:30:00Z",
		"2026-08-01T02:30:00Z":      "2026-08-01T02:30:00Z",
		"2026-08-01T23:59:59Z":      "2026-08-01T02:30:00Z",
		"2026-08-01T03:00:00+02:00": "2026-07-31T02:30:00Z",
		"2026-01-01T00:00:00Z":      "2025-12-31T02:30:00Z",
		"2026-10-25T04:00:00+01:00": "2026-10-25T02:30:00Z", // the clocks of Europe went back
	} {
		moment, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := server.LastBefore(moment, at).Format(time.RFC3339); got != want {
			t.Errorf("at %s: %s, want %s", text, got, want)
		}
	}
}

// errands returns what the server did by itself, in order: who wanted it, and
// how each ended.
func (s *site) errands() []string {
	s.t.Helper()
	reasons := map[store.SessionID]string{}
	for _, e := range s.entriesOf(store.TypeSessionEnded) {
		end := e.Event.(*store.SessionEnded)
		reasons[end.Session] = string(end.Reason)
	}
	var all []string
	for _, e := range s.entriesOf(store.TypeSessionStarted) {
		start := e.Event.(*store.SessionStarted)
		actor := "by somebody"
		if e.Actor == (store.Actor{}) {
			actor = "by itself"
		}
		all = append(all, string(start.Errand)+" "+actor+": "+reasons[start.Session])
	}
	return all
}

// TestTargetsAreLookedAtNightly: each target once a night, whether it can be
// reached or not, and what was missed while the server was down at its start.
func TestTargetsAreLookedAtNightly(t *testing.T) {
	s := newSite(t)
	s.env.Getenv = func(name string) string {
		if name == "VAULTPAMD_CHECK_TARGETS" {
			return "12:01" // a minute after the clock of tests begins
		}
		return ""
	}
	s.clock.turn(time.Minute - 50*time.Millisecond)
	s.run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	for _, name := range []string{"db1", "db2"} {
		s.unreachable(name)
	}
	if got := s.errands(); len(got) != 0 {
		t.Fatalf("before its time: %q", got)
	}
	s.clock.turn(time.Second)
	s.await(func() bool { return len(s.errands()) == 2 && !slices.Contains(s.errands(), "check by itself: ") })
	want := []string{"check by itself: target-unreachable", "check by itself: target-unreachable"}
	if diff := cmp.Diff(want, s.errands()); diff != "" {
		t.Errorf("the first night (-want +got):\n%s", diff)
	}
	for _, d := range must[[]api.TargetDetail](s, s.admin, "GET", api.RouteAllTargets.Path, nil) {
		if d.Check.Entry != 0 || d.Check.Missed.IsZero() {
			t.Errorf("%s: %+v, want a look that was missed", d.Name, d.Check)
		}
	}
	// A restart makes up for nothing: the night's looks have been.
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.run()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.clock.turn(48 * time.Hour) // two nights while the server was down
	s.run()
	s.await(func() bool { return len(s.errands()) == 4 && !slices.Contains(s.errands(), "check by itself: ") })
}

// unreachable registers a target at an address where nobody listens.
func (s *site) unreachable(name string) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		s.t.Fatal(err)
	}
	must[api.TargetDetail](s, s.admin, "POST", api.RouteTargetAdd.Path, api.AddTargetRequest{
		Name: name, Address: address, Egress: "127.0.0.1", Logins: []string{"root"}, HostKeys: []string{publicLine(newKey(s.t))},
	})
}

// await waits until something is so; the ledger tells when to look again.
func (s *site) await(so func() bool) {
	s.t.Helper()
	late := time.After(20 * time.Second)
	for {
		changed := s.node.Ledger().Changed()
		if so() {
			return
		}
		select {
		case <-changed:
		case <-late:
			s.t.Fatalf("it did not come about; errands: %q\n%s", s.errands(), s.log)
		}
	}
}

// TestErrandsEndWithTheServer: a host that hangs does not keep the server from
// stopping, and the session ends as what it was.
func TestErrandsEndWithTheServer(t *testing.T) {
	s := populated(t)
	l, err := net.Listen("tcp", "127.0.0.1:0") // and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	must[api.TargetDetail](s, s.admin, "POST", api.RouteTargetAdd.Path, api.AddTargetRequest{
		Name: "hangs", Address: l.Addr().String(), Egress: "127.0.0.1", Logins: []string{"root"}, HostKeys: []string{publicLine(newKey(t))},
	})
	answered := make(chan error, 1)
	go func() { // ends with the server
		_, err := s.node.Look(t.Context(), access.StartErrand{By: access.Caller{Local: true}, Errand: store.ErrandCheck, Target: "hangs"})
		answered <- err
	}()
	s.await(func() bool { return len(s.errands()) == 1 })
	begin := time.Now()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("stopping took %s", took)
	}
	if err := <-answered; err == nil {
		t.Error("the look brought something")
	}
	s.run()
	if diff := cmp.Diff([]string{"check by somebody: relay-stopped"}, s.errands()); diff != "" {
		t.Errorf("errands (-want +got):\n%s", diff)
	}
}
