//go:build unix

package target_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
)

// doorConfig lets in by a password, by a key and by an authority that is not
// ours, and with doorBlocks by another, and by more from somewhere.
const doorConfig = `PasswordAuthentication yes
PermitRootLogin yes
AuthorizedKeysFile ETC/keys/%u
` + plainConfig

const doorBlocks = `Match User carol
	TrustedUserCAKeys ETC/other.pub
Match Address 10.0.0.0/8
	AuthenticationMethods password
`

// A sshUser is a key on disk, with a certificate or without, and how ssh is told
// to use nothing else.
type sshUser struct {
	options []string
	key     ssh.PublicKey
}

func newSSHUser(t testing.TB, address string, hostKeys []ssh.PublicKey, ca ssh.Signer) sshUser {
	t.Helper()
	dir := t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"id": pem.EncodeToMemory(block), "known": nil}
	for _, key := range hostKeys {
		files["known"] = append(files["known"], "["+host+"]:"+port+" "+string(ssh.MarshalAuthorizedKey(key))...)
	}
	if ca != nil {
		certificate := &ssh.Certificate{
			Key: public, Serial: 1, CertType: ssh.UserCert, KeyId: "carol",
			ValidPrincipals: []string{target.Principal(me(t), db1), string(me(t))},
			ValidBefore:     uint64(time.Now().Add(10 * time.Minute).Unix()),
			Permissions:     ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
		}
		if err := certificate.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		files["id-cert.pub"] = ssh.MarshalAuthorizedKey(certificate)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return sshUser{key: public, options: []string{
		"-F", "none", "-p", port, "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + filepath.Join(dir, "known"),
		"-o", "GlobalKnownHostsFile=none", "-i", filepath.Join(dir, "id"), string(me(t)) + "@" + host,
	}}
}

// run runs a command on the host by the system's ssh.
func (u sshUser) run(t testing.TB, stdin, command string) (stdout string, err error) {
	t.Helper()
	client := exec.CommandContext(t.Context(), "ssh", append(slices.Clone(u.options), command)...)
	client.Stdin = strings.NewReader(stdin)
	out, err := client.Output()
	return string(out), err
}

// opens says whether sshd let the user in, whatever the account's shell does then.
func (u sshUser) opens(t testing.TB) bool {
	t.Helper()
	client := exec.CommandContext(t.Context(), "ssh", append(append([]string{"-v"}, u.options...), "true")...)
	out, _ := client.CombinedOutput() // which says more than the exit status
	return strings.Contains(string(out), "Authenticated to 127.0.0.1 ")
}

// offered are the methods that sshd names to who has nothing.
func (u sshUser) offered(t testing.TB) string {
	t.Helper()
	client := exec.CommandContext(t.Context(), "ssh", append([]string{"-o", "PreferredAuthentications=none"}, u.options...)...)
	out, err := client.CombinedOutput()
	if err == nil {
		t.Fatal("logged in by nothing")
	}
	_, methods, _ := strings.Cut(string(out), "Permission denied (")
	methods, _, _ = strings.Cut(methods, ")")
	return methods
}

