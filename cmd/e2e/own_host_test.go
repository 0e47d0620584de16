//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vaultpam/vaultpam/server/target"
)

// ownConfig is a host's as somebody left it: with every door that hosts have.
const ownConfig = `Include /etc/ssh/sshd_config.d/*.conf
HostKey /etc/ssh/ssh_host_ed25519_key
HostKey /etc/ssh/ssh_host_ecdsa_key
PidFile /etc/ssh/sshd.pid
PermitRootLogin yes
PasswordAuthentication yes
KbdInteractiveAuthentication yes
UsePAM yes
PrintMotd no
UseDNS no
LogLevel VERBOSE
Subsystem sftp internal-sftp
Match User backup
	AuthorizedKeysFile /etc/ssh/backup_keys
`

// ownAccounts are those of such a host. A password is set for deploy: the hash
// is of nothing that anybody knows.
const (
	ownAccounts = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/:/usr/sbin/nologin\nsshd:x:103:65534::/run/sshd:/usr/sbin/nologin\n" +
		"deploy:x:1001:1001::/home/deploy:/bin/sh\nbackup:x:34:34::/home/backup:/bin/sh\n"
	ownGroups  = "root:x:0:\nnogroup:x:65534:\ntty:x:5:\nshadow:x:42:\ndeploy:x:1001:\nbackup:x:34:\n"
	ownShadows = "root:*:19000:0:99999:7:::\nnobody:*:19000::::::\nsshd:*:19000::::::\n" +
		"deploy:$6$abcdefgh$0000000000000000000000000000000000000000000000000000000000000000000000000000000000000.:19000:0:99999:7:::\nbackup:*:19000::::::\n"
)

// doOwnHost starts a host with an /etc/ssh, homes, accounts and processes of its
// own: what looks around on it sees nothing of the machine's. It trusts nobody
// yet.
func (w *world) doOwnHost(ts *script, args []string) error {
	if err := want(args, 1, 1); err != nil {
		return err
	}
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	h := &host{name: args[0], dir: filepath.Join(w.dir, "hosts", args[0]), address: "127.0.0.1:" + ports[0]}
	if err := h.furnish(ports[0]); err != nil {
		return err
	}
	program, err := target.FindSshd()
	if err != nil {
		return err
	}
	me, err := currentAccount(h.dir)
	if err != nil {
		return err
	}
	// The machine's own services must not be seen from in there either.
	inside := `set -e
for d in etc root home; do mount --bind "$0/$d" /$d; done
mkdir -p /run/systemd
mount -t tmpfs none /run/systemd
exec "$1" -D -e`
	cmd, err := me.command([]string{"PATH=" + os.Getenv("PATH")}, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside, h.dir, program)
	if err != nil {
		return err
	}
	if h.process, err = launch(cmd); err != nil {
		return err
	}
	w.hosts[h.name] = h
	ts.Setenv(h.name, h.address)
	ts.Setenv(h.name+"_port", ports[0])
	ts.Setenv(h.name+"_dir", h.dir)
	return h.process.out.sees(listening, 1)
}

// furnish lays out what an own host sees.
func (h *host) furnish(port string) error {
	for _, dir := range []string{"etc/ssh/sshd_config.d", "root", "home/deploy", "home/backup"} {
		if err := os.MkdirAll(filepath.Join(h.dir, dir), 0o755); err != nil {
			return err
		}
	}
	// What programs need of the machine's own. Nothing that knows its services.
	for _, name := range []string{"alternatives", "environment", "ld.so.cache", "login.defs", "nsswitch.conf", "pam.d", "security"} {
		if out, err := exec.Command("cp", "-a", "/etc/"+name, filepath.Join(h.dir, "etc")).CombinedOutput(); err != nil {
			return fmt.Errorf("copying /etc/%s: %w\n%s", name, err, out)
		}
	}
	for name, text := range map[string]string{
		"etc/ssh/sshd_config": "Port " + port + "\nListenAddress 127.0.0.1\n" + ownConfig,
		"etc/passwd":          ownAccounts, "etc/group": ownGroups, "etc/shadow": ownShadows,
	} {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	if err := errors.Join(os.Chmod(filepath.Join(h.dir, "etc/shadow"), 0o600), os.Chown(filepath.Join(h.dir, "home/deploy"), 1001, 1001)); err != nil {
		return err
	}
	for _, kind := range []string{"ed25519", "ecdsa"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", h.name, "-f", filepath.Join(h.dir, "etc/ssh", "ssh_host_"+kind+"_key")).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ssh-keygen: %w\n%s", err, out)
		}
	}
	return os.MkdirAll("/run/sshd", 0o755) // Debian's service makes it
}

// doInHost runs a program on an own host as root. Its output is stdout.
func (w *world) doInHost(ts *script, args []string) (bool, error) {
	if len(args) < 2 || w.hosts[args[0]] == nil {
		return false, errors.New("want HOST PROGRAM…")
	}
	unshare := strconv.Itoa(w.hosts[args[0]].process.cmd.Process.Pid)
	children, err := os.ReadFile(filepath.Join("/proc", unshare, "task", unshare, "children"))
	if err != nil {
		return false, err
	}
	cmd := exec.Command("nsenter", append([]string{"--target", strings.TrimSpace(string(children)), "--mount", "--pid", "--"}, args[1:]...)...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	var exit *exec.ExitError
	err = cmd.Run()
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// doReloads waits until a host's sshd has read its configuration so many times.
func (w *world) doReloads(_ *script, args []string) error {
	if err := want(args, 2, 2); err != nil {
		return err
	}
	n, err := strconv.Atoi(strings.TrimSpace(args[1]))
	if err != nil || w.hosts[args[0]] == nil {
		return errors.New("want HOST NUMBER")
	}
	return w.hosts[args[0]].process.out.sees(listening, n)
}

func (w *world) doHostDown(_ *script, args []string) error {
	if len(args) != 1 || w.hosts[args[0]] == nil {
		return errors.New("want HOST")
	}
	w.hosts[args[0]].process.kill()
	return nil
}
