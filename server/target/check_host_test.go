//go:build unix

package target_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// TestCheckFindsEveryDoor asks the system's sshd about hosts with one door each.
func TestCheckFindsEveryDoor(t *testing.T) {
	key, other := newSigner(t).PublicKey(), newSigner(t).PublicKey()
	finger := ssh.FingerprintSHA256(key)
	keysConfig := strings.Replace(closedConfig, "AuthorizedKeysFile none", "AuthorizedKeysFile keys/%u ETC/%U%%.%h ETC/all", 1)
	for _, c := range []struct {
		name, config string
		change       func(*testing.T, *checkedHost)
		want         []string
	}{
		{name: "none", config: closedConfig},
		{
			name: "passwords", config: "UsePAM no\nPasswordAuthentication yes\nKbdInteractiveAuthentication yes\nAuthorizedKeysFile none\n" + plainConfig,
			want: []string{"door\tpassword\tcarol\tkeyboard-interactive: a password is set", "door\tpassword\tcarol\tpassword: a password is set"},
		},
		{
			name: "passwords and PAM", config: "UsePAM yes\nPasswordAuthentication yes\nAuthorizedKeysFile none\n" + plainConfig,
			want: []string{
				"door\tpassword\t\tpassword: PAM may know passwords that are not in the shadow file",
				"door\tpassword\tcarol\tpassword: a password is set",
			},
		},
		{
			name: "no shadow file", config: "UsePAM no\nAuthorizedKeysFile none\nPasswordAuthentication yes\nPermitRootLogin yes\n" + plainConfig,
			change: func(t *testing.T, h *checkedHost) { h.env = append(h.env, "SHADOW=/nowhere") },
			want: []string{
				"door\tpassword\tME\tpassword: whether a password is set could not be read",
				"door\tpassword\tcarol\tpassword: whether a password is set could not be read",
			},
		},
		{
			name: "empty passwords", config: "UsePAM no\nPasswordAuthentication yes\nPermitEmptyPasswords yes\nAuthorizedKeysFile none\n" + plainConfig,
			change: func(t *testing.T, h *checkedHost) { h.write(t, h.shadow, string(me(t))+":*::\ncarol:::\n") },
			want:   []string{"door\tempty-password\tcarol\tPermitEmptyPasswords yes, and the password is empty"},
		},
		{
			name: "a password beside a key", config: "AuthenticationMethods publickey,password\nPasswordAuthentication yes\nAuthorizedKeysFile none\n" + plainConfig,
		},
		{
			name: "authorized keys", config: keysConfig,
			change: func(t *testing.T, h *checkedHost) {
				h.put(t, h.home+"/carol/keys/carol", "# comment\n\n"+authorized(key)+" carol@laptop\n")
				h.put(t, h.dir+"/4711%."+h.home+"/carol", `command="echo \"a, b\" c",from="10.0.0.0/8" `+authorized(key)+"\n")
				h.put(t, h.dir+"/all", `restrict,cert-authority,principals="x y" `+authorized(key)) // no line feed
			},
			want: []string{
				"door\tauthority\tME\t" + finger + " in ETC/all",
				"door\tauthority\tcarol\t" + finger + " in ETC/all",
				"door\tauthorized-key\tcarol\t" + finger + " in ETC/4711%.HOME/carol; runs only a fixed command; from some addresses only",
				"door\tauthorized-key\tcarol\t" + finger + " in HOME/carol/keys/carol",
			},
		},
		{
			name: "keys that are none", config: keysConfig,
			change: func(t *testing.T, h *checkedHost) {
				h.put(t, h.home+"/carol/keys/carol", "ssh-rsa nonsense carol@laptop\n")
				if err := os.Mkdir(h.dir+"/all", 0o700); err != nil {
					t.Fatal(err)
				}
			},
			want: []string{"unread\tETC/all", "unread\ta line of HOME/carol/keys/carol that is no key, account carol"},
		},
		{
			name: "too many keys", config: keysConfig,
			change: func(t *testing.T, h *checkedHost) {
				h.put(t, h.home+"/carol/keys/carol", strings.Repeat(authorized(key)+"\n", 2001))
			},
			want: []string{"door\tauthorized-key\tcarol\t" + finger + " in HOME/carol/keys/carol", "unread\tHOME/carol/keys/carol from somewhere on"},
		},
		{
			name: "a command for keys", config: "AuthorizedKeysCommand /usr/bin/keys %u\nAuthorizedKeysCommandUser nobody\n" + closedConfig,
			want: []string{"door\tkeys-command\t\tAuthorizedKeysCommand /usr/bin/keys %u"},
		},
		{
			name: "another authority", config: "TrustedUserCAKeys ETC/other.pub\n" + closedConfig,
			change: func(t *testing.T, h *checkedHost) { h.put(t, h.dir+"/other.pub", authorized(other)+" company\n") },
			want:   []string{"door\tauthority\t\t" + ssh.FingerprintSHA256(other) + " in ETC/other.pub"},
		},
		{
			name: "another authority for one account", config: closedConfig + "Match User carol\nTrustedUserCAKeys ETC/other.pub\n",
			change: func(t *testing.T, h *checkedHost) { h.put(t, h.dir+"/other.pub", authorized(other)+" company\n") },
			want:   []string{"door\tauthority\tcarol\t" + ssh.FingerprintSHA256(other) + " in ETC/other.pub"},
		},
		{
			name: "an authority that can't be read", config: "TrustedUserCAKeys ETC/missing.pub\n" + closedConfig,
			want: []string{"unread\tETC/missing.pub"},
		},
		{
			name: "our authority under other names", config: closedConfig + "Match User carol\nAuthorizedPrincipalsFile ETC/principals\n",
			change: func(t *testing.T, h *checkedHost) { h.want(t, 3, "This host trusts") },
			want:   []string{"door\tprincipals\tcarol\tAuthorizedPrincipalsFile ETC/principals"},
		},
		{
			name: "our authority and a file called none", config: closedConfig + "Match User carol\nAuthorizedPrincipalsFile none\n",
			want: []string{"door\tprincipals\t\tAuthorizedPrincipalsFile none inside a Match block, which sshd takes for ~/none"},
		},
		{
			name: "other hosts", config: "HostbasedAuthentication yes\n" + strings.Replace(closedConfig, "AuthenticationMethods publickey", "AuthenticationMethods publickey hostbased", 1),
			want: []string{"door\thost-based\t\tHostbasedAuthentication yes"},
		},
		{
			name: "conditions", config: closedConfig + "Match Address 192.0.2.0/24,10.0.0.0/8 User \"carol\"\n\tPasswordAuthentication  yes\n\tX11Forwarding no\nMatch localport 2222\nAuthenticationMethods publickey\nMatch Group wheel\nPermitTTY no\n",
			want: []string{"door\tmatch-block\t\tMatch Address 192.0.2.0/24,10.0.0.0/8 User \"carol\": PasswordAuthentication yes"},
		},
		{
			name: "a condition around an include", config: closedConfig + "Match Host *.example.eu\nInclude ETC/inner\nMatch all\nInclude \"ETC/outer\"\n",
			change: func(t *testing.T, h *checkedHost) {
				h.put(t, h.dir+"/inner", "AuthenticationMethods password\n")
				h.put(t, h.dir+"/outer", "Match LocalAddress 10.0.0.1\nAuthorizedKeysFile .keys\n")
			},
			want: []string{
				"door\tmatch-block\t\tMatch LocalAddress 10.0.0.1: AuthorizedKeysFile .keys",
				"door\tmatch-block\t\tMatch Host *.example.eu: AuthenticationMethods password",
			},
		},
		{
			name: "conditions after one that settles it", config: closedConfig + "Match all\nAuthorizedKeysFile none\nMatch Address 10.0.0.0/8\nAuthorizedKeysFile .keys\nPermitRootLogin yes\n",
		},
		{
			name: "other programs", config: closedConfig,
			change: func(t *testing.T, h *checkedHost) {
				h.run1(t, 2, "sshd", "sshd: /usr/sbin/sshd -D -f "+h.conf+" [listener] 1 of 10-100 startups")
				h.run1(t, 3, "sshd", "/usr/sbin/sshd", "-D", "-oCiphers=aes128-ctr", "-f", h.conf)
				h.run1(t, 4, "sshd", "sshd: carol [priv]")
				h.run1(t, 5, "sshd-session", "sshd-session: carol@pts/0")
				h.run1(t, 6, "sshd", "/usr/sbin/sshd", "-De", "-f/etc/ssh/second")
				h.run1(t, 7, "sshd", "sshd: /usr/sbin/sshd -o PasswordAuthentication=yes -f "+h.conf+" [listener] 0 of 10-100 startups")
				h.run1(t, 8, "dropbear", "dropbear", "-p", "2222")
				h.run1(t, 9, "in.telnetd", "in.telnetd")
				h.run1(t, 10, "busybox", "busybox", "telnetd", "-F")
				h.run1(t, 11, "busybox", "busybox", "sh", "check.sh")
			},
			want: []string{
				"door\tdaemon\t\tbusybox telnetd", "door\tdaemon\t\tdropbear", "door\tdaemon\t\tin.telnetd",
				"door\tdaemon\t\tsshd with the configuration /etc/ssh/second",
				"door\tdaemon\t\tsshd with the option PasswordAuthentication=yes",
			},
		},
		{
			name: "nothing to read", config: closedConfig,
			change: func(t *testing.T, h *checkedHost) {
				h.env = append(h.env, "SSHD=/nowhere/sshd", "PROC=/nowhere", "PASSWD=/nowhere")
			},
			want: []string{"unread\tall of the programs", "unread\trunning programs", "unread\tsshd's settings", "unread\tthe accounts", "unread\tthe list of accounts"},
		},
	} {
		for shellName, shell := range checkShells() {
			t.Run(c.name+"/"+shellName, func(t *testing.T) {
				t.Parallel()
				config := strings.ReplaceAll(c.config, "KbdInteractiveAuthentication no\nX11", "X11")
				if !strings.Contains(config, "KbdInteractiveAuthentication yes") {
					config = "KbdInteractiveAuthentication no\n" + config
				}
				h := newCheckedHost(t, shell, newSetup(t), config)
				if c.change != nil {
					c.change(t, h)
				}
				before := h.snapshot(t)
				h.wantReport(t, c.want...)
				if diff := cmp.Diff(before, h.snapshot(t)); diff != "" {
					t.Errorf("the check changed (-before +after):\n%s", diff)
				}
			})
		}
	}
}

