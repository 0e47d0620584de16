//go:build !windows

package sshconfig_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/sshconfig"
	"github.com/vaultpam/vaultpam/store"
)

// A world is a written configuration, a stub in vaultpam's place, and an empty
// directory that ssh runs in.
type world struct {
	sshconfig.Config
	stub, cwd string
	hostCA    ssh.Signer
	userCA    ssh.Signer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	base := t.TempDir()
	w := &world{Config: sample(t), stub: mkdir(t, filepath.Join(base, "stub")), cwd: mkdir(t, filepath.Join(base, "cwd"))}
	mkdir(t, filepath.Join(w.stub, "next"))
	_, w.hostCA = newSigner(t)
	_, w.userCA = newSigner(t)
	w.HostCAs = []ssh.PublicKey{w.hostCA.PublicKey()}
	w.Dir = mkdir(t, filepath.Join(base, "home"))
	w.Program = program(t, filepath.Join(base, "bin", "vaultpam"))
	return w
}

// write writes the configuration's own files.
func (w *world) write(t *testing.T) {
	t.Helper()
	plan, err := sshconfig.PlanFiles(w.Config)
	apply(t, plan, err)
}

// ssh runs the system's ssh with the configuration file, and returns what it
// printed together with its error.
func (w *world) ssh(t *testing.T, file string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ssh", append([]string{"-F", file, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"}, args...)...)
	cmd.Dir = w.cwd
	// The race detector otherwise keeps each stub for a second at its end.
	cmd.Env = append(os.Environ(), stubEnv+"="+w.stub, "SSH_AUTH_SOCK=", "SHELL=/bin/sh", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (w *world) file() string { return filepath.Join(w.Dir, sshconfig.ConfigFile) }

// calls returns how vaultpam was called, and forgets it.
func (w *world) calls(t *testing.T) [][]string {
	t.Helper()
	path := filepath.Join(w.stub, "log")
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range bytes.Lines(content) {
		var args []string
		if err := json.Unmarshal(line, &args); err != nil {
			t.Fatal(err)
		}
		all = append(all, args)
	}
	return all
}

// TestConnect: with nothing on disk but the configuration, ssh gets a
// certificate before it reads one and trusts the relay by the host CA alone.
func TestConnect(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		ok   bool
	}{
		"target":               {[]string{"root@db1.pam"}, true},
		"upper case":           {[]string{"root@DB1.pam"}, true},
		"another port":         {[]string{"-p", "2200", "root@db1.pam"}, true},
		"relay":                {[]string{"root+db1@127.0.0.1"}, true},
		"another target's key": {[]string{"root@db2.pam"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := startRelay(t, w.hostCA, w.userCA.PublicKey(), "db1.pam", "127.0.0.1")
			w.RelayHost, w.RelayPort = "127.0.0.1", r.port
			writeFile(t, filepath.Join(w.stub, "address"), r.address)
			writeUser(t, filepath.Join(w.stub, "next"), w.userCA)
			w.write(t)
			out, err := w.ssh(t, w.file(), append(test.args, "true")...)
			if (err == nil) != test.ok {
				t.Errorf("error %v\n%s", err, out)
			}
			if !test.ok && !strings.Contains(out, "Host key verification failed") && !strings.Contains(out, "not in list") {
				t.Errorf("refused for another reason:\n%s", out)
			}
			want := []string{"--home", w.Dir, "cert", "--ensure", "--quiet"}
			if calls := w.calls(t); len(calls) == 0 || !slices.Equal(calls[0], want) {
				t.Errorf("calls %q, want %q first", calls, want)
			}
		})
	}
	t.Run("another host CA", func(t *testing.T) {
		w := newWorld(t)
		_, foreign := newSigner(t)
		r := startRelay(t, foreign, w.userCA.PublicKey(), "db1.pam")
		writeFile(t, filepath.Join(w.stub, "address"), r.address)
		writeUser(t, filepath.Join(w.stub, "next"), w.userCA)
		w.write(t)
		if out, err := w.ssh(t, w.file(), "root@db1.pam", "true"); err == nil || !strings.Contains(out, "Host key verification failed") {
			t.Errorf("error %v\n%s", err, out)
		}
	})
}

