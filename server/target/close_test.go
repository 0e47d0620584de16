//go:build unix

package target_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// openBlocks are Match blocks that let in more than the rest does.
const openBlocks = `Match User carol
	PasswordAuthentication yes
	AuthenticationMethods password
Match Address 10.0.0.0/8
	AuthorizedKeysFile ETC/keys
	PermitRootLogin yes
Match all
	KbdInteractiveAuthentication yes
`

func TestScriptClosesAndOpens(t *testing.T) {
	for _, c := range []struct {
		name, config, place string
	}{
		{"include", plainConfig + openBlocks, "sshd_config.d/0-vaultpam-closed.conf"},
		{"include after settings", "PasswordAuthentication yes\n" + plainConfig + openBlocks, "sshd_config.d/0-vaultpam-closed.conf"},
		{"no include", withoutInclude(plainConfig) + "Match User somebody\n\tPasswordAuthentication no\n\tX11Forwarding no\n", "sshd_config"},
		{"include after a Match block", "Match User somebody\n\tX11Forwarding no\nMatch all\n" + plainConfig, "sshd_config"},
	} {
		for shellName, shell := range shells() {
			t.Run(c.name+"/"+shellName, func(t *testing.T) {
				t.Parallel()
				h := newCheckedHost(t, shell, newSetup(t), c.config)
				untouched := h.snapshot(t)
				h.tree.want(t, 1, "not set up for VaultPAM", "--close")
				h.tree.want(t, 1, "not set up for VaultPAM", "--open")
				h.tree.want(t, 3, "This host trusts")
				open := h.snapshot(t)
				if check := h.check(t); !check.SetUp || check.Closed || len(check.Report.Doors) == 0 {
					t.Errorf("before: %+v", check)
				}
				h.tree.want(t, 3, "Nothing to change: this host is not closed.", "--open")
				h.tree.want(t, 3, "Closed: ", "--close")
				closed := h.snapshot(t)
				if closed[c.place] == open[c.place] {
					t.Errorf("%s did not change", c.place)
				}
				check := h.wantReport(t)
				if !check.SetUp || !check.Closed {
					t.Errorf("after: %+v", check)
				}
				h.tree.want(t, 3, "Nothing to change: closed already.", "--close")
				h.tree.want(t, 0, "Nothing to change")
				if diff := cmp.Diff(closed, h.snapshot(t)); diff != "" {
					t.Errorf("later runs changed (-closed +now):\n%s", diff)
				}
				h.tree.want(t, 3, "Open: ", "--open")
				if diff := cmp.Diff(contents(open), contents(h.snapshot(t))); diff != "" {
					t.Errorf("--open left (-before +after):\n%s", diff)
				}
				h.tree.want(t, 3, "Closed: ", "--close")
				h.tree.want(t, 3, "VaultPAM is taken out", "--undo")
				if diff := cmp.Diff(contents(untouched), contents(h.snapshot(t))); diff != "" {
					t.Errorf("--undo left (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// TestScriptKeepsAClosedHostClosed lets a second key of the target CA take over
// on a closed host.
func TestScriptKeepsAClosedHostClosed(t *testing.T) {
	for name, config := range map[string]string{"drop-in": plainConfig, "block": withoutInclude(plainConfig)} {
		t.Run(name, func(t *testing.T) {
			h := newCheckedHost(t, []string{"sh"}, newSetup(t), config)
			h.tree.want(t, 3, "This host trusts")
			h.tree.want(t, 3, "Closed: ", "--close")
			h.setup.TargetCAs = append(h.setup.TargetCAs, newSigner(t).PublicKey())
			h.use(t, h.setup)
			h.tree.want(t, 3, "This host trusts")
			if check := h.wantReport(t); !check.Closed {
				t.Errorf("%+v", check)
			}
		})
	}
}

func TestScriptRefusesToClose(t *testing.T) {
	for _, c := range []struct {
		name, config, says string
		change             func(*testing.T, *tree)
	}{
		{name: "a block without an include", config: withoutInclude(plainConfig) + "Match Address 10.0.0.0/8\n\tPasswordAuthentication yes\n", says: ":\tPasswordAuthentication yes"},
		{
			name: "a block of an included file", config: "Match User somebody\nX11Forwarding no\nMatch all\n" + plainConfig, says: "50-x.conf:2:AuthorizedKeysFile=.keys",
			change: func(t *testing.T, tr *tree) {
				tr.write(t, filepath.Join(tr.dir, "sshd_config.d", "50-x.conf"), "Match Address 10.0.0.0/8\nAuthorizedKeysFile=.keys\n")
			},
		},
		{
			name: "a file that comes first", config: plainConfig, says: "0-a.conf:3:  AuthenticationMethods password",
			change: func(t *testing.T, tr *tree) {
				tr.write(t, filepath.Join(tr.dir, "sshd_config.d", "0-a.conf"), "# ours\nmatch localport 2222\n  AuthenticationMethods password\n")
			},
		},
		{
			name: "a file that comes first and includes", config: plainConfig, says: "0-a.conf:1:Include",
			change: func(t *testing.T, tr *tree) {
				tr.write(t, filepath.Join(tr.dir, "sshd_config.d", "0-a.conf"), "Include "+tr.dir+"/other\n")
			},
		},
		{
			name: "a file inside a block", config: "Match User somebody\nX11Forwarding no\nMatch all\n" + plainConfig, says: "50-x.conf:1:PasswordAuthentication yes",
			change: func(t *testing.T, tr *tree) {
				tr.write(t, filepath.Join(tr.dir, "sshd_config.d", "50-x.conf"), "PasswordAuthentication yes\n")
			},
		},
		{name: "a value that sshd takes alone", config: plainConfig + "Match User carol\nAuthenticationMethods any\n", says: "does not accept the new configuration"},
		{
			name: "another target", config: plainConfig, says: "not set up for VaultPAM at pam.example.eu as db2",
			change: func(t *testing.T, tr *tree) {
				other := newSetup(t)
				other.Target = "db2"
				tr.use(t, other)
			},
		},
		{
			name: "another VaultPAM", config: plainConfig, says: "set up for another VaultPAM",
			change: func(t *testing.T, tr *tree) {
				other := newSetup(t)
				other.ServerName = "pam.example.org"
				tr.use(t, other)
			},
		},
	} {
		for shellName, shell := range shells() {
			t.Run(c.name+"/"+shellName, func(t *testing.T) {
				t.Parallel()
				tr := newTree(t, shell, newSetup(t), c.config)
				tr.want(t, 3, "This host trusts")
				if c.change != nil {
					c.change(t, tr)
				}
				before := tr.snapshot(t)
				tr.want(t, 1, c.says, "--close")
				if diff := cmp.Diff(before, tr.snapshot(t)); diff != "" {
					t.Errorf("changed (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// TestClosingSortsFirst holds the drop-in's name to those that hosts have.
func TestClosingSortsFirst(t *testing.T) {
	tr := newTree(t, []string{"bash", "--posix"}, newSetup(t), plainConfig)
	tr.want(t, 3, "This host trusts")
	for _, name := range []string{"00-a", "01-permitrootlogin", "10-custom", "50-cloud-init", "50-redhat", "60-cloudimg-settings", "A", "_", "a"} {
		tr.write(t, filepath.Join(tr.dir, "sshd_config.d", name+".conf"), "Match Address 10.0.0.0/8\nPasswordAuthentication yes\n")
	}
	tr.want(t, 3, "Closed: ", "--close")
	text, err := os.ReadFile(filepath.Join(tr.dir, "sshd_config.d", "0-vaultpam-closed.conf"))
	if err != nil {
		t.Fatal(err)
	}
	// Some releases drop the one where it comes after the other.
	principals, keys := strings.Index(string(text), "AuthorizedPrincipalsCommand "), strings.Index(string(text), "AuthorizedKeysCommand ")
	if principals < 0 || keys < principals {
		t.Errorf("the order of commands:\n%s", text)
	}
}