// TestCheckOfManyAccounts says so when a host has more than are looked at.
func TestCheckOfManyAccounts(t *testing.T) {
	h := newCheckedHost(t, []string{"sh"}, newSetup(t), closedConfig)
	var passwd strings.Builder
	for i := range 1001 {
		fmt.Fprintf(&passwd, "user%d:x:%d:100::/nowhere:/bin/sh\n", i, i+1000)
	}
	h.write(t, h.passwd, passwd.String())
	wrapper := filepath.Join(t.TempDir(), "sshd")
	h.put(t, wrapper, "#!/bin/sh\ncat "+wrapper+".said\n")
	h.put(t, wrapper+".said", "authenticationmethods publickey\npubkeyauthentication yes\npasswordauthentication no\nkbdinteractiveauthentication no\nhostbasedauthentication no\npermitemptypasswords no\nauthorizedkeysfile none\nauthorizedkeyscommand none\n")
	if err := os.Chmod(wrapper, 0o700); err != nil {
		t.Fatal(err)
	}
	h.env = []string{"SSHD=" + wrapper}
	h.wantReport(t, "unread\taccounts after the first 1000")
}

// TestCheckSaysNoSecret holds that a hash never leaves the host.
func TestCheckSaysNoSecret(t *testing.T) {
	h := newCheckedHost(t, []string{"sh"}, newSetup(t), plainConfig)
	passwd, err := os.ReadFile(h.passwd)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, h.passwd, string(passwd)+"old:$1$verysecret:4712:4712:::/bin/sh\n")
	out := string(h.answer(t))
	if strings.Contains(out, "verysecret") || !strings.Contains(out, "account\told\t4712\tset\t") || !strings.Contains(out, "password\tcarol\tset\n") {
		t.Errorf("the answer:\n%s", out)
	}
}