// TestS34DirectHostKeys: past the relay a host is believed by the keys that were
// pinned for it, and not because the host CA says so; and ssh shows the identity of
// that login on that host.
func TestS34DirectHostKeys(t *testing.T) {
	for name, test := range map[string]struct {
		pin  func(relay) []sshconfig.PinnedHost
		args []string
		ok   bool
	}{
		"pinned":       {func(r relay) []sshconfig.PinnedHost { return pinned("db1", r.key) }, []string{"root@db1.direct.pam"}, true},
		"upper case":   {func(r relay) []sshconfig.PinnedHost { return pinned("db1", r.key) }, []string{"root@DB1.direct.pam"}, true},
		"another port": {func(r relay) []sshconfig.PinnedHost { return pinned("db1", r.key) }, []string{"-p", "2200", "root@db1.direct.pam"}, true},
		"host CA":      {func(relay) []sshconfig.PinnedHost { return nil }, []string{"root@db1.direct.pam"}, false},
		"another key": {func(relay) []sshconfig.PinnedHost {
			_, other := newSigner(t)
			return pinned("db1", other.PublicKey())
		}, []string{"root@db1.direct.pam"}, false},
		"another's key": {func(r relay) []sshconfig.PinnedHost { return pinned("db2", r.key) }, []string{"root@db1.direct.pam"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			r := startRelay(t, w.hostCA, w.userCA.PublicKey(), "db1.direct.pam")
			writeFile(t, filepath.Join(w.stub, "address"), r.address)
			writeUser(t, mkdir(t, filepath.Join(w.Dir, "direct", "root@db1.direct.pam")), w.userCA)
			w.Pinned = test.pin(r)
			w.write(t)
			out, err := w.ssh(t, w.file(), append(test.args, "true")...)
			if (err == nil) != test.ok || !test.ok && !strings.Contains(out, "Host key verification failed") {
				t.Errorf("error %v\n%s", err, out)
			}
			calls := w.calls(t)
			if len(calls) == 0 || !slices.Equal(calls[0][2:], []string{"cert", "--ensure", "--quiet", "--direct", "--", test.args[len(test.args)-1]}) {
				t.Errorf("calls %q", calls)
			}
			for _, call := range calls[1:] {
				if call[2] != "proxy" {
					t.Errorf("ssh ran %q too", call)
				}
			}
		})
	}
}

func pinned(name store.TargetName, key ssh.PublicKey) []sshconfig.PinnedHost {
	return []sshconfig.PinnedHost{{Name: name, Keys: []ssh.PublicKey{key}}}
}

