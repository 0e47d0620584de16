//go:build unix

package target_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
)

func startBuiltin(t testing.TB, ca ssh.Signer) *target.Builtin {
	t.Helper()
	host, err := target.StartBuiltin(t.Context(), target.BuiltinConfig{
		Dir: t.TempDir(), Target: db1, CAs: []ssh.PublicKey{ca.PublicKey()},
	})
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, host)
	return host
}

// loggedIn returns a connection to a built-in host, and the host.
func loggedIn(t testing.TB, change func(*ssh.Certificate)) (*ssh.Client, *target.Builtin) {
	t.Helper()
	ca := newSigner(t)
	host := startBuiltin(t, ca)
	client, err := connect(t, host, me(t), certify(t, ca, target.Principal(me(t), db1), change))
	if err != nil {
		t.Fatal(err)
	}
	return client, host
}

func TestBuiltinRefusesPrincipals(t *testing.T) {
	ca := newSigner(t)
	host := startBuiltin(t, ca)
	own := target.Principal(me(t), db1)
	for name, principals := range map[string][]string{
		"none": nil, "two": {own, "u:x"}, "wildcard": {"*"}, "comma": {own + ",x"},
	} {
		t.Run(name, func(t *testing.T) {
			signer := certify(t, ca, own, func(c *ssh.Certificate) { c.ValidPrincipals = principals })
			if _, err := connect(t, host, me(t), signer); err == nil {
				t.Error("logged in")
			}
		})
	}
	if _, err := connect(t, host, "somebody", certify(t, ca, "somebody@db1", nil)); err == nil {
		t.Error("logged in as another account")
	}
}

func TestBuiltinRunsCommands(t *testing.T) {
	client, _ := loggedIn(t, nil)
	big := strings.Repeat("0123456789abcdef", 1<<16)
	for _, c := range []struct {
		name, command, stdin, stdout, stderr string
		status                               int
		signal                               string
	}{
		{name: "output", command: "echo out; echo err >&2", stdout: "out\n", stderr: "err\n"},
		{name: "status", command: "exit 7", status: 7},
		{name: "signal", command: "kill -TERM $$", signal: "TERM"},
		{name: "input to its end", command: "cat", stdin: big, stdout: big},
		{name: "environment", command: `echo "$LANG,$LD_PRELOAD,$USER"`, stdout: "C.UTF-8,," + string(me(t)) + "\n"},
		{name: "somebody holds the output", command: "sleep 0 & echo done", stdout: "done\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			session, err := client.NewSession()
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if err := session.Setenv("LANG", "C.UTF-8"); err != nil {
				t.Errorf("LANG: %v", err)
			}
			if session.Setenv("LD_PRELOAD", "x.so") == nil {
				t.Error("LD_PRELOAD was accepted")
			}
			var stdout, stderr bytes.Buffer
			session.Stdin, session.Stdout, session.Stderr = strings.NewReader(c.stdin), &stdout, &stderr
			err = session.Run(c.command)
			var exit *ssh.ExitError
			if errors.As(err, &exit) {
				if exit.ExitStatus() != c.status && c.signal == "" || exit.Signal() != c.signal {
					t.Errorf("ended with %v, want %d %s", exit, c.status, c.signal)
				}
			} else if err != nil || c.status != 0 || c.signal != "" {
				t.Errorf("ended with %v, want %d %s", err, c.status, c.signal)
			}
			if stdout.String() != c.stdout || stderr.String() != c.stderr {
				t.Errorf("%d bytes of output, want %d; stderr %q", stdout.Len(), len(c.stdout), stderr.String())
			}
		})
	}
}

func TestBuiltinTerminal(t *testing.T) {
	client, _ := loggedIn(t, nil)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm-256color", 33, 101, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.Start(`trap 'echo changed; stty size; exit 3' WINCH; echo "$TERM"; stty size; tty >/dev/null && echo tty; while :; do read x; done`); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || strings.TrimRight(lines.Text(), "\r") != want {
			t.Fatalf("line %q (%v), want %q", lines.Text(), lines.Err(), want)
		}
	}
	expect("xterm-256color")
	expect("33 101")
	expect("tty")
	if err := session.WindowChange(44, 120); err != nil {
		t.Fatal(err)
	}
	// A shell may run a trap only once its read returns.
	if _, err := io.WriteString(stdin, "\n"); err != nil {
		t.Fatal(err)
	}
	// Its echo lands wherever the shell's own lines leave room.
	for _, want := range []string{"changed", "44 120"} {
		for lines.Scan() && strings.TrimSpace(lines.Text()) == "" {
		}
		if got := strings.TrimSpace(lines.Text()); got != want {
			t.Fatalf("line %q, want %q", got, want)
		}
	}
	var exit *ssh.ExitError
	if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 3 {
		t.Errorf("ended with %v, want status 3", err)
	}
}

