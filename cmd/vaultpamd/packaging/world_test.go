//go:build linux

package packaging_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vaultpam/vaultpam/server/target"
)

// patience bounds every wait. It is met only when something is wrong.
const patience = 30 * time.Second

type script = testscript.TestScript

// A world is what one script runs. It is used by the script's goroutine alone.
type world struct {
	root string // where the package is installed
	data string // the server's directory, as seen from outside of root
	host *target.Sshd
	// ended is sent the server's end, once, by the goroutine that waits for it.
	server *exec.Cmd
	ended  chan error
	booted *machine
}

type worldKey struct{}

// commands are:
//
//	cleanroot               makes $ROOT, a Debian with nothing in it (root)
//	service PROGRAM…        runs a program of the package as the unit would
//	serve                   starts the server so, watched by strace
//	terminate               ends it with SIGTERM; it has to end well
//	[!] watched UNIT        what it did is what the unit allows
//	boot                    boots $ROOT (campaign)
//	[!] inside PROGRAM…     runs a program in what was booted
//	enrol INVITATION        enrols with the authenticator of $VAULTPAM_HOME
//	host NAME               a private sshd that trusts the server; $NAME, $NAME_key
//	capture VAR REGEXP      the first group of what it finds in stdout
func commands() map[string]func(*script, bool, []string) {
	all := map[string]func(*script, bool, []string){}
	for name, f := range map[string]func(*world, *script, []string) error{
		"cleanroot": (*world).cleanRoot, "service": (*world).service, "serve": (*world).serve, "terminate": (*world).terminate,
		"boot": (*world).boot, "inside": (*world).inside, "watched": (*world).watched, "enrol": (*world).enrol, "host": (*world).startHost, "capture": (*world).capture,
	} {
		all[name] = func(ts *script, neg bool, args []string) {
			err := f(ts.Value(worldKey{}).(*world), ts, args)
			switch {
			case neg && (errors.Is(err, errForbidden) || errors.Is(err, errExit)):
				err = nil
			case neg && err == nil:
				err = errors.New("succeeded, or can't be negated")
			}
			if err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	return all
}

// setup prepares a script. Whatever the script starts is ended with it.
func setup(env *testscript.Env) error {
	t, ok := env.T().(testing.TB)
	if !ok {
		return errors.New("testscript does not hand out a testing.TB")
	}
	w := &world{root: filepath.Join(env.WorkDir, "root")}
	w.data = filepath.Join(w.root, "var", "lib", "vaultpam")
	env.Values[worldKey{}] = w
	env.Defer(func() {
		if err := w.close(); err != nil {
			t.Errorf("cleaning up: %v", err)
		}
	})
	me, err := user.Current()
	if err != nil {
		return err
	}
	https, err := freePort(servicePorts())
	if err != nil {
		return err
	}
	ssh, err := freePort(10000, 12000)
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"DEB": *deb, "ROOT": w.root, "DATA": w.data, "LOGIN": me.Username, "https": https, "ssh": ssh,
		"HOME": env.WorkDir, "VAULTPAM_KEYRING": "off", "SSH_AUTH_SOCK": "",
		"VAULTPAM_CAMPAIGN": os.Getenv("VAULTPAM_CAMPAIGN"),
		"PATH":              filepath.Join(w.root, "usr", "bin") + ":" + os.Getenv("PATH") + ":/usr/sbin:/sbin",
	} {
		env.Setenv(name, value)
	}
	return nil
}

// servicePorts are those of which the server gets one for HTTPS: as root a low
// one, which it can bind by its one capability alone.
func servicePorts() (from, to int) {
	if isRoot() {
		return 600, 1024
	}
	return 10000, 12000
}

// ports hands out each port of the loopback address once, so that a server
// finds its own again when it starts anew beside other scripts'.
var ports struct {
	sync.Mutex
	taken map[int]bool
}

// freePort looks for a port that nobody has. It is not one that the kernel gives
// to outgoing connections.
func freePort(from, to int) (string, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.taken == nil {
		ports.taken = map[int]bool{}
	}
	for i := range to - from {
		port := from + (i+os.Getpid())%(to-from)
		if ports.taken[port] {
			continue
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if l, err := net.Listen("tcp", address); err == nil {
			ports.taken[port] = true
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("no free port from %d to %d", from, to)
}

func (w *world) close() error {
	var errs []error
	if w.server != nil {
		if pid, err := w.pid(); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // strace ends with what it watches
		}
		errs = append(errs, w.server.Process.Kill())
		<-w.ended
	}
	if w.host != nil {
		errs = append(errs, w.host.Stop())
	}
	if w.booted != nil {
		errs = append(errs, w.booted.off())
	}
	return errors.Join(errs...)
}

func (w *world) cleanRoot(ts *script, _ []string) error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	return ts.Exec(filepath.Join(here, "testdata", "cleanroot"), w.root)
}

// asService is the command line that runs a program in the place, as the
// account and with the privileges that the unit gives it. As an ordinary user
// it is the unpacked program.
func (w *world) asService(words []string) []string {
	if !isRoot() {
		return append([]string{"env", "VAULTPAMD_DIR=" + w.data, filepath.Join(w.root, words[0])}, words[1:]...)
	}
	return append([]string{
		"env", "-i", "PATH=/usr/bin:/usr/sbin:/bin:/sbin", "chroot", w.root,
		"setpriv", "--reuid=vaultpam", "--regid=vaultpam", "--clear-groups", "--no-new-privs",
		"--bounding-set=-all,+net_bind_service", "--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service",
	}, words...)
}

func (w *world) service(ts *script, args []string) error {
	line := w.asService(args)
	return ts.Exec(line[0], line[1:]...)
}

func (w *world) capture(ts *script, args []string) error {
	if len(args) != 2 {
		return errors.New("want VAR REGEXP")
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	found := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		return fmt.Errorf("%q matches nothing, or has not one group", pattern)
	}
	ts.Setenv(args[0], found[1])
	return nil
}

func (w *world) pid() (int, error) {
	data, err := os.ReadFile(filepath.Join(w.data, "vaultpamd.pid"))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// A log keeps what a process says, and tells when it has said a word.
type log struct {
	word string
	seen chan struct{} // closed then
	mu   sync.Mutex    // guards said
	said bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := strings.Contains(l.said.String(), l.word)
	n, err := l.said.Write(p)
	if !before && strings.Contains(l.said.String(), l.word) {
		close(l.seen)
	}
	return n, err
}

func (l *log) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}

func (w *world) serve(ts *script, _ []string) error {
	line := append([]string{"strace", "-f", "-qq", "-o", ts.MkAbs("trace")}, w.asService([]string{"/usr/bin/vaultpamd", "serve"})...)
	said := &log{word: "msg=serving", seen: make(chan struct{})}
	w.server = exec.Command(line[0], line[1:]...)
	w.server.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"))
	w.server.Stdout, w.server.Stderr = said, said
	w.server.WaitDelay = time.Second
	// strace hands the signal on, where SIGKILL would only end the watching.
	w.server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	w.ended = make(chan error, 1)
	if err := w.server.Start(); err != nil {
		w.server = nil
		return err
	}
	cmd, ended := w.server, w.ended
	go func() { ended <- cmd.Wait() }() // ends with the server
	select {
	case <-said.seen:
		return nil
	case err := <-ended:
		w.server = nil
		return fmt.Errorf("the server ended: %w\n%s", err, said.text())
	case <-time.After(patience):
		return fmt.Errorf("the server does not serve after %s; it said:\n%s", patience, said.text())
	}
}

// terminate does what systemd does.
func (w *world) terminate(_ *script, _ []string) error {
	pid, err := w.pid()
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-w.ended:
		w.server = nil
		return err // strace ends as what it watched
	case <-time.After(patience):
		return fmt.Errorf("the server still runs %s after SIGTERM", patience)
	}
}
