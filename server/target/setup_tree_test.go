//go:build unix

package target_test

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
)

// A tree is a private /etc/ssh, and the script for it.
type tree struct {
	dir, conf string
	script    string
	shell     []string
	env       []string
}

// plainConfig has the layout that Debian gives its file.
const plainConfig = `# comments first

Include ETC/sshd_config.d/*.conf

#Port 22
KbdInteractiveAuthentication no
X11Forwarding yes
PrintMotd no
AcceptEnv LANG LC_*
`

func withoutInclude(config string) string {
	return strings.Replace(config, "Include ETC/sshd_config.d/*.conf\n", "", 1)
}

// newTree writes config, in which ETC stands for the directory.
func newTree(t testing.TB, shell []string, setup target.Setup, config string) *tree {
	t.Helper()
	if os.Geteuid() == 0 {
		// sshd -t wants it; on a host sshd's service has made it.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	tr := &tree{dir: dir, conf: filepath.Join(dir, "sshd_config"), shell: shell}
	key := filepath.Join(dir, "ssh_host_ed25519_key")
	tr.write(t, key, newKeyFile(t))
	tr.write(t, tr.conf, "HostKey "+key+"\nPidFile "+dir+"/sshd.pid\n"+strings.ReplaceAll(config, "ETC", dir))
	if err := os.Mkdir(filepath.Join(dir, "sshd_config.d"), 0o755); err != nil {
		t.Fatal(err)
	}
	tr.use(t, setup)
	return tr
}

func (tr *tree) use(t testing.TB, setup target.Setup) {
	t.Helper()
	text, err := target.Script(setup)
	if err != nil {
		t.Fatal(err)
	}
	tr.script = filepath.Join(t.TempDir(), "setup.sh")
	tr.write(t, tr.script, text)
}

func (tr *tree) write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs the script and returns its exit code and all that it said.
func (tr *tree) run(t testing.TB, args ...string) (int, string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), tr.shell[0], append(append(tr.shell[1:], tr.script), args...)...)
	command.Env = append(os.Environ(), "SSHD_CONFIG="+tr.conf, "SSHD="+sshdPath(t), "TMPDIR="+filepath.Dir(tr.script))
	command.Env = append(command.Env, tr.env...)
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), string(out)
}

// want runs the script and fails the test unless it ends as told.
func (tr *tree) want(t testing.TB, code int, says string, args ...string) {
	t.Helper()
	got, out := tr.run(t, args...)
	if got != code || !strings.Contains(out, says) {
		t.Fatalf("exit code %d, want %d and %q; it said:\n%s", got, code, says, out)
	}
}

// snapshot is all that the directory holds: content, mode and time.
func (tr *tree) snapshot(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(tr.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() || entry.Name() == "sshd.pid" { // a running sshd's own, which comes and goes
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(tr.dir, path)
		all[name] = fmt.Sprintf("%s %s\n%s", info.Mode(), info.ModTime(), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// contents is a snapshot without times.
func contents(snapshot map[string]string) map[string]string {
	all := map[string]string{}
	for name, text := range snapshot {
		mode, text, _ := strings.Cut(text, " ")
		_, text, _ = strings.Cut(text, "\n")
		all[name] = mode + "\n" + text
	}
	return all
}

func sshdPath(t testing.TB) string {
	t.Helper()
	path, err := target.FindSshd()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// shells are this machine's sh (Debian's is dash) and busybox's, where it is.
func shells() map[string][]string {
	all := map[string][]string{"sh": {"sh"}}
	if _, err := exec.LookPath("busybox"); err == nil {
		all["busybox"] = []string{"busybox", "sh"}
	}
	return all
}

func newKeyFile(t testing.TB) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func newSetup(t testing.TB) target.Setup {
	t.Helper()
	return target.Setup{
		Target:      db1,
		TargetCAs:   []ssh.PublicKey{newSigner(t).PublicKey()},
		EmergencyCA: newSigner(t).PublicKey(),
		ServerName:  "pam.example.eu",
	}
}

// appendMatch adds a trailing Match block, as administrators do: a directive
// appended behind it would be inside.
func (tr *tree) appendMatch(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(tr.conf)
	if err != nil {
		t.Fatal(err)
	}
	tr.write(t, tr.conf, string(text)+"Match User sftponly\n\tForceCommand internal-sftp\n")
}