func TestBuiltinShell(t *testing.T) {
	client, _ := loggedIn(t, nil)
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	session.Stdin, session.Stdout = strings.NewReader("echo from the shell\nexit 5\n"), &out
	if err := session.Shell(); err != nil {
		t.Fatal(err)
	}
	var exit *ssh.ExitError
	if err := session.Wait(); !errors.As(err, &exit) || exit.ExitStatus() != 5 || !strings.Contains(out.String(), "from the shell\n") {
		t.Errorf("ended with %v and %q", err, out.String())
	}
}

func TestBuiltinRefusesWhatItHasNot(t *testing.T) {
	client, _ := loggedIn(t, func(c *ssh.Certificate) { c.Extensions = nil })
	for _, kind := range []string{"direct-tcpip", "direct-streamlocal@openssh.com", "x11"} {
		if channel, _, err := client.OpenChannel(kind, nil); err == nil {
			channel.Close()
			t.Errorf("channel %s was opened", kind)
		}
	}
	if listener, err := client.Listen("tcp", "127.0.0.1:0"); err == nil {
		listener.Close()
		t.Error("a port was forwarded")
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if session.RequestPty("xterm", 24, 80, nil) == nil {
		t.Error("a terminal without permit-pty")
	}
	if session.RequestSubsystem("netconf") == nil {
		t.Error("subsystem netconf was started")
	}
	for _, request := range []string{"auth-agent-req@openssh.com", "x11-req", "nonsense", "pty-req", "exec", "env"} {
		if ok, err := session.SendRequest(request, true, []byte{0, 0}); ok || err != nil {
			t.Errorf("%s: %v, %v", request, ok, err)
		}
	}
	// The session still works, for one command.
	if err := session.Start("cat"); err != nil {
		t.Fatal(err)
	}
	if ok, _ := session.SendRequest("exec", true, ssh.Marshal(struct{ C string }{"id"})); ok {
		t.Error("a second command in one session")
	}
}

// TestBuiltinEndsCommands: a connection's end and Stop both end what runs, on a
// terminal and without one.
func TestBuiltinEndsCommands(t *testing.T) {
	for _, pty := range []string{"terminal", "pipes"} {
		for _, end := range []string{"disconnect", "stop"} {
			t.Run(pty+"/"+end, func(t *testing.T) {
				client, host := loggedIn(t, nil)
				session, err := client.NewSession()
				if err != nil {
					t.Fatal(err)
				}
				if pty == "terminal" {
					if err := session.RequestPty("xterm", 24, 80, nil); err != nil {
						t.Fatal(err)
					}
				}
				fifo := filepath.Join(t.TempDir(), "fifo")
				if err := syscall.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := session.Start(fmt.Sprintf("trap '' HUP; exec 3>%s; while :; do sleep 1000; done", fifo)); err != nil {
					t.Fatal(err)
				}
				held, err := os.Open(fifo) // waits for the command to open it
				if err != nil {
					t.Fatal(err)
				}
				defer held.Close()
				if end == "stop" {
					err = host.Stop()
				} else {
					err = client.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := drained(held); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestBuiltinRefusesItsConfiguration(t *testing.T) {
	ca := newSigner(t).PublicKey()
	for name, config := range map[string]target.BuiltinConfig{
		"zero value":   {},
		"no directory": {Target: db1, CAs: []ssh.PublicKey{ca}},
		"no CA":        {Target: db1, Dir: t.TempDir()},
		"bad target":   {Target: "DB 1", Dir: t.TempDir(), CAs: []ssh.PublicKey{ca}},
	} {
		if host, err := target.StartBuiltin(t.Context(), config); err == nil {
			host.Stop()
			t.Errorf("%s: started", name)
		}
	}
}
