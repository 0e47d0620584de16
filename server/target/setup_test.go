//go:build unix

package target_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
)

var update = flag.Bool("update", false, "write the golden files")

func TestScriptSetsUpAndUndoes(t *testing.T) {
	for _, c := range []struct {
		name, config, place string
	}{
		{"include", plainConfig, "sshd_config.d/00-vaultpam.conf"},
		{"no include", withoutInclude(plainConfig), "sshd_config"},
		{"no final line feed", strings.TrimSuffix(withoutInclude(plainConfig), "\n") + "\n#", "sshd_config"},
		{"include after a Match block", "Match User somebody\n\tX11Forwarding no\nMatch all\n" + plainConfig, "sshd_config"},
		{"include after a conflict", "AuthorizedPrincipalsFile ETC/principals\n" + plainConfig, "sshd_config"},
		{"conflict after the include", plainConfig + "AuthorizedPrincipalsFile ETC/principals\n", "sshd_config.d/00-vaultpam.conf"},
	} {
		for shellName, shell := range shells() {
			t.Run(c.name+"/"+shellName, func(t *testing.T) {
				t.Parallel()
				tr := newTree(t, shell, newSetup(t), c.config)
				tr.appendMatch(t)
				before := tr.snapshot(t)
				tr.want(t, 3, "This host trusts VaultPAM at pam.example.eu as db1.\n")
				after := tr.snapshot(t)
				for _, name := range []string{"vaultpam_ca.pub", c.place} {
					if after[name] == before[name] {
						t.Errorf("%s did not change", name)
					}
				}
				if c.place != "sshd_config" && after["sshd_config"] != before["sshd_config"] {
					t.Error("sshd_config changed beside the drop-in")
				}
				if len(after) != len(before)+1 && len(after) != len(before)+2 {
					t.Errorf("files left: %d before, %d after", len(before), len(after))
				}
				tr.want(t, 0, "Nothing to change")
				if diff := cmp.Diff(after, tr.snapshot(t)); diff != "" {
					t.Errorf("the second run changed (-first +second):\n%s", diff)
				}
				tr.want(t, 3, "VaultPAM is taken out", "--undo")
				if diff := cmp.Diff(contents(before), contents(tr.snapshot(t))); diff != "" {
					t.Errorf("--undo left (-before +after):\n%s", diff)
				}
				tr.want(t, 0, "Nothing to take out", "--undo")
			})
		}
	}
}

func TestScriptRefusesAndChangesNothing(t *testing.T) {
	setup := newSetup(t)
	for _, c := range []struct {
		name, config, says string
		change             func(*tree)
		args               []string
		code               int
	}{
		{name: "syntax error", config: plainConfig + "Nonsense yes\n", says: "Bad configuration option: Nonsense", code: 1},
		{name: "another user CA", config: plainConfig + "TrustedUserCAKeys ETC/other.pub\n", says: "trusts another user CA already", code: 1},
		{name: "another user CA in a Match block", config: plainConfig + "Match User root\nTrustedUserCAKeys ETC/other.pub\n", says: "trusts another user CA already", code: 1},
		{name: "outdone by a Match block", config: plainConfig + "Match User root\nAuthorizedPrincipalsCommand /bin/echo root\nMatch all\n", says: `instead of`, code: 1},
		{name: "outdone without an include", config: withoutInclude(plainConfig) + "Match User nobody\nAuthorizedPrincipalsFile ETC/principals\nMatch all\n", says: "For the account nobody", code: 1},
		{name: "no public keys", config: "PubkeyAuthentication no\n" + plainConfig, says: "pubkeyauthentication no", code: 1},
		{name: "unclosed block", config: "# BEGIN VaultPAM\n" + plainConfig, says: "don't match", code: 1},
		{
			// Of two commands the last counts in OpenSSH 9.2, the first in others.
			name: "outdone by other commands", config: plainConfig + "AuthorizedPrincipalsCommand /bin/echo x\n", says: "00-a.conf:1:AuthorizedPrincipalsCommand", code: 1,
			change: func(tr *tree) {
				tr.write(t, filepath.Join(tr.dir, "sshd_config.d", "00-a.conf"), "AuthorizedPrincipalsCommand /bin/echo x\nAuthorizedPrincipalsCommandUser nobody\n")
			},
		},
		{
			name: "another VaultPAM", config: plainConfig, says: "set up for another VaultPAM (pam.example.org)", code: 1,
			change: func(tr *tree) {
				other := setup
				other.ServerName = "pam.example.org"
				tr.use(t, other)
				tr.want(t, 3, "pam.example.org")
				tr.use(t, setup)
			},
		},
		{name: "wrong argument", config: plainConfig, says: "Usage", args: []string{"--help"}, code: 2},
		{name: "two arguments", config: plainConfig, says: "Usage", args: []string{"--undo", "now"}, code: 2},
		{name: "no sshd", config: plainConfig, says: "no sshd here", code: 1, change: func(tr *tree) { tr.env = []string{"SSHD=/nowhere/sshd"} }},
		{name: "no configuration", config: plainConfig, says: "there is no /nowhere/sshd_config", code: 1, change: func(tr *tree) { tr.env = []string{"SSHD_CONFIG=/nowhere/sshd_config"} }},
	} {
		for shellName, shell := range shells() {
			t.Run(c.name+"/"+shellName, func(t *testing.T) {
				t.Parallel()
				tr := newTree(t, shell, setup, c.config)
				if c.change != nil {
					c.change(tr)
				}
				before := tr.snapshot(t)
				tr.want(t, c.code, c.says, c.args...)
				if diff := cmp.Diff(before, tr.snapshot(t)); diff != "" {
					t.Errorf("changed (-before +after):\n%s", diff)
				}
			})
		}
	}
}

