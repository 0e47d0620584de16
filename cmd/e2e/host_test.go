//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// A host is a private sshd.
type host struct {
	name    string
	dir     string
	address string
	conf    string
	process *process
}

// listening is what sshd says at its start and after every reload.
var listening = regexp.MustCompile("Server listening on ")

// plainConfig is laid out as Debian's. It opens nothing: what opens it is the
// set-up script. A session may read the certificate that opened it.
const plainConfig = `Include {dir}/sshd_config.d/*.conf
HostKey {dir}/ssh_host_ed25519_key
HostKey {dir}/ssh_host_ecdsa_key
PidFile {dir}/sshd.pid
AllowUsers {login}
AuthorizedKeysFile none
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM {pam}
StrictModes no
PrintMotd no
UseDNS no
LogLevel VERBOSE
ExposeAuthInfo yes
AcceptEnv LANG LC_*
Subsystem sftp internal-sftp
`

// newHost makes a host that trusts nobody yet and starts its sshd.
func (w *world) newHost(name string) (*host, error) {
	if _, err := store.ParseTargetName(name); err != nil {
		return nil, err
	}
	ports, err := freePorts(1)
	if err != nil {
		return nil, err
	}
	h := &host{name: name, dir: filepath.Join(w.dir, "hosts", name), address: "127.0.0.1:" + ports[0]}
	h.conf = filepath.Join(h.dir, "sshd_config")
	if err := os.MkdirAll(filepath.Join(h.dir, "sshd_config.d"), 0o755); err != nil {
		return nil, err
	}
	for _, kind := range []string{"ed25519", "ecdsa"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", name, "-f", filepath.Join(h.dir, "ssh_host_"+kind+"_key")).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w\n%s", err, out)
		}
	}
	pam := "no"
	if isRoot() {
		pam = "yes"
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // Debian's service makes it
			return nil, err
		}
	}
	text := strings.NewReplacer("{dir}", h.dir, "{login}", w.login.name, "{pam}", pam).Replace(plainConfig)
	if err := os.WriteFile(h.conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	if !isRoot() {
		if err := w.trustAsUser(h, h.name); err != nil {
			return nil, err
		}
	}
	if err := h.start(); err != nil {
		return nil, err
	}
	w.hosts[name] = h
	return h, nil
}

// trustAsUser does by hand what the set-up script does: an ordinary user's sshd
// can't run the command as nobody, so the principals come from a file.
func (w *world) trustAsUser(h *host, name string) error {
	var keys []byte
	for _, file := range []string{"target-ca.pub", "emergency-ca.pub"} {
		key, err := os.ReadFile(filepath.Join(w.data(), "keys", file))
		if err != nil {
			return err
		}
		keys = append(keys, key...)
	}
	ca, principals := filepath.Join(h.dir, "vaultpam_ca.pub"), filepath.Join(h.dir, "principals")
	return errors.Join(
		os.WriteFile(ca, keys, 0o644),
		os.WriteFile(principals, []byte(w.login.name+"@"+name+"\n"), 0o644),
		os.WriteFile(filepath.Join(h.dir, "sshd_config.d", "00-vaultpam.conf"),
			[]byte("TrustedUserCAKeys "+ca+"\nAuthorizedPrincipalsFile "+principals+"\n"), 0o644))
}

func (h *host) start() error {
	program, err := target.FindSshd()
	if err != nil {
		return err
	}
	me, err := currentAccount(h.dir)
	if err != nil {
		return err
	}
	cmd, err := me.command([]string{"PATH=" + os.Getenv("PATH")}, program, "-D", "-e", "-f", h.conf, "-o", "ListenAddress="+h.address)
	if err != nil {
		return err
	}
	if h.process, err = launch(cmd); err != nil {
		return err
	}
	return h.process.out.sees(listening, 1)
}

// setUp runs the script that `vaultpamd target setup` prints for a name and waits
// for sshd to have read its configuration again.
func (w *world) setUp(h *host, name string) error {
	cmd, err := w.command(operator, []string{"sh", "-c", `vaultpamd target setup "$0" | SSHD_CONFIG="$1" sh`, name, h.conf})
	if err != nil {
		return err
	}
	before := len(listening.FindAllString(h.process.out.text(), -1))
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("sshd was reloaded")) {
		return fmt.Errorf("setting %s up: %w\n%s", h.name, err, out)
	}
	return h.process.out.sees(listening, before+1)
}

// doSetUp sets a host up anew, as a target of another name.
func (w *world) doSetUp(_ *script, args []string) error {
	if err := want(args, 2, 2); err != nil {
		return err
	}
	h, ok := w.hosts[args[0]]
	if !ok {
		return fmt.Errorf("there is no host %s in this script", args[0])
	}
	if !isRoot() {
		return w.trustAsUser(h, args[1]) // sshd reads the principals at each login
	}
	return w.setUp(h, args[1])
}
