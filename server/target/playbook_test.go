//go:build unix

package target_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

func inventoryPlaybook(s target.Setup) (string, error) {
	s.Target = ""
	return target.Playbook(s)
}

// A book is a playbook for a tree, run as on a host by the real ansible.
type book struct {
	tr   *tree
	path string
	env  []string
}

func newBook(t testing.TB, tr *tree, setup target.Setup) *book {
	t.Helper()
	text, err := target.Playbook(setup)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := &book{tr: tr, path: filepath.Join(dir, "setup.yml"), env: append(os.Environ(), "HOME="+dir, "ANSIBLE_HOME="+dir,
		"ANSIBLE_LOCAL_TEMP="+dir, "ANSIBLE_REMOTE_TEMP="+dir, "ANSIBLE_NOCOLOR=1", "ANSIBLE_PIPELINING=1", "LC_ALL=C.UTF-8")}
	tr.write(t, filepath.Join(dir, "ansible.cfg"), "")
	tr.write(t, b.path, text)
	return b
}

// play runs it for hosts, which are all this machine, and returns whether it
// succeeded and what it said.
func (b *book) play(t testing.TB, hosts string, args ...string) (bool, string) {
	t.Helper()
	words := []string{"-i", hosts, "-c", "local", "-f", "4", "-e", "ansible_become=false", "-e", "ansible_python_interpreter=/usr/bin/python3",
		"-e", "vaultpam_sshd=" + sshdPath(t)}
	if strings.HasSuffix(hosts, ",") {
		words = append(words, "-e", "vaultpam_sshd_config="+b.tr.conf)
	}
	words = append(append(append([]string{"ansible-playbook"}, words...), args...), b.path)
	if os.Geteuid() == 0 {
		// Whatever a playbook or a test gets wrong, this machine's own sshd stays as it is.
		words = append([]string{"unshare", "--mount", "sh", "-c", `mount -o bind,ro /etc/ssh /etc/ssh && exec "$@"`, "sh"}, words...)
	}
	command := exec.CommandContext(t.Context(), words[0], words[1:]...)
	command.Env, command.Dir = b.env, filepath.Dir(b.path)
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return err == nil, string(out)
}

var recap = regexp.MustCompile(`(?m)^\S+ +: ok=\d+ +changed=(\d+) .* failed=(\d+) `)

// want plays it and fails the test unless it changed and failed as often as told,
// on one host.
func (b *book) want(t testing.TB, changed, failed, says string, args ...string) {
	t.Helper()
	_, out := b.play(t, "db1,", args...)
	got := recap.FindStringSubmatch(out)
	if got == nil || got[1] != changed || got[2] != failed || !strings.Contains(out, says) {
		t.Fatalf("want changed=%s failed=%s and %q; it said:\n%s", changed, failed, says, out)
	}
}

// TestPlaybookDoesAsTheScript sets two like hosts up, one by the script and one by
// the playbook: the same files are left, either finds nothing to do after the
// other, and a real sshd that is told of it lets a certificate in.
func TestPlaybookDoesAsTheScript(t *testing.T) {
	ca := newSigner(t)
	setup := newSetup(t)
	setup.TargetCAs = []ssh.PublicKey{ca.PublicKey()}
	for name, config := range map[string]string{"block": withoutInclude(plainConfig) + "# Gr\xfc\xdfe {{ 1 + }}\n", "drop-in": plainConfig} {
		if name == "drop-in" && os.Getenv("VAULTPAM_CAMPAIGN") != "1" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTree(t, []string{"sh"}, setup, config)
			tr.appendMatch(t)
			b := newBook(t, tr, setup)
			address, log, listening := runSshd(t, tr, "AuthorizedKeysFile=none")
			listening()
			hostKeys, err := target.Scan(t.Context(), dialer.DialContext, address)
			if err != nil {
				t.Fatal(err)
			}
			before := tr.snapshot(t)
			b.want(t, "2", "0", "", "--check")
			if diff := cmp.Diff(before, tr.snapshot(t)); diff != "" {
				t.Errorf("--check changed (-before +after):\n%s", diff)
			}
			// One more is that sshd was told.
			b.want(t, "3", "0", "")
			listening()
			if _, err := connectTo(t, address, hostKeys, me(t), certify(t, ca, target.Principal(me(t), db1), nil)); (err == nil) != (os.Geteuid() == 0) {
				t.Errorf("target certificate: %v; sshd said:\n%s", err, log)
			}
			if _, err := connectTo(t, address, hostKeys, me(t), certify(t, ca, target.Principal(me(t), "db2"), nil)); err == nil {
				t.Error("another target's certificate opens")
			}
			played := contents(tr.snapshot(t))
			after := tr.snapshot(t)
			tr.want(t, 0, "Nothing to change")
			b.want(t, "0", "0", "")
			if diff := cmp.Diff(after, tr.snapshot(t)); diff != "" {
				t.Errorf("the second run changed (-first +second):\n%s", diff)
			}
			tr.want(t, 0, "is taken out", "--undo")
			listening()
			tr.want(t, 0, "This host trusts")
			listening()
			if diff := cmp.Diff(contents(tr.snapshot(t)), played); diff != "" {
				t.Errorf("the playbook leaves (-script +playbook):\n%s", diff)
			}
		})
	}
}

// likeness is what a tree holds but for where it lies and who it is.
func (tr *tree) likeness(t testing.TB) map[string]string {
	t.Helper()
	all := contents(tr.snapshot(t))
	delete(all, "ssh_host_ed25519_key")
	for name, text := range all {
		all[name] = strings.ReplaceAll(text, tr.dir, "ETC")
	}
	return all
}

