package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// Everything that is called wrongly says so, leads to the help and ends with 2.
func TestWrongUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
		help string
	}{
		{[]string{"no-such-command"}, `vaultpamd has no command "no-such-command"`, ""},
		{[]string{"help", "no-such-command"}, `no help about "no-such-command"`, ""},
		{[]string{"clock", "no-such-command"}, `vaultpamd clock has no command "no-such-command"`, "clock"},
		{[]string{"target", "no-such-command"}, `vaultpamd target has no command "no-such-command"`, "target"},
		{[]string{"--no-such-flag"}, "unknown flag: --no-such-flag", ""},
		{[]string{"serve", "--no-such-flag"}, "unknown flag: --no-such-flag", "serve"},
		{[]string{"serve", "word"}, `"word" is one word too many`, "serve"},
		{[]string{"serve", "--check=perhaps"}, "invalid argument", "serve"},
		{[]string{"init"}, "init needs --name, the host name that clients will use", "init"},
		{[]string{"init", "--name", "pam.example.eu", "--https", "443"}, `listening address "443": want [ADDRESS]:PORT`, "init"},
		{[]string{"setting", "self-grant"}, "missing VALUE", "setting"},
		{[]string{"target", "setup"}, "missing NAME", "target setup"},
		{[]string{"target", "setup", "db1", "db2", "--ansible"}, `"db2" is one word too many`, "target setup"},
		{[]string{"emergency-cert"}, "want --target", "emergency-cert"},
		{[]string{"emergency-cert", "--target", "db1", "--login", "a b", "--key", "x"}, "login", "emergency-cert"},
		{[]string{"emergency-cert", "--target", "db1"}, "want --key", "emergency-cert"},
		{[]string{"emergency-cert", "--target", "db1", "--key", "/no/such/file"}, "reading the public key", "emergency-cert"},
		{[]string{"emergency-cert", "--target", "db1", "--key", "/dev/null", "--for", "soon"}, "invalid argument", "emergency-cert"},
		{[]string{"version", "word"}, `"word" is one word too many`, "version"},
	} {
		r := run(t, c.args...)
		if r.code != exitUsage || r.out != "" || !strings.HasPrefix(r.stderr, "vaultpamd: ") || !strings.Contains(r.stderr, c.want) ||
			!strings.HasSuffix(r.stderr, "\nhint: "+strings.TrimSpace("vaultpamd help "+c.help)+"\n") || strings.Count(r.stderr, "\n") != 2 {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

func TestExitCodes(t *testing.T) {
	dir, _ := begun(t)
	nowhere := filepath.Join(t.TempDir(), "nothing")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"version"}, exitDone, ""},
		{[]string{}, exitDone, ""},
		{[]string{"serve", "--check", "--dir", dir}, exitDone, ""},
		{[]string{"serve", "--dir", nowhere}, exitFailed, nowhere + " is not a data directory: run vaultpamd init"},
		{[]string{"serve", "--check", "--dir", nowhere}, exitFailed, "is not a data directory"},
		{[]string{"status", "--dir", dir}, exitFailed, "no vaultpamd serves this data directory: dial unix "},
		{[]string{"setting", "self-grant", "allowed", "--dir", dir}, exitFailed, "hint: vaultpamd serve"},
		{[]string{"setting", "--dir", dir}, exitFailed, "hint: vaultpamd serve"},
		{[]string{"init", "--dir", dir, "--name", "pam.example.eu"}, exitFailed, dir + " is a data directory already"},
		{[]string{"init", "--dir", nowhere, "--name", "Not A Name"}, exitFailed, "name: host name"},
		{[]string{"target", "setup", "Not A Target", "--dir", dir}, exitFailed, "target name"},
	} {
		r := run(t, c.args...)
		if r.code != c.code || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%v: %+v, want code %d and %q", c.args, r, c.code, c.want)
		}
	}
	stop := serving(t, dir)
	for _, args := range [][]string{{"serve"}, {"serve", "--check"}} {
		r := run(t, append(args, "--dir", dir)...)
		want := fmt.Sprintf("vaultpamd: %s is held by vaultpamd with process ID %d\nhint: stop it first, or ask it: vaultpamd status\n", dir, os.Getpid())
		if r.code != exitHeld || r.stderr != want {
			t.Errorf("%v: %+v, want %q", args, r, want)
		}
	}
	if r := stop(); r.code != exitDone || !strings.Contains(r.stderr, "msg=stopped") {
		t.Errorf("%+v", r)
	}
}