// TestCloseOnARunningSshd finds the doors of a running sshd, shuts them and opens
// them again: as root through sshd itself, as the server does.
func TestCloseOnARunningSshd(t *testing.T) {
	for name, config := range map[string]string{
		"drop-in": doorConfig + doorBlocks,
		"block":   withoutInclude(doorConfig),
	} {
		t.Run(name, func(t *testing.T) {
			ca, emergency, second := newSigner(t), newSigner(t), newSigner(t)
			setup := newSetup(t)
			setup.TargetCAs, setup.EmergencyCA = []ssh.PublicKey{ca.PublicKey()}, emergency.PublicKey()
			h := newCheckedHost(t, []string{"sh"}, setup, "UsePAM "+usePAM()+"\n"+config)
			h.put(t, h.dir+"/other.pub", authorized(second.PublicKey())+"\n")
			tunnel(t, h)
			address, log, listening := runSshd(t, h.tree)
			listening()
			hostKeys, err := target.Scan(t.Context(), dialer.DialContext, address)
			if err != nil {
				t.Fatal(err)
			}
			h.copyProgram(t) // whose process ID stands in its file before it answers
			key := newSSHUser(t, address, hostKeys, nil)
			ours, theirs := newSSHUser(t, address, hostKeys, ca), newSSHUser(t, address, hostKeys, emergency)
			certified := newSSHUser(t, address, hostKeys, second)
			h.put(t, h.dir+"/keys/"+string(me(t)), authorized(key.key)+" carol@laptop\ncert-authority "+authorized(second.PublicKey())+"\n")
			h.tree.want(t, 0, "sshd was reloaded.")
			listening()

			asRoot := os.Geteuid() == 0
			wantOpens := func(when string, others bool) {
				t.Helper()
				// An ordinary user's sshd can't run the command as nobody, and refuses.
				for who, c := range map[string]struct {
					user  sshUser
					opens bool
				}{"our certificate": {ours, asRoot}, "the emergency CA's": {theirs, asRoot}, "a key": {key, others}, "a second CA's": {certified, others}} {
					if got := c.user.opens(t); got != c.opens {
						t.Errorf("%s: %s opens: %v, want %v", when, who, got, c.opens)
					}
				}
				if got := strings.Contains(key.offered(t), "password"); got != others {
					t.Errorf("%s: password offered: %v, want %v", when, got, others)
				}
			}
			// remote runs the script in a mode on the host.
			remote := func(mode target.Mode, argument, says string) {
				t.Helper()
				if !asRoot {
					h.tree.want(t, 0, says, argument)
				} else if script, err := os.ReadFile(h.tree.script); err != nil {
					t.Fatal(err)
				} else if out, err := ours.run(t, string(script), target.RunAsRoot(mode)); err != nil || !strings.Contains(out, says) {
					t.Fatalf("%s: %v: %s\nsshd said:\n%s", argument, err, out, log)
				}
				listening()
			}
			wantOpens("before", true)
			h.wantReport(t, doorsOf(name, key.key, second.PublicKey())...)
			open := h.snapshot(t)
			remote(target.ModeClose, "--close", "Closed: ")
			wantOpens("closed", false)
			if check := h.wantReport(t); !check.SetUp || !check.Closed {
				t.Errorf("closed: %+v", check)
			}
			if asRoot {
				wantRemoteCheck(t, h, ours)
			}
			remote(target.ModeOpen, "--open", "Open: ")
			wantOpens("open again", true)
			if diff := cmp.Diff(contents(open), contents(h.snapshot(t))); diff != "" {
				t.Errorf("--open left (-before +after):\n%s", diff)
			}
			if asRoot && strings.Contains(log.String(), "Authorized") || strings.Contains(log.String(), "Could not open") {
				t.Error("sshd complains about the closing")
			}
			if t.Failed() {
				t.Logf("sshd said:\n%s", log)
			}
		})
	}
}

// doorsOf are what a check finds on the host of TestCloseOnARunningSshd.
func doorsOf(name string, key, second ssh.PublicKey) []string {
	doors := []string{
		"door\tauthority\tME\t" + ssh.FingerprintSHA256(second) + " in ETC/keys/ME",
		"door\tauthorized-key\tME\t" + ssh.FingerprintSHA256(key) + " in ETC/keys/ME",
		"door\tpassword\tcarol\tpassword: a password is set",
	}
	if usePAM() == "yes" {
		doors = append(doors, "door\tpassword\t\tpassword: PAM may know passwords that are not in the shadow file")
	}
	if name == "drop-in" {
		doors = append(doors,
			"door\tauthority\tcarol\t"+ssh.FingerprintSHA256(second)+" in ETC/other.pub",
			"door\tmatch-block\t\tMatch Address 10.0.0.0/8: AuthenticationMethods password")
	}
	return doors
}

// tunnel lets scripts that run in sessions look at this tree and not at the
// machine.
func tunnel(t testing.TB, h *checkedHost) {
	t.Helper()
	text, err := os.ReadFile(h.conf)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, h.conf, "SetEnv SSHD_CONFIG="+h.conf+" SSHD="+sshdPath(t)+" PASSWD="+h.passwd+" SHADOW="+h.shadow+" PROC="+h.proc+"\n"+string(text))
}

// copyProgram lets the tree's own sshd run among its programs.
func (h *checkedHost) copyProgram(t testing.TB) {
	t.Helper()
	pid, err := os.ReadFile(filepath.Join(h.dir, "sshd.pid"))
	if err != nil {
		t.Fatal(err)
	}
	// Where there is no /proc the tree has it without programs.
	arguments, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "cmdline"))
	if err == nil {
		h.run1(t, 4711, "sshd", string(arguments))
	}
}

// wantRemoteCheck runs the check through sshd, as the server does.
func wantRemoteCheck(t testing.TB, h *checkedHost, user sshUser) {
	t.Helper()
	script, err := os.ReadFile(h.script)
	if err != nil {
		t.Fatal(err)
	}
	out, err := user.run(t, string(script), target.RunAsRoot(target.ModeSetUp))
	if err != nil {
		t.Fatalf("check: %v: %s", err, out)
	}
	check, err := target.ParseCheck([]byte(out), h.setup)
	if err != nil || !check.Closed || len(check.Report.Doors)+len(check.Report.Unread) > 0 {
		t.Errorf("through sshd: %+v, %v", check, err)
	}
}
