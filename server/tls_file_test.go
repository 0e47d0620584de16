package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

// with sets variables of the environment for a site.
func (s *site) with(values map[string]string) *site {
	s.env.Getenv = func(name string) string { return values[name] }
	return s
}

// ownCertificate is a site that serves the files of a pair.
func ownCertificate(t *testing.T, p pairOfFiles) *site {
	t.Helper()
	return newSite(t).with(map[string]string{"VAULTPAMD_TLS_MODE": "file", "VAULTPAMD_TLS_CERT": p.cert, "VAULTPAMD_TLS_KEY": p.key})
}

// trusting makes the site's client go by roots alone.
func (s *site) trusting(roots *x509.CertPool) *site {
	s.http = &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: siteName}},
		Timeout:   30 * time.Second,
	}
	s.t.Cleanup(s.http.CloseIdleConnections)
	return s
}

// shown returns the certificates of a new connection, held to nothing.
func (s *site) shown() []*x509.Certificate {
	s.t.Helper()
	// The caller compares what came with the files; no authority is asked.
	c, err := tls.Dial("tcp", s.https, &tls.Config{MinVersion: tls.VersionTLS13, ServerName: siteName, InsecureSkipVerify: true})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates
}

func (s *site) serves(what string, want issued) {
	s.t.Helper()
	if got := s.shown(); len(got) != 2 || !got[0].Equal(want.leaf) {
		s.t.Errorf("%s: %d certificates, the first with serial %v: want serial %v and its intermediate", what, len(got), got[0].SerialNumber, want.leaf.SerialNumber)
	}
}

// logged fails unless the log has a line with all words, so many times.
func (s *site) logged(times int, words ...string) {
	s.t.Helper()
	n := 0
	for line := range strings.Lines(s.log.String()) {
		has := true
		for _, w := range words {
			has = has && strings.Contains(line, w)
		}
		if has {
			n++
		}
	}
	if n != times {
		s.t.Errorf("%d lines with %q, want %d:\n%s", n, words, times, s.log)
	}
}

func TestOwnCertificate(t *testing.T) {
	at := newHand().now()
	ca := newWebCA(t, at)
	first := ca.issue(siteName, around(at))
	s := ownCertificate(t, newPair(t, first)).trusting(ca.pool()).run()
	s.serves("at the start", first)
	// Who has only the roots enrols, and the invitations of people who come
	// later need no pin.
	s.admin = s.enrolled(s.begun.Invitation.String())
	added := must[api.AddUserResponse](s, s.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: "carol", Roles: []string{"engineer"}})
	inv, err := api.ParseInvitation(added.Invitation)
	if err != nil || len(inv.Pin) != 0 {
		t.Errorf("the invitation %q pins %x: %v", added.Invitation, inv.Pin, err)
	}
	s.trusting(newWebCA(t, at).pool())
	if _, err := s.http.Get("https://" + s.https + api.RouteInfo.Path); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("with other roots: %v", err)
	}
}

// A new pair is served without a restart, connections stay, and what is broken
// changes nothing.
func TestOwnCertificateIsReloaded(t *testing.T) {
	at := newHand().now()
	ca := newWebCA(t, at)
	first, second, third := ca.issue(siteName, around(at)), ca.issue(siteName, around(at)), ca.issue(siteName, around(at))
	p := newPair(t, first)
	s := ownCertificate(t, p).trusting(ca.pool()).run()
	s.serves("at the start", first)
	if reused := s.get(); reused {
		t.Error("the first connection was there before")
	}
	p.put(second)
	s.serves("after new files", second)
	if reused := s.get(); !reused {
		t.Error("the connection from before was closed")
	}
	s.logged(1, "a new TLS certificate is served", p.cert)

	for name, c := range map[string]struct {
		spoil func()
		why   string
	}{
		"another key":     {func() { replace(t, p.key, third.key, 0o600) }, "private key does not match"},
		"no key":          {func() { remove(t, p.key) }, "no such file"},
		"open key":        {func() { replace(t, p.key, second.key, 0o640) }, "others may read it: chmod 600"},
		"nonsense":        {func() { replace(t, p.cert, []byte("nonsense"), 0o644) }, "failed to find any PEM data"},
		"nothing":         {func() { replace(t, p.cert, nil, 0o644) }, "failed to find any PEM data"},
		"half":            {func() { replace(t, p.cert, second.cert[:200], 0o644) }, "failed to find any"},
		"too large":       {func() { replace(t, p.cert, make([]byte, 2<<20), 0o644) }, "is too large"},
		"another name":    {func() { p.put(ca.issue("other.example.eu", around(at))) }, "does not cover the name " + siteName},
		"over":            {func() { p.put(ca.issue(siteName, term{at.AddDate(-2, 0, 0), at.AddDate(-1, 0, 0)})) }, "it ended on 2025-08-01"},
		"key is a folder": {func() { remove(t, p.key); mkdir(t, p.key) }, "is not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			before := strings.Count(s.log.String(), "the new TLS certificate is not used, the old one is")
			c.spoil()
			s.serves(name, second)
			s.serves(name+", again", second)
			s.logged(before+1, "the new TLS certificate is not used, the old one is", p.cert)
			if !strings.Contains(s.log.String(), c.why) {
				t.Errorf("it does not say %q:\n%s", c.why, s.log)
			}
			remove(t, p.key)
			p.put(second)
			s.serves(name+", mended", second)
		})
	}
	p.put(third)
	s.serves("at last", third)
	if reused := s.get(); !reused {
		t.Error("the connection from the beginning was closed")
	}
}