// What an account may not do has a hint with the two ways out. Root may do all of
// it, so the error is made here.
func TestHintForAnotherAccount(t *testing.T) {
	err := fmt.Errorf("looking for a data directory: %w", fs.ErrPermission)
	if hint := hintOf((&program{getenv: func(string) string { return "" }}).root(), err); !strings.Contains(hint, "be root, or the account") || !strings.Contains(hint, "--dir") {
		t.Errorf("%q", hint)
	}
}

func TestInitTellsEverythingOnce(t *testing.T) {
	dir, r := begun(t)
	link := between(r.out, "vaultpam enroll '", "'")
	if inv, err := api.ParseInvitation(link); err != nil || len(inv.Pin) != 32 || !strings.HasPrefix(inv.Host, "pam.example.eu:") {
		t.Errorf("the invitation %q: %v", link, err)
	}
	phrase := passphrase(r)
	if _, err := ca.LoadKey(filepath.Join(dir, "keys", "emergency-ca"), []byte(phrase)); err != nil {
		t.Errorf("the passphrase %q: %v", phrase, err)
	}
	if !strings.Contains(r.out, "The name is permanent") || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	// What is shown once must not be found later.
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), phrase) || strings.Contains(string(data), link) {
			t.Errorf("%s holds it", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func between(s, before, after string) string {
	_, s, _ = strings.Cut(s, before)
	s, _, _ = strings.Cut(s, after)
	return s
}

func passphrase(r said) string {
	return strings.TrimSpace(between(r.out, "lock it away:\n", "\n\nWith it"))
}

func TestDirectoryFromTheEnvironment(t *testing.T) {
	dir, _ := begun(t)
	env := map[string]string{"VAULTPAMD_DIR": dir}
	if r := command(t.Context(), env, "", "serve", "--check"); r.code != exitDone || !strings.Contains(r.out, "configuration, keys and ledger are right; 4 entries, 1 users, 0 targets") {
		t.Errorf("%+v", r)
	}
	if r := command(t.Context(), env, "", "serve", "--check", "--dir", t.TempDir()); r.code != exitFailed {
		t.Errorf("the flag does not go before: %+v", r)
	}
	env["VAULTPAMD_NAME"] = "other.example.eu"
	if r := command(t.Context(), env, "", "serve", "--check"); r.code != exitFailed || !strings.Contains(r.stderr, "the name is permanent") {
		t.Errorf("%+v", r)
	}
}

func TestTheLocalAdministrator(t *testing.T) {
	dir, _ := begun(t)
	offline := run(t, "target", "setup", "db1", "--dir", dir)
	book := run(t, "target", "setup", "db1", "--ansible", "--dir", dir)
	books := run(t, "target", "setup", "--ansible", "--dir", dir)
	stop := serving(t, dir)
	if r := run(t, "status", "--dir", dir); r.code != exitDone || !strings.HasPrefix(r.out, "pam.example.eu serves: version devel, 4 entries, 1 users, 0 targets, 0 live sessions\n") {
		t.Errorf("%+v", r)
	}
	if r := run(t, "setting", "self-grant", "allowed", "--dir", dir); r.code != exitDone || r.out != "self-grant is allowed\n" {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct{ name, value, want string }{
		{"self-grant", "perhaps", "want one of refused, allowed"}, {"no-such", "allowed", "self-grant"}, {"", "", "self-grant"},
		{"sign-in-life", "1s", "from 5m to 168h"}, {"sign-in-idle", "never", "from 5m to 168h"}, {"device-login", "yes", "same-source"},
		{"authenticators", "yubikey", "AAGUID"}, {"direct-source", "10.0.0.1/8", "is not a network"}, {"direct-source", "0.0.0.0/0", "is not a network"},
	} {
		if r := run(t, "setting", "--dir", dir, c.name, c.value); r.code != exitFailed || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%v: %+v", c, r)
		}
	}
	if r := run(t, "setting", "sign-in-idle", "30m", "--dir", dir); r.code != exitDone || r.out != "sign-in-idle is 30m\n" {
		t.Errorf("%+v", r)
	}
	want := [][]string{
		{"setting", "value", "default"}, {"self-grant", "allowed", "refused"}, {"sign-in-life", "10h", "10h"}, {"sign-in-idle", "30m", "4h"},
		{"device-login", "same-source", "same-source"}, {"authenticators", "any", "any"},
		{"bot-sign-in-life", "1h", "1h"},
		{"approve-with", "passkey", "passkey"},
		{"direct-source", "seen", "seen"},
	}
	r := run(t, "setting", "--dir", dir)
	var got [][]string
	for line := range strings.Lines(r.out) {
		got = append(got, strings.Fields(line))
	}
	if diff := cmp.Diff(want, got); diff != "" || r.code != exitDone {
		t.Errorf("%+v\n%s", r, diff)
	}
	online := run(t, "target", "setup", "db1", "--dir", dir)
	if online.code != exitDone || online.out == "" || online.out != offline.out {
		t.Errorf("the script differs: %d and %d", offline.code, online.code)
	}
	if r := run(t, "target", "setup", "db1", "--ansible", "--dir", dir); r.code != exitDone || !strings.Contains(r.out, `vaultpam_name: "db1"`) || r.out != book.out {
		t.Errorf("the playbook differs: %d and %d", book.code, r.code)
	}
	if r := run(t, "target", "setup", "--ansible", "--dir", dir); r.code != exitDone || !strings.Contains(r.out, "vaultpam_target | default(inventory_hostname") || r.out != books.out {
		t.Errorf("the inventory's playbook differs: %d and %d", books.code, r.code)
	}
	if r := run(t, "status", "--dir", dir); !strings.Contains(r.out, "6 entries") {
		t.Errorf("%+v", r)
	}
	stop()
}

// A name is one name, whatever it looks like in a URL: it never leads to the
// script of another host, or to none with exit code 0.
func TestSetupTakesNamesAsTheyAre(t *testing.T) {
	dir, _ := begun(t)
	stop := serving(t, dir)
	for _, name := range []string{"db1?x", "db1#x", "../status", "..", ".", "db1/x", "db1%20", "%zz", "", "db1 ", "db1\n", "*", "-x"} {
		for _, flag := range []string{"--ansible=false", "--ansible"} {
			r := run(t, "target", "setup", flag, "--dir", dir, "--", name)
			if r.code != exitFailed || r.out != "" || !strings.HasPrefix(r.stderr, "vaultpamd: ") {
				t.Errorf("%s %q: %+v", flag, name, r)
			}
		}
	}
	stop()
	if r := run(t, "target", "setup", "--dir", dir, "--", "../status"); r.code != exitFailed || r.out != "" {
		t.Errorf("offline: %+v", r)
	}
}

func TestEmergencyCertificate(t *testing.T) {
	dir, r := begun(t)
	phrase := passphrase(r)
	key := filepath.Join(t.TempDir(), "id")
	if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	args := []string{"emergency-cert", "--dir", dir, "--target", "db1", "--key", key + ".pub"}
	for name, typed := range map[string]string{
		"as printed": phrase + "\n", "without an end of line": phrase, "from paper": strings.ToUpper(strings.ReplaceAll(phrase, "-", " ")) + "\r\n",
	} {
		r := command(t.Context(), nil, typed, args...)
		parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(r.out))
		if r.code != exitDone || r.stderr != "" || err != nil {
			t.Fatalf("%s: %+v: %v", name, r, err)
		}
		cert := parsed.(*ssh.Certificate)
		if cert.KeyId != "vaultpam:emergency:db1" || cert.ValidPrincipals[0] != "root@db1" || cert.Serial < uint64(store.EmergencySerial) {
			t.Errorf("%s: %+v", name, cert)
		}
		path := filepath.Join(t.TempDir(), "id-cert.pub")
		if err := os.WriteFile(path, []byte(r.out), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-L", "-f", path).CombinedOutput(); err != nil || !strings.Contains(string(out), "root@db1") {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	wrong := strings.Map(func(r rune) rune {
		if r == '-' {
			return r
		}
		return 'a'
	}, phrase)
	for name, typed := range map[string]string{"nothing": "", "too short": "abcd\n", "another one": wrong + "\n", "letters that none has": strings.Repeat("l", 28), "endless": strings.Repeat("a", 1<<20)} {
		r := command(t.Context(), nil, typed, args...)
		if r.code != exitFailed || r.out != "" || !strings.Contains(r.stderr, "passphrase") || strings.Contains(r.stderr, phrase) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := command(t.Context(), nil, phrase, append(args, "--for", "25h")...); r.code != exitFailed || !strings.Contains(r.stderr, "25h0m0s") {
		t.Errorf("a day and an hour: %+v", r)
	}
}

func TestServeThatIsStoppedBeforeItServes(t *testing.T) {
	dir, _ := begun(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := command(ctx, nil, "", "serve", "--dir", dir); r.code == exitHeld || r.code == exitUsage {
		t.Errorf("%+v", r)
	}
	if r := run(t, "serve", "--check", "--dir", dir); r.code != exitDone {
		t.Errorf("afterwards: %+v", r)
	}
}

// Every setting that there is has its words in the help.
func TestSettingsAreExplained(t *testing.T) {
	r := run(t, "help", "setting")
	for _, s := range store.Settings() {
		if !strings.Contains(r.out, "\n    "+string(s)+" ") {
			t.Errorf("no word about %s:\n%s", s, r.out)
		}
	}
}
