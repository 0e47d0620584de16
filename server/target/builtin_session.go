package target

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxSessionEnv bounds what one session may set.
const maxSessionEnv = 32

// A builtinSession is one session channel (RFC 4254, section 6).
type builtinSession struct {
	account *user.User
	channel ssh.Channel
	// mayPty is the certificate's permit-pty.
	mayPty bool

	env      []string
	term     string
	terminal *os.File // the master's side, when a terminal was asked for
	slave    *os.File
	started  bool
	// running counts the goroutine of the command.
	running sync.WaitGroup
}

type ptyRequest struct {
	Term                         string
	Columns, Rows, Width, Height uint32
	Modes                        string
}

type windowChange struct{ Columns, Rows, Width, Height uint32 }

// serve answers requests until the channel or ctx ends; the command ends then too.
func (s *builtinSession) serve(ctx context.Context, requests <-chan *ssh.Request) {
	ctx, cancel := context.WithCancel(ctx)
	for request := range requests {
		// A reply that can't be sent means that the connection, and so this loop,
		// ends.
		_ = request.Reply(s.answer(ctx, request), nil)
	}
	cancel()
	s.running.Wait()
	s.channel.Close()
	if s.terminal != nil {
		s.terminal.Close()
		s.slave.Close()
	}
}

func (s *builtinSession) answer(ctx context.Context, request *ssh.Request) bool {
	var text struct{ Value string }
	switch request.Type {
	case "env":
		var pair struct{ Name, Value string }
		if ssh.Unmarshal(request.Payload, &pair) != nil || len(s.env) >= maxSessionEnv ||
			pair.Name != "LANG" && !strings.HasPrefix(pair.Name, "LC_") || strings.ContainsAny(pair.Name+pair.Value, "=\x00\n") {
			return false
		}
		s.env = append(s.env, pair.Name+"="+pair.Value)
		return true
	case "pty-req":
		return s.openTerminal(request.Payload)
	case "window-change":
		var change windowChange
		if s.terminal == nil || ssh.Unmarshal(request.Payload, &change) != nil {
			return false
		}
		return resize(s.terminal, change) == nil
	case "shell":
		return s.start(ctx, "/bin/sh", "-l")
	case "exec":
		return ssh.Unmarshal(request.Payload, &text) == nil && s.start(ctx, "/bin/sh", "-c", text.Value)
	case "subsystem":
		server := findSftpServer()
		return ssh.Unmarshal(request.Payload, &text) == nil && text.Value == "sftp" && server != "" && s.start(ctx, server)
	}
	return false
}

func (s *builtinSession) openTerminal(payload []byte) bool {
	var pty ptyRequest
	if !s.mayPty || s.terminal != nil || s.started || ssh.Unmarshal(payload, &pty) != nil {
		return false
	}
	master, slave, err := openPty()
	if err != nil {
		return false
	}
	s.terminal, s.slave, s.term = master, slave, "dumb"
	if len(pty.Term) <= 64 && strings.Trim(strings.ToLower(pty.Term), "abcdefghijklmnopqrstuvwxyz0123456789.+-_") == "" && pty.Term != "" {
		s.term = pty.Term
	}
	return resize(master, windowChange{pty.Columns, pty.Rows, pty.Width, pty.Height}) == nil
}

// start runs a program on the channel; a session runs one.
func (s *builtinSession) start(ctx context.Context, program string, args ...string) bool {
	if s.started {
		return false
	}
	s.started = true
	// finish is what ends it with ctx, together with all its descendants: a kill
	// of the program alone would leave those without a parent to find them by.
	command := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	command.Env = append(slices.Clone(s.env), "HOME="+s.account.HomeDir, "USER="+s.account.Username, "LOGNAME="+s.account.Username,
		"SHELL=/bin/sh", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
	if info, err := os.Stat(s.account.HomeDir); err == nil && info.IsDir() {
		command.Dir = s.account.HomeDir
	}
	var closers []io.Closer
	var copies []func()
	var err error
	if s.terminal != nil {
		command.Env = append(command.Env, "TERM="+s.term)
		closers, copies = s.onTerminal(command)
	} else if closers, copies, err = s.onPipes(command); err != nil {
		return false
	}
	if err := command.Start(); err != nil {
		return false
	}
	// Ends with the command, or is ended by ctx.
	s.running.Go(func() { s.finish(ctx, command, closers, copies) })
	return true
}

// onTerminal lets command run on the terminal, as its session's leader.
func (s *builtinSession) onTerminal(command *exec.Cmd) ([]io.Closer, []func()) {
	command.Stdin, command.Stdout, command.Stderr = s.slave, s.slave, s.slave
	controlTerminal(command)
	// This copy and those below end when either side is closed, and what could
	// not be delivered then has nobody left who would hear of it.
	go func() { _, _ = io.Copy(s.terminal, s.channel) }()
	return []io.Closer{s.terminal}, []func(){func() {
		// Only the command's own copies keep the terminal's other side open now:
		// reading fails when they are closed.
		s.slave.Close()
		_, _ = io.Copy(s.channel, s.terminal)
	}}
}

func (s *builtinSession) onPipes(command *exec.Cmd) ([]io.Closer, []func(), error) {
	stdin, err1 := command.StdinPipe()
	stdout, err2 := command.StdoutPipe()
	stderr, err3 := command.StderrPipe()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, nil, err
	}
	// Ends when the channel does, or at its EOF, which the command sees too.
	go func() {
		_, _ = io.Copy(stdin, s.channel)
		stdin.Close()
	}()
	return []io.Closer{stdin, stdout, stderr}, []func(){
		func() { _, _ = io.Copy(s.channel, stdout) },
		func() { _, _ = io.Copy(s.channel.Stderr(), stderr) },
	}, nil
}

// finish passes on all output, then the exit status. When ctx ends first it
// kills the command and closes its side of the pipes, which somebody whom the
// command left behind may still hold.
func (s *builtinSession) finish(ctx context.Context, command *exec.Cmd, closers []io.Closer, copies []func()) {
	ended := context.AfterFunc(ctx, func() {
		_ = killTree(command.Process) // what it can't kill loses its pipes below
		for _, closer := range closers {
			closer.Close()
		}
	})
	defer ended()
	var output sync.WaitGroup
	for _, copying := range copies {
		output.Go(copying)
	}
	output.Wait()
	_ = command.Wait() // ProcessState says how it ended
	// A client that went away can't be told how.
	_ = s.channel.CloseWrite()
	name, message := exitMessage(command.ProcessState)
	_, _ = s.channel.SendRequest(name, false, ssh.Marshal(message))
	// The client answers with its own close, which ends serve.
	s.channel.Close()
}

type exitStatus struct{ Status uint32 }

type exitSignal struct {
	Signal     string
	CoreDumped bool
	Message    string
	Language   string
}

func findSftpServer() string {
	for _, path := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server", "/usr/libexec/sftp-server"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
