package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// ErrNoSshd says that the machine has no sshd; StartBuiltin works there.
var ErrNoSshd = errors.New("no sshd on this machine: install the OpenSSH server (Debian: apt-get install openssh-server)")

// startLimit bounds the wait for sshd to answer. It is generous because a
// loaded machine is slow, and it is met only when something is wrong.
const startLimit = 15 * time.Second

// SshdConfig says which private sshd to start.
type SshdConfig struct {
	// Program is sshd's absolute path; empty means what FindSshd finds.
	Program string
	// Dir is an existing directory for configuration, host keys and log. Host
	// keys that stand there from an earlier start are used again.
	Dir string
	// Target is the name in the principals that are accepted: login@target.
	Target store.TargetName
	// CAs are the keys whose certificates are accepted, at least one.
	CAs []ssh.PublicKey
	// Logins are the accounts that may log in, at least one. sshd run by an
	// ordinary user can serve that user alone.
	Logins []store.Login
	// ExtraConfig are lines of sshd_config. They come before all others and so
	// win, but for AuthorizedPrincipalsCommand, of which the last counts (OpenSSH
	// 9.2); from the first Match line on they come after all others.
	ExtraConfig []string
}

// Sshd is the system's sshd, running privately on a port of 127.0.0.1. It
// accepts nothing but certificates. A process that dies without Stop leaves it
// running.
type Sshd struct {
	address  string
	hostKeys []ssh.PublicKey
	command  *exec.Cmd
	log      *sshdLog

	stop    sync.Once
	stopErr error
	// exited is closed by the goroutine that waits for the process.
	exited chan struct{}
}

// FindSshd returns sshd's absolute path (sshd insists on one, because it starts
// itself again for every connection), or ErrNoSshd.
func FindSshd() (string, error) {
	for _, path := range []string{"/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"} {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	path, err := exec.LookPath("sshd")
	if err != nil || !filepath.IsAbs(path) {
		return "", ErrNoSshd
	}
	return path, nil
}

// StartSshd starts sshd and returns when it answers. The context bounds the
// start alone; Stop ends what was started. As root, sshd switches to the
// account that logs in and its privilege separation directory is made when
// missing. As an ordinary user it can't run a command as nobody, so there the
// principals come from a file.
func StartSshd(ctx context.Context, config SshdConfig) (*Sshd, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if config.Program == "" {
		program, err := FindSshd()
		if err != nil {
			return nil, err
		}
		config.Program = program
	}
	hostKeys, err := prepareSshd(config)
	if err != nil {
		return nil, fmt.Errorf("preparing sshd in %s: %w", config.Dir, err)
	}
	// The port is free when it is chosen and may be taken when sshd binds it.
	for range 5 {
		sshd, err := launchSshd(ctx, config, hostKeys)
		if !errors.Is(err, errPortTaken) {
			return sshd, err
		}
	}
	return nil, errors.New("starting sshd: five ports in turn were taken by others")
}

var errPortTaken = errors.New("port taken")

func launchSshd(ctx context.Context, config SshdConfig, hostKeys []ssh.PublicKey) (*Sshd, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	log, err := openSshdLog(filepath.Join(config.Dir, "sshd.log"))
	if err != nil {
		return nil, err
	}
	// The context bounds the start alone, so it doesn't end the process: Stop does.
	command := exec.CommandContext(context.WithoutCancel(ctx), config.Program, "-D", "-e", "-f", configPath(config.Dir), "-o", "ListenAddress="+address)
	command.Stderr = log
	command.Dir = config.Dir
	// Standard error is a pipe that Wait would read to its end; a process that a
	// user left behind may hold it open for ever.
	command.WaitDelay = time.Second
	if err := command.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	s := &Sshd{address: address, hostKeys: hostKeys, command: command, log: log, exited: make(chan struct{})}
	// Ends when sshd ends, at the latest by Stop.
	go func() {
		_ = command.Wait() // the log says why it ended, or Stop knows
		log.Close()
		close(s.exited)
	}()
	if err := s.ready(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// ready waits until sshd says that it listens, then until it answers.
func (s *Sshd) ready(ctx context.Context) error {
	if err := s.log.wait(ctx, "Server listening on ", 1); err != nil {
		text := s.log.text()
		if bindFailed(text) {
			return errPortTaken
		}
		return fmt.Errorf("starting sshd: %w; it said: %s", err, lastLines(text))
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("reaching the new sshd: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("reaching the new sshd: %w; it said: %s", err, lastLines(s.log.text()))
	}
	return nil
}

// Address is sshd's 127.0.0.1:PORT.
func (s *Sshd) Address() string { return s.address }

// HostKeys are the plain host keys that sshd offers, Ed25519 first.
func (s *Sshd) HostKeys() []ssh.PublicKey { return s.hostKeys }

// Kind names the program.
func (s *Sshd) Kind() string { return "OpenSSH sshd" }

// Log is what sshd has written so far (LogLevel VERBOSE: each accepted
// certificate with its key ID and serial). It stands in Dir/sshd.log too.
func (s *Sshd) Log() string { return s.log.text() }

// WaitLog waits until text stands in the log at least times times, or the
// context ends, or sshd does.
func (s *Sshd) WaitLog(ctx context.Context, text string, times int) error {
	return s.log.wait(ctx, text, times)
}

// Stop ends sshd, its sessions and what runs in them. What a session detached
// from itself and outlived it is out of reach.
func (s *Sshd) Stop() error {
	s.stop.Do(func() {
		if err := killTree(s.command.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
			s.stopErr = fmt.Errorf("stopping sshd: %w", err)
		}
		<-s.exited
	})
	return s.stopErr
}

// freeAddress returns an address on loopback that nobody listens on now.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("choosing a port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