func TestScriptTakesASecondKey(t *testing.T) {
	setup := newSetup(t)
	tr := newTree(t, []string{"sh"}, setup, plainConfig)
	tr.want(t, 3, "This host trusts")
	setup.TargetCAs = append(setup.TargetCAs, newSigner(t).PublicKey())
	tr.use(t, setup)
	tr.want(t, 3, "This host trusts")
	text, err := os.ReadFile(filepath.Join(tr.dir, "vaultpam_ca.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range append(setup.TargetCAs, setup.EmergencyCA) {
		if !bytes.Contains(text, ssh.MarshalAuthorizedKey(key)) {
			t.Errorf("CA file misses a key:\n%s", text)
		}
	}
	info, err := os.Stat(filepath.Join(tr.dir, "vaultpam_ca.pub"))
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("CA file's mode is %v (%v), want 0644", info.Mode(), err)
	}
}

func TestScriptGolden(t *testing.T) {
	for name, script := range map[string]func(target.Setup) (string, error){"setup.sh": target.Script, "check.sh": target.CheckScript, "setup.yml": target.Playbook, "inventory.yml": inventoryPlaybook} {
		got, err := script(fixedSetup(t))
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-golden +now); go test -update writes it anew:\n%s", name, diff)
		}
	}
}

func TestScriptRefusesItsInput(t *testing.T) {
	certificate := certify(t, newSigner(t), "x", nil).PublicKey()
	for name, change := range map[string]func(*target.Setup){
		"zero value":              func(s *target.Setup) { *s = target.Setup{} },
		"target with a quote":     func(s *target.Setup) { s.Target = "db1'; reboot; '" },
		"no target CA":            func(s *target.Setup) { s.TargetCAs = nil },
		"three target CAs":        func(s *target.Setup) { s.TargetCAs = append(s.TargetCAs, s.TargetCAs[0], s.TargetCAs[0]) },
		"certificate as CA":       func(s *target.Setup) { s.TargetCAs = []ssh.PublicKey{certificate} },
		"no emergency CA":         func(s *target.Setup) { s.EmergencyCA = nil },
		"certificate as CA of ec": func(s *target.Setup) { s.EmergencyCA = certificate },
		"one key for both":        func(s *target.Setup) { s.EmergencyCA = s.TargetCAs[0] },
		"no server":               func(s *target.Setup) { s.ServerName = "" },
		"server with a quote":     func(s *target.Setup) { s.ServerName = "pam'" },
		"server with a line feed": func(s *target.Setup) { s.ServerName = "pam\nreboot" },
		"server in upper case":    func(s *target.Setup) { s.ServerName = "PAM.example.eu" },
	} {
		t.Run(name, func(t *testing.T) {
			setup := newSetup(t)
			change(&setup)
			if script, err := target.Script(setup); err == nil {
				t.Errorf("a script of %d bytes", len(script))
			}
		})
	}
}
