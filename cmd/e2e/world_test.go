//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// operator is the account that runs the server: the one that runs the tests.
const operator = "operator"

// A world is everything that one script runs. It is used by the script's
// goroutine alone.
type world struct {
	dir       string // the script's, $WORK
	path      string // $PATH of every program
	bin       string // the programs under test
	operator  *account
	login     *account // on the hosts
	people    map[string]*person
	hosts     map[string]*host
	processes map[string]*process
	server    *process
	last      time.Duration // what the last program took
	lastEnd   time.Time     // of the last process that was over
	mounts    []*debt
	site      string // folder of the certificate that everybody trusts, if there is one
	provider  *provider
}

type worldKey struct{}

// setup prepares a script. Whatever the script starts is ended with it, also
// where it fails.
func setup(env *testscript.Env) error {
	w := &world{
		dir: env.WorkDir, bin: filepath.Join(root, "bin"),
		people: map[string]*person{}, hosts: map[string]*host{}, processes: map[string]*process{},
	}
	env.Values[worldKey{}] = w
	t, ok := env.T().(testing.TB)
	env.Defer(func() {
		if err := w.close(); err != nil && ok {
			t.Errorf("cleaning up: %v", err)
		}
	})
	if !ok {
		return errors.New("testscript does not hand out a testing.TB")
	}
	w.path = w.bin + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin"
	if err := w.open(); err != nil {
		return err
	}
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	env.Setenv("PATH", w.path)
	env.Setenv("VAULTPAMD_DIR", w.data())
	env.Setenv("https", "127.0.0.1:"+ports[0])
	env.Setenv("ssh", "127.0.0.1:"+ports[1])
	env.Setenv("sshport", ports[1])
	env.Setenv("login", w.login.name)
	env.Setenv("remote", filepath.Join(w.dir, "remote"))
	return nil
}

func (w *world) open() (err error) {
	if w.operator, err = currentAccount(filepath.Join(w.dir, operator)); err != nil {
		return err
	}
	if w.login, err = newAccount(filepath.Join(w.dir, "login")); err != nil {
		return err
	}
	if !isRoot() {
		if err := errors.Join(checkTerminals(), w.wrap()); err != nil {
			return err
		}
	}
	// What a session writes on a host goes here, whoever it logs in as.
	remote := filepath.Join(w.dir, "remote")
	return errors.Join(os.Mkdir(remote, 0o755), w.login.own(remote))
}

// checkTerminals says why sessions with a terminal would break off: an sshd that
// an ordinary user runs can't give the terminals that it opens to the group tty.
func checkTerminals() error {
	mounts, err := os.ReadFile("/proc/mounts")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " /dev/pts devpts ") && strings.Contains(line, "gid=") {
			return nil
		}
	}
	return errors.New("the terminals of this machine don't belong to the group tty: run the tests as root, or first: mount -o remount,gid=5,mode=620 /dev/pts")
}

// wrap puts programs before the system's that pass the configuration which is
// in $HOME, because OpenSSH looks for it in the account's home.
func (w *world) wrap() error {
	dir := filepath.Join(w.dir, "wrapped")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"ssh", "scp", "sftp"} {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		text := "#!/bin/sh\nif [ -f \"$HOME/.ssh/config\" ]; then set -- -F \"$HOME/.ssh/config\" \"$@\"; fi\nexec " + path + " \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	w.path = dir + ":" + w.path
	return nil
}

func (w *world) data() string { return filepath.Join(w.dir, "server") }

// close ends everything in the reverse order of its start and removes the
// accounts.
func (w *world) close() error {
	var errs []error
	for _, p := range w.processes {
		p.kill()
	}
	if w.server != nil {
		w.server.kill()
	}
	for _, h := range w.hosts {
		h.process.kill()
	}
	errs = append(errs, w.unmount())
	for _, p := range w.people {
		errs = append(errs, p.close(), p.account.remove())
	}
	if w.login != nil {
		errs = append(errs, w.login.remove())
	}
	if !*keep {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

// account returns who a name in a script stands for.
func (w *world) account(name string) (*account, error) {
	if name == operator {
		return w.operator, nil
	}
	if p, ok := w.people[name]; ok {
		return p.account, nil
	}
	return nil, fmt.Errorf("there is no %s in this script", name)
}

// environ is the environment of a person's programs.
func (w *world) environ(name string) []string {
	env := []string{"PATH=" + w.path, "VAULTPAMD_DIR=" + w.data()}
	if p, ok := w.people[name]; ok {
		env = append(env, "SSH_AUTH_SOCK="+p.socket())
		if p.window != nil {
			env = append(env, "BROWSER="+p.browser())
		}
	}
	if w.site != "" {
		env = append(env, "SSL_CERT_FILE="+filepath.Join(w.site, "ca.pem"))
	}
	return env
}

// command prepares a program that somebody runs.
func (w *world) command(who string, words []string) (*exec.Cmd, error) {
	a, err := w.account(who)
	if err != nil {
		return nil, err
	}
	return a.command(w.environ(who), words[0], words[1:]...)
}

// ports hands out ports of the loopback address. They are below those that the
// kernel gives to outgoing connections, and none is handed out twice, so that a
// server finds its own again when it starts anew.
var ports struct {
	sync.Mutex
	taken map[int]bool
}

func freePorts(n int) ([]string, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.taken == nil {
		ports.taken = map[int]bool{}
	}
	var found []string
	for range 1000 {
		port := 12000 + rand.IntN(20000)
		if ports.taken[port] {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			continue // somebody else has it
		}
		ports.taken[port] = true
		if err := l.Close(); err != nil {
			return nil, err
		}
		if found = append(found, strconv.Itoa(port)); len(found) == n {
			return found, nil
		}
	}
	return nil, errors.New("found no free ports")
}