// TestPlaybookForAnInventory plays once for hosts of all kinds, each under a name
// of its own. Beside each of those that can be set up is one like it that the
// script is run on; the others stay as they are.
func TestPlaybookForAnInventory(t *testing.T) {
	setup := newSetup(t)
	setup.TargetCAs = append(setup.TargetCAs, newSigner(t).PublicKey())
	canary := filepath.Join(t.TempDir(), "canary")
	pipe := "{{ lookup('pipe', 'touch " + canary + "') }}"
	// A closed host gets a second key of the target CA and stays closed.
	closed := func(tr *tree, s target.Setup) {
		s.TargetCAs = s.TargetCAs[:1]
		tr.use(t, s)
		tr.want(t, 3, "This host trusts")
		tr.want(t, 3, "Closed", "--close")
	}
	inventory, trees := "", map[string]*tree{}
	wants, says := map[string]map[string]string{}, map[string]string{}
	for _, c := range []struct {
		host, vars, config string
		name               string // empty is refused
		before             func(*tree, target.Setup)
		says               string
		campaign           bool
	}{
		{host: "db1", campaign: true, config: plainConfig, name: "db1"},
		{host: "Upper.Example", config: withoutInclude(plainConfig), name: "upper.example"},
		{host: "under_score", vars: "vaultpam_target=db3", config: plainConfig + "# " + pipe + "\n", name: "db3"},
		{host: "closed", config: plainConfig, name: "closed", before: closed},
		{host: "closedblock", campaign: true, config: withoutInclude(plainConfig), name: "closedblock", before: closed},
		{host: "moved", config: plainConfig, name: "moved", campaign: true, before: func(tr *tree, s target.Setup) {
			closed(tr, s)
			text, err := os.ReadFile(tr.conf)
			if err != nil {
				t.Fatal(err)
			}
			tr.write(t, tr.conf, strings.Replace(string(text), "Include ", "#Include ", 1))
		}},
		{host: "down", campaign: true, config: plainConfig + "# a part that is not at the top\n# BEGIN VaultPAM\n# END VaultPAM\n", name: "down"},
		{host: "otherca", config: plainConfig + "TrustedUserCAKeys \"/" + pipe + "\"\n", says: "sshd trusts another user CA already (/{{ lookup"},
		{host: "otherpam", config: plainConfig, says: "is set up for another VaultPAM", campaign: true, before: func(tr *tree, s target.Setup) {
			s.ServerName = "pam.example.org"
			tr.use(t, s)
			tr.want(t, 3, "This host trusts")
		}},
		{host: "outdone", config: plainConfig + "Match User root\nAuthorizedPrincipalsCommand /bin/echo root\nMatch all\n", says: "everything is as it was before"},
		{host: "nonsense", campaign: true, config: plainConfig + "Nonsense yes\n", says: "Bad configuration option: Nonsense"},
		{host: "ends", campaign: true, config: plainConfig + "# BEGIN VaultPAM\n", says: "don't match"},
		{host: "bad_name", campaign: true, config: plainConfig, says: "is no target's name"},
		{host: "dollar", vars: "vaultpam_target='$(x)'", config: plainConfig, says: "is no target's name"},
		{host: "space", campaign: true, vars: `vaultpam_target='db1 x'`, config: plainConfig, says: "is no target's name"},
	} {
		if c.campaign && os.Getenv("VAULTPAM_CAMPAIGN") != "1" {
			continue
		}
		s := setup
		s.Target = "unnamed" // of hosts that the playbook refuses by their own names
		if c.name != "" {
			s.Target = store.TargetName(c.name)
		}
		trees[c.host] = newTree(t, []string{"sh"}, s, c.config)
		twin := newTree(t, []string{"sh"}, s, c.config)
		for _, tr := range []*tree{trees[c.host], twin} {
			if c.before != nil {
				c.before(tr, s)
				tr.use(t, s)
			}
		}
		if c.name != "" {
			twin.run(t)
		}
		wants[c.host], says[c.host] = twin.likeness(t), c.says
		inventory += c.host + " vaultpam_sshd_config=" + trees[c.host].conf + " " + c.vars + "\n"
	}
	setup.Target = ""
	b := newBook(t, trees["Upper.Example"], setup)
	hosts := filepath.Join(filepath.Dir(b.path), "hosts.ini")
	b.tr.write(t, hosts, inventory)
	_, out := b.play(t, hosts)
	for host, want := range wants {
		if diff := cmp.Diff(want, trees[host].likeness(t)); diff != "" {
			t.Errorf("%s (-script +playbook):\n%s", host, diff)
		}
		// No sshd runs here that could be told.
		if says[host] == "" {
			says[host] = "sshd was not reloaded: no running one was found"
		}
		if !regexp.MustCompile(`(?m)^(failed|fatal): \[` + host + `\].*` + regexp.QuoteMeta(says[host])).MatchString(out) {
			t.Errorf("nothing says of %s %q", host, says[host])
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a host's configuration is read as a template")
	}
	if t.Failed() {
		t.Log(out)
	}
	if good, out := b.play(t, "db1,DB1,"); good || !strings.Contains(out, "would open both") || !cmp.Equal(wants["Upper.Example"], b.tr.likeness(t)) {
		t.Errorf("two hosts of one name:\n%s", out)
	}
}