// TestEffectiveSettings: what holds in the end, above a user's configuration
// that says the opposite of everything.
func TestEffectiveSettings(t *testing.T) {
	w := newWorld(t)
	user := filepath.Join(w.cwd, "config")
	writeFile(t, user, `Host *
  AddKeysToAgent yes
  CheckHostIP yes
  ForwardAgent yes
  GlobalKnownHostsFile /etc/anything
  HostName %h.corp.example
  NoHostAuthenticationForLocalhost yes
  Port 2022
  ProxyCommand false
  StrictHostKeyChecking no
  UpdateHostKeys yes
  User carol
  UserKnownHostsFile /dev/null
  VerifyHostKeyDNS yes
`)
	plan, err := sshconfig.PlanInstall(w.Config, user)
	apply(t, plan, err)
	common := map[string]string{
		"addkeystoagent": "false", "checkhostip": "no", "verifyhostkeydns": "false", "updatehostkeys": "false",
		"nohostauthenticationforlocalhost": "no", "stricthostkeychecking": "true", "identitiesonly": "yes",
		"globalknownhostsfile": "/dev/null", "userknownhostsfile": w.Dir + "/known_hosts",
		"identityfile": w.Dir + "/id_ed25519", "certificatefile": w.Dir + "/id_ed25519-cert.pub",
		"user": "carol", "forwardagent": "yes",
	}
	run := w.Program + " --home " + w.Dir
	for host, more := range map[string]map[string]string{
		"db1.pam": {"hostname": "db1.pam", "port": "2022", "proxycommand": run + " proxy -- '%h' %p"},
		"db1.direct.pam": {
			"hostname": "db1.direct.pam", "port": "2022", "proxycommand": run + " proxy -- '%h' %p",
			"identityfile": w.Dir + "/direct/%r@%h/id_ed25519", "certificatefile": w.Dir + "/direct/%r@%h/id_ed25519-cert.pub",
		},
		"pam.example.eu": {"port": "2222", "proxycommand": ""},
		// The relay may be called like a target.
		"relay.pam": {"port": "2222", "proxycommand": ""},
	} {
		if !strings.HasPrefix(host, "db1.") {
			w.RelayHost = host
			w.write(t)
		}
		out, err := w.ssh(t, user, "-G", host)
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		want, got := map[string]string{}, map[string]string{}
		for _, settings := range []map[string]string{common, more} {
			for key, value := range settings {
				want[key], got[key] = value, setting(out, key)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", host, diff)
		}
	}
	out, err := w.ssh(t, user, "-G", "host.example")
	if err != nil || setting(out, "proxycommand") != "false" || setting(out, "hostname") != "host.example.corp.example" {
		t.Errorf("another host is touched: %v\n%s", err, out)
	}
}

// setting returns the value of key in the output of ssh -G, all of them joined
// if there are several.
func setting(out, key string) string {
	var values []string
	for line := range strings.Lines(out) {
		if value, found := strings.CutPrefix(line, key+" "); found {
			values = append(values, strings.TrimSpace(value))
		}
	}
	return strings.Join(values, "|")
}

// TestAwkwardPaths: a path is either read back by ssh and the shell as it is,
// through the user's own configuration where it can stand in an Include, or
// refused.
func TestAwkwardPaths(t *testing.T) {
	for _, test := range []struct {
		name              string
		fileOK, includeOK bool
	}{
		{"plain", true, true}, {"with space", true, true}, {"two  spaces", true, true}, {" leading", true, true},
		{"trailing ", true, true}, {"tab\there", false, false}, {"dollar$HOME", true, true}, {"brace${HOME}", false, false},
		{"par(en)", true, true}, {"semi;colon", true, true}, {"amp&", true, true}, {"pipe|", true, true}, {"<in>", true, true},
		{"back`tick`", true, true}, {"#hash", true, true}, {"a #hash", true, true}, {"=equals", true, true}, {"~tilde", true, true},
		{"comma,", true, true}, {"ümlaut", true, true}, {"-dash", true, true}, {"none", true, true},
		{"per%cent", true, false}, {"%h", true, false}, {"%%", true, false}, {"star*", true, false}, {"quest?", true, false}, {"[a]", true, false},
		{`dq"`, false, false}, {"sq'", false, false}, {`back\slash`, false, false}, {"bang!", false, false}, {"new\nline", false, false},
		{"bell\x07", false, false}, {"nel\u0085", false, false}, {"\xff", false, false}, {strings.Repeat("long/", 250), false, false},
	} {
		t.Run(fmt.Sprintf("%.20q", test.name), func(t *testing.T) {
			w := newWorld(t)
			base := filepath.Dir(w.Dir)
			w.Dir = filepath.Join(base, "h", test.name)
			w.Program = filepath.Join(base, "b", test.name, "vaultpam")
			plan, err := sshconfig.PlanFiles(w.Config)
			if (err == nil) != test.fileOK {
				t.Fatalf("PlanFiles: %v", err)
			}
			user := filepath.Join(w.cwd, "config")
			whole, includeErr := sshconfig.PlanInstall(w.Config, user)
			if (includeErr == nil) != test.includeOK {
				t.Fatalf("PlanInstall: %v", includeErr)
			}
			if err != nil {
				return
			}
			program(t, w.Program)
			file := w.file()
			if test.includeOK {
				plan, file = whole, user
			}
			apply(t, plan, nil)
			r := startRelay(t, w.hostCA, w.userCA.PublicKey(), "db1.pam")
			writeFile(t, filepath.Join(w.stub, "address"), r.address)
			writeUser(t, filepath.Join(w.stub, "next"), w.userCA)
			if out, err := w.ssh(t, file, "root@db1.pam", "true"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			want := [][]string{{"--home", w.Dir, "cert", "--ensure", "--quiet"}, {"--home", w.Dir, "proxy", "--", "db1.pam", "22"}}
			if diff := cmp.Diff(want, w.calls(t)); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}
