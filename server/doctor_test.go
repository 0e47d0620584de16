package server_test

import (
	"crypto/sha256"
	"html"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

// observed is what Doctor says of a site, by name; several lines of one name are
// one text.
func (s *site) observed(r server.DoctorRequest) map[string]server.Observation {
	s.t.Helper()
	r.Dir = s.dir
	all := map[string]server.Observation{}
	err := server.Doctor(s.t.Context(), s.env, r, func(o server.Observation) {
		if before, ok := all[o.Name]; ok {
			o.Says = before.Says + "\n" + o.Says
		}
		all[o.Name] = o
		if o.Verdict == server.Ill != (o.Do != "") {
			s.t.Errorf("%+v: what is ill says what to do, and nothing else does", o)
		}
		sentenceOf(s.t, o)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func sentenceOf(t *testing.T, o server.Observation) {
	t.Helper()
	if text := o.String(); strings.ContainsAny(text, "\n\r\x1b") || strings.HasSuffix(text, ".") || !strings.HasPrefix(text, o.Name+": ") {
		t.Errorf("not one line for a person: %q", text)
	}
}

// expects holds verdicts to what they have to be, and some words to what is said.
func (s *site) expects(got map[string]server.Observation, want map[string]string) {
	s.t.Helper()
	for name, w := range want {
		verdict, words, _ := strings.Cut(w, " ")
		o := got[name]
		if string(o.Verdict) != verdict || !strings.Contains(o.String(), words) {
			s.t.Errorf("%s: %s %q, want %s with %q", name, o.Verdict, o, verdict, words)
		}
	}
}

// localhost is a site whose addresses are those of this machine.
func localhost(t *testing.T, name string, env map[string]string) *site {
	t.Helper()
	https, ssh := freeAddress(t), freeAddress(t)
	dir := freshDir(t)
	r := initRequest(dir)
	r.Config.Name = name
	r.Config.Listen = server.ListenConfig{HTTPS: https, SSH: ssh}
	_, httpsPort, _ := net.SplitHostPort(https)
	_, sshPort, _ := net.SplitHostPort(ssh)
	r.Config.Public = server.PublicConfig{HTTPS: net.JoinHostPort("localhost", httpsPort), SSH: net.JoinHostPort("localhost", sshPort)}
	begun, err := server.Init(t.Context(), environment(newHand()), r)
	if err != nil {
		t.Fatal(err)
	}
	return siteIn(t, dir, begun).with(env)
}

func TestDoctor(t *testing.T) {
	at := newHand().now()
	ca := newWebCA(t, at)
	shown := ca.issue("localhost", around(at))
	p := newPair(t, shown)
	s := localhost(t, "localhost", map[string]string{"VAULTPAMD_TLS_MODE": "file", "VAULTPAMD_TLS_CERT": p.cert, "VAULTPAMD_TLS_KEY": p.key})
	s.shows(ca, shown)
	r := server.DoctorRequest{Roots: ca.pool()}
	s.expects(s.observed(r), map[string]string{
		"configuration": "well right", "keys": "well whole", "clock": "well ", "disk": "well GiB are free",
		"https": "untold the server does not run", "ssh": "untold the server does not run",
		"certificate": "well for localhost by CN=an intermediate, until 2036-08-01 12:00 UTC, 3653 days left", "passkeys": "well ready",
	})
	before := s.modes()
	s.run()
	s.expects(s.observed(r), map[string]string{
		"configuration": "well right", "keys": "well whole", "clock": "well ledger's last entry is of 2026-08-01 12:00 UTC",
		"https": "well 127.0.0.1:", "ssh": "well and localhost:", "certificate": "well for localhost", "passkeys": "well passkeys: ready",
	})
	s.refusesPasskeys("")
	s.clock.turn(-time.Minute)
	s.expects(s.observed(r), map[string]string{"clock": "ill it is 1m0s behind the ledger's last entry"})
	s.clock.turn(time.Minute)
	s.expects(s.observed(server.DoctorRequest{Roots: newWebCA(t, at).pool()}), map[string]string{
		"certificate": "well ", "passkeys": "ill this machine does not know the authority that issued the certificate, CN=a root",
	})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.clock.turn(-time.Minute)
	s.expects(s.observed(r), map[string]string{"clock": "ill behind the ledger's last entry"})
	if len(s.modes()) != len(before) {
		t.Errorf("the directory has other files: %v and %v", before, s.modes())
	}
}

func TestDoctorOfKeysAndFiles(t *testing.T) {
	s := newSite(t)
	s.expects(s.observed(server.DoctorRequest{}), map[string]string{
		"keys": "well ", "certificate": "well self-signed; invitations pin its key", "passkeys": "ill because the certificate is self-signed",
	})
	for path, mode := range map[string]os.FileMode{s.key("user-ca"): 0o640, s.key("secret"): 0o604, filepath.Join(string(s.dir), "tls", "key.pem"): 0o644} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		s.expects(s.observed(server.DoctorRequest{}), map[string]string{"keys": "ill " + path + " can be reached by others"})
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.place(s.dir.Config(), []byte("name: pam.example.eu\ncolour: x\n"), 0o600)
	got := s.observed(server.DoctorRequest{})
	s.expects(got, map[string]string{"configuration": `ill there is no setting "colour"`})
	if len(got) != 1 {
		t.Errorf("more was said than could be known: %v", got)
	}
	if err := server.Doctor(t.Context(), s.env, server.DoctorRequest{Dir: freshDir(t)}, func(server.Observation) {}); err == nil || !strings.Contains(err.Error(), "run vaultpamd init") {
		t.Errorf("no data directory: %v", err)
	}
}

// Each reason for which browsers refuse passkeys is said, and each by itself.
func TestDoctorOfPasskeys(t *testing.T) {
	at := newHand().now()
	ca := newWebCA(t, at)
	for name, c := range map[string]struct {
		server string            // its name
		cert   issued            // none: self-signed
		env    map[string]string // over the rest
		want   string
		tells  string // of the certificate
	}{
		"an IP address":  {"127.0.0.1", ca.issue("127.0.0.1", around(at)), nil, "the name 127.0.0.1 is an IP address", "it does not cover the name localhost"},
		"a single word":  {"pam", ca.issue("pam", around(at)), nil, "the name pam is a single word and no domain", ""},
		"another name":   {"localhost", ca.issue("other.example.eu", around(at)), nil, "the certificate is no good: it does not cover the name localhost", "it does not cover the name localhost"},
		"over":           {"localhost", ca.issue("localhost", term{at.AddDate(-1, 0, 0), at.Add(-time.Hour)}), nil, "it ended on 2026-08-01 11:00 UTC", "it ended on 2026-08-01 11:00 UTC"},
		"not yet":        {"localhost", ca.issue("localhost", term{at.Add(time.Hour), at.AddDate(1, 0, 0)}), nil, "it is not valid before 2026-08-01 13:00 UTC", "it is not valid before"},
		"another origin": {"pam.example.eu", ca.issue("pam.example.eu", around(at)), nil, "public.https leads to localhost and not to the name pam.example.eu", ""},
		"self-signed":    {"localhost", issued{}, nil, "the certificate is self-signed", ""},
		"no directory":   {"localhost", ca.issue("localhost", around(at)), map[string]string{"VAULTPAMD_TLS_KEY": "/nowhere/key.pem"}, "", "opening the TLS key: stat /nowhere/key.pem: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{}
			if c.cert.leaf != nil {
				p := newPair(t, c.cert)
				env = map[string]string{"VAULTPAMD_TLS_MODE": "file", "VAULTPAMD_TLS_CERT": p.cert, "VAULTPAMD_TLS_KEY": p.key}
			}
			for k, v := range c.env {
				env[k] = v
			}
			s := localhost(t, c.server, env)
			got := s.observed(server.DoctorRequest{Roots: ca.pool()})
			want := map[string]string{"passkeys": "ill browsers will refuse them, because " + c.want}
			if c.want == "" {
				want["passkeys"] = "untold there is no certificate to look at"
			}
			if strings.Contains(c.want, "it ") {
				want["passkeys"] = "ill " + c.want
			}
			if c.tells != "" {
				want["certificate"] = "ill " + c.tells
			}
			s.expects(got, want)
			if c.tells != "" {
				return // it does not start
			}
			s.shows(ca, c.cert).run()
			s.refusesPasskeys(strings.TrimPrefix(got["passkeys"].Says, "browsers will refuse them, because "))
		})
	}
}

// shows says that the server shows a certificate of its own.
func (s *site) shows(ca *webCA, cert issued) *site {
	s.t.Helper()
	s.roots = ca.pool()
	if cert.leaf != nil {
		sum := sha256.Sum256(cert.leaf.RawSubjectPublicKeyInfo)
		s.begun.Invitation.Pin = sum[:]
	}
	return s
}

// refusesPasskeys holds what people are told who enrol, and programs that ask, to
// what the doctor said; without a reason they are asked for passkeys.
func (s *site) refusesPasskeys(why string) {
	s.t.Helper()
	inv, err := api.ParseInvitation(s.begun.Invitation.String())
	if err != nil {
		s.t.Fatal(err)
	}
	told, kinds := "", []string{"passkey", "totp"}
	if why != "" {
		told, kinds = "Browsers will refuse passkeys here, because "+why+".", kinds[1:]
	}
	begun := must[api.EnrollBeginResponse](s, nil, "POST", api.RouteEnrollBegin.Path, api.EnrollBeginRequest{Token: inv.Token[:]})
	if begun.PasskeyRefusal != told || begun.Passkey != nil {
		s.t.Errorf("who enrols is told %q, want %q", begun.PasskeyRefusal, told)
	}
	if page := html.UnescapeString(string(s.ask("GET", "/enroll", nil, nil).body)); !strings.Contains(page, ">"+told+"</p>") {
		s.t.Errorf("the page does not say %q", told)
	}
	if diff := cmp.Diff(kinds, must[api.Info](s, nil, "GET", api.RouteInfo.Path, nil).Factors); diff != "" {
		s.t.Errorf("programs are told of factors: %s", diff)
	}
}

func TestDoctorOfPorts(t *testing.T) {
	s := localhost(t, "localhost", nil).run()
	s.expects(s.observed(server.DoctorRequest{}), map[string]string{"https": "well ", "ssh": "well "})
	// The names lead elsewhere: to nothing, to another server, to what is no SSH.
	nothing := "localhost:" + strings.TrimPrefix(freeAddress(t), "127.0.0.1:")
	s.with(map[string]string{"VAULTPAMD_PUBLIC_HTTPS": nothing, "VAULTPAMD_PUBLIC_SSH": nothing})
	s.expects(s.observed(server.DoctorRequest{}), map[string]string{
		"https": "ill " + nothing + " does not from here: connect: connection refused", "ssh": "ill connection refused",
	})
	other := localhost(t, "localhost", nil).run()
	s.with(map[string]string{"VAULTPAMD_PUBLIC_HTTPS": other.https, "VAULTPAMD_PUBLIC_SSH": other.https})
	s.expects(s.observed(server.DoctorRequest{}), map[string]string{
		"https": "ill another certificate than this server's", "ssh": "ill it does not speak SSH",
	})
	s.with(map[string]string{"VAULTPAMD_LISTEN_HTTPS": nothing, "VAULTPAMD_LISTEN_SSH": nothing})
	s.expects(s.observed(server.DoctorRequest{}), map[string]string{
		"https": "ill " + nothing + " does not answer", "ssh": "ill does not answer", "certificate": "well self-signed",
	})
}