// What is not valid yet is served as soon as it is, though its files stay.
func TestOwnCertificateOfTomorrow(t *testing.T) {
	at := newHand().now()
	ca := newWebCA(t, at)
	today, tomorrow := ca.issue(siteName, around(at)), ca.issue(siteName, term{at.Add(24 * time.Hour), at.AddDate(1, 0, 0)})
	p := newPair(t, today)
	s := ownCertificate(t, p).run()
	p.put(tomorrow)
	s.serves("today", today)
	s.logged(1, "it is not valid before 2026-08-02 12:00 UTC")
	s.clock.turn(24 * time.Hour)
	s.serves("tomorrow", tomorrow)
}

// get asks something, and reports whether that was on a connection from before.
func (s *site) get() (reused bool) {
	s.t.Helper()
	trace := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(s.t.Context(), trace), "GET", "https://"+s.https+api.RouteInfo.Path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	if a := s.do(req); a.status != http.StatusOK {
		s.t.Fatalf("%d %s", a.status, a.body)
	}
	return reused
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
}

// A link is followed, for it is what programs that renew certificates leave.
func TestOwnCertificateBehindLinks(t *testing.T) {
	at := newHand().now()
	ca := newWebCA(t, at)
	first, second := ca.issue(siteName, around(at)), ca.issue(siteName, around(at))
	one, two := newPair(t, first), newPair(t, second)
	live := pairOfFiles{t, filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")}
	point := func(to pairOfFiles) {
		for _, l := range [][2]string{{to.key, live.key}, {to.cert, live.cert}} {
			if err := os.RemoveAll(l[1]); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(l[0], l[1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	point(one)
	s := ownCertificate(t, live).run()
	s.serves("one", first)
	point(two)
	s.serves("two", second)
}

// A server that never had a pair does not start; one whose pair clients refuse
// does, because the relay needs none, and says so.
func TestOwnCertificateAtTheStart(t *testing.T) {
	at := newHand().now()
	ca := newWebCA(t, at)
	good := ca.issue(siteName, around(at))
	for name, c := range map[string]struct {
		spoil func(pairOfFiles)
		want  string
	}{
		"no certificate": {func(p pairOfFiles) { remove(t, p.cert) }, "opening the TLS certificate: open "},
		"no key":         {func(p pairOfFiles) { remove(t, p.key) }, "opening the TLS key: stat "},
		"open key":       {func(p pairOfFiles) { replace(t, p.key, good.key, 0o644) }, "others may read it: chmod 600 "},
		"another key":    {func(p pairOfFiles) { replace(t, p.key, ca.issue(siteName, around(at)).key, 0o600) }, "private key does not match"},
	} {
		p := newPair(t, good)
		c.spoil(p)
		if why := ownCertificate(t, p).opens(); !strings.Contains(why, c.want) {
			t.Errorf("%s: %q", name, why)
		}
	}
	s := ownCertificate(t, newPair(t, ca.issue("other.example.eu", around(at)))).run()
	if !s.log.says("clients refuse it", promptly) {
		t.Fatal(s.log)
	}
	s.logged(1, "level=ERROR", "the TLS certificate needs somebody", "clients refuse it: it does not cover the name "+siteName)
}

func TestExpiryWarnings(t *testing.T) {
	hand := newHand()
	at := hand.now()
	ca := newWebCA(t, at)
	days := func(n float64) time.Duration { return time.Duration(n * 24 * float64(time.Hour)) }
	for _, c := range []struct {
		life, left float64 // days
		want       string
	}{
		{365, 100, ""}, {365, 14.1, ""}, {365, 13.9, "level=WARN"}, {365, 0.1, "level=WARN"},
		{90, 29, ""}, {90, 13, "level=WARN"}, {47, 14, ""}, {47, 11, "level=WARN"},
		{6, 2, ""}, {6, 1.4, "level=WARN"},
	} {
		var log scroll
		w := server.NewExpiryWatch(siteName, slog.New(slog.NewTextHandler(&log, nil)))
		leaf := ca.issue(siteName, term{at.Add(days(c.left - c.life)), at.Add(days(c.left))}).leaf
		lines := 0
		if c.want != "" {
			lines = 1
		}
		for range 3 {
			w.Look(leaf, at)
		}
		if got := strings.Count(log.String(), c.want); strings.Count(log.String(), "\n") != lines || c.want != "" && got != 1 {
			t.Errorf("%v days of %v left: want %d lines with %q:\n%s", c.left, c.life, lines, c.want, &log)
		}
		// One that is over is told at once, whatever was told before; else once a day.
		w.Look(leaf, at.Add(days(c.left)+time.Second))
		w.Look(leaf, at.Add(days(c.left)+23*time.Hour))
		if got := strings.Count(log.String(), "clients refuse it: it ended on"); got != 1 {
			t.Errorf("%v days of %v left, then over: told %d times", c.left, c.life, got)
		}
		w.Look(leaf, at.Add(days(c.left)+25*time.Hour))
		if got := strings.Count(log.String(), "clients refuse it: it ended on"); got != 2 {
			t.Errorf("%v days of %v left, then over for a day: told %d times", c.left, c.life, got)
		}
	}
}
