package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// Options are what a demo is made of. Every field is needed but Stdin.
type Options struct {
	server.Environment
	Client         string // path of the program vaultpam
	Version        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// The people and the hosts of the story. The forbidden host is a second name of
// the same one, which nobody was granted.
const (
	administrator = "ada"
	engineer      = "carol"
	auditor       = "dana"
	open          = "db1"
	forbidden     = "db2"
	serverName    = "localhost"
)

// A world is everything that a demo runs.
type world struct {
	Options
	dir    string
	login  string // account on the hosts
	node   *server.Node
	stop   context.CancelFunc
	parts  *errgroup.Group
	host   target.Host
	agent  *exec.Cmd
	socket string
	people map[string]*person
}

// newWorld starts the server, a target and an agent. Whatever fails, close ends
// what was started.
func newWorld(ctx context.Context, o Options) (*world, error) {
	w := &world{Options: o, people: map[string]*person{}}
	if err := w.start(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) start(ctx context.Context) error {
	for _, program := range []string{"ssh", "ssh-agent", "ssh-add"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("the demo needs OpenSSH's client: %w", err)
		}
	}
	me, err := user.Current()
	if err != nil {
		return fmt.Errorf("finding the current account: %w", err)
	}
	w.login = me.Username
	if w.dir, err = os.MkdirTemp("", "vaultpam-demo-"); err != nil {
		return err
	}
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return err
	}
	invitation, err := w.startServer(ctx, ports[0], ports[1])
	if err != nil {
		return err
	}
	if err := w.startHost(ctx); err != nil {
		return err
	}
	if err := w.startAgent(ctx); err != nil {
		return err
	}
	w.addPerson(administrator, invitation)
	return nil
}

// freePorts returns ports of the loopback address that nobody listened on just
// now. The server must know its ports before it listens: they are in its
// configuration and in invitations.
func freePorts(ctx context.Context, n int) ([]string, error) {
	var ports []string
	for range n {
		var lc net.ListenConfig
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close()
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		ports = append(ports, port)
	}
	return ports, nil
}

func (w *world) data() server.Dir { return server.Dir(filepath.Join(w.dir, "server")) }

func (w *world) startServer(ctx context.Context, https, sshPort string) (string, error) {
	config := server.Config{
		Name: serverName, Suffix: "pam",
		Listen: server.ListenConfig{HTTPS: "127.0.0.1:" + https, SSH: "127.0.0.1:" + sshPort},
		Public: server.PublicConfig{HTTPS: net.JoinHostPort(serverName, https), SSH: net.JoinHostPort(serverName, sshPort)},
		TLS:    server.TLSConfig{Mode: server.TLSSelfSigned},
		Log:    server.LogConfig{Level: "info"}, CheckTargets: "off",
	}
	done, err := server.Init(ctx, w.Environment, server.InitRequest{
		Dir: w.data(), Config: config, Administrator: administrator, SelfGrant: store.SelfGrantRefused,
	})
	if err != nil {
		return "", err
	}
	log, err := os.Create(filepath.Join(w.dir, "server.log"))
	if err != nil {
		return "", err
	}
	ready := make(chan struct{})
	w.node, err = server.Open(ctx, server.Options{
		Environment: w.Environment, Dir: w.data(), Version: w.Version,
		Log:   slog.New(slog.NewTextHandler(log, nil)),
		Ready: func(net.Addr, net.Addr) { close(ready) },
	})
	if err != nil {
		return "", errors.Join(err, log.Close())
	}
	// The server outlives a Ctrl-C that is meant for a program in the demo's
	// shell; close ends it.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	w.stop, w.parts = stop, new(errgroup.Group)
	failed := make(chan struct{})
	w.parts.Go(func() error {
		defer close(failed)
		return errors.Join(w.node.Run(running), log.Close())
	})
	select {
	case <-ready:
		return done.Invitation.String(), nil
	case <-failed:
		return "", w.parts.Wait()
	}
}

// startHost runs the system's sshd, or the built-in server where there is none or
// where it would serve this account without terminals.
func (w *world) startHost(ctx context.Context) error {
	dir := filepath.Join(w.dir, "host")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	cas, err := HostTrust(w.data())
	if err != nil {
		return err
	}
	err = target.ErrNoSshd
	if target.SshdHasTerminals() {
		w.host, err = target.StartSshd(ctx, target.SshdConfig{
			Dir: dir, Target: open, CAs: cas, Logins: []store.Login{store.Login(w.login)},
		})
	}
	if errors.Is(err, target.ErrNoSshd) {
		w.host, err = target.StartBuiltin(ctx, target.BuiltinConfig{Dir: dir, Target: open, CAs: cas})
	}
	return err
}

// HostTrust returns the keys that `vaultpamd target setup` makes a host trust:
// those of the target CA and the emergency CA of a data directory.
func HostTrust(data server.Dir) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for _, name := range []string{"target-ca.pub", "emergency-ca.pub"} {
		line, err := os.ReadFile(filepath.Join(string(data), "keys", name))
		if err != nil {
			return nil, err
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(line)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// startAgent runs an ssh-agent of the demo's own and waits for its socket.
func (w *world) startAgent(ctx context.Context) error {
	w.socket = filepath.Join(w.dir, "agent.sock")
	// The shell needs it after a Ctrl-C, which cancels ctx; close ends it.
	w.agent = exec.CommandContext(context.WithoutCancel(ctx), "ssh-agent", "-D", "-a", w.socket)
	out, err := w.agent.StdoutPipe()
	if err != nil {
		return err
	}
	if err := w.agent.Start(); err != nil {
		return fmt.Errorf("starting an ssh-agent: %w", err)
	}
	// It prints its socket when it listens.
	line := make([]byte, 1)
	if _, err := io.ReadFull(out, line); err != nil {
		return fmt.Errorf("starting an ssh-agent: %w", err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the agent
	return ctx.Err()
}

// close ends everything and removes it.
func (w *world) close() error {
	var errs []error
	if w.agent != nil && w.agent.Process != nil {
		errs = append(errs, w.agent.Process.Kill())
		_ = w.agent.Wait() // it was killed, and says so
	}
	if w.stop != nil {
		w.stop()
		errs = append(errs, w.parts.Wait())
	}
	if w.node != nil {
		errs = append(errs, w.node.Close())
	}
	if w.host != nil {
		errs = append(errs, w.host.Stop())
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}

// environ is the environment of programs in the demo: this one's, less what
// would lead them out of it.
func (w *world) environ(p *person) []string {
	var env []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch name {
		case "SSH_AUTH_SOCK", "SSH_AGENT_PID", "VAULTPAM_HOME", "VAULTPAM_KEYRING", "PATH":
		default:
			env = append(env, v)
		}
	}
	return append(env,
		"SSH_AUTH_SOCK="+w.socket,
		"VAULTPAM_HOME="+p.home,
		"VAULTPAM_KEYRING=off",
		"PATH="+filepath.Join(w.dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
	)
}
