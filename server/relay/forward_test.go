package relay_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// echo answers what comes with the same, in upper case, and ends as its client does.
func echo(t *testing.T, network, address string) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with its client
				defer conn.Close()
				all := bufio.NewReader(conn)
				for {
					line, err := all.ReadString('\n')
					io.WriteString(conn, strings.ToUpper(line))
					if err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// say sends a line and returns what comes back.
func say(conn io.ReadWriter, line string) string {
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return err.Error()
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(answer)
}

func freePort(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(closedPort(t))
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// background runs ssh with a command that says "up" and goes on until its input
// ends; stop ends it and returns what it said on standard error.
func (p *person) background(args ...string) (stop func() string) {
	t := p.w.t
	t.Helper()
	cmd := p.command("ssh", append(args, "db1.pam", "echo up; cat")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		t.Fatalf("%q, %v; ssh said %s", line, err, stderr.String())
	}
	return func() string {
		in.Close()
		_ = cmd.Wait() // its exit status is not looked at
		return stderr.String()
	}
}

// socks asks a dynamic forward for an address (RFC 1928).
func socks(t *testing.T, proxy, address string) (net.Conn, error) {
	t.Helper()
	conn, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(address)
	var n uint16
	fmt.Sscan(port, &n)
	conn.Write([]byte{5, 1, 0})
	io.ReadFull(conn, make([]byte, 2))
	conn.Write(append(append([]byte{5, 1, 0, 1}, net.ParseIP(host).To4()...), byte(n>>8), byte(n)))
	answer := make([]byte, 10)
	if _, err := io.ReadFull(conn, answer); err != nil || answer[1] != 0 {
		conn.Close()
		return nil, fmt.Errorf("refused: %v, %v", answer[1], err)
	}
	return conn, nil
}

// TestForwardsOfOpenSSH uses -L, -D, -R and -W of the system's ssh before a real
// sshd, under grants that name one destination.
func TestForwardsOfOpenSSH(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	served, other := echo(t, "tcp", "127.0.0.1:0"), echo(t, "tcp", "127.0.0.1:0")
	socket := echo(t, "unix", filepath.Join(t.TempDir(), "s"))
	back := freePort(t)
	w.gate.allow(t, "exec; local-forward="+served+"; local-forward=unix:"+socket+"; remote-forward=localhost:"+back)
	ports := []string{freePort(t), freePort(t), freePort(t), freePort(t)}
	stop := carol.background("-L", ports[0]+":"+served, "-L", ports[1]+":"+other, "-L", ports[2]+":"+socket,
		"-D", ports[3], "-R", "localhost:"+back+":"+other)
	dial := func(port string) string {
		conn, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err != nil {
			return err.Error()
		}
		defer conn.Close()
		return say(conn, "through "+port)
	}
	for name, port := range map[string]string{"-L": ports[0], "-L of a socket": ports[2], "-R": back} {
		if got := dial(port); got != "THROUGH "+port {
			t.Errorf("%s: %s", name, got)
		}
	}
	if got := dial(ports[1]); !strings.Contains(got, "EOF") && !strings.Contains(got, "reset") {
		t.Errorf("-L to what is not allowed: %s", got)
	}
	if conn, err := socks(t, "127.0.0.1:"+ports[3], served); err != nil {
		t.Errorf("-D: %v", err)
	} else {
		if got := say(conn, "dynamic"); got != "DYNAMIC" {
			t.Errorf("-D: %s", got)
		}
		conn.Close()
	}
	if conn, err := socks(t, "127.0.0.1:"+ports[3], other); err == nil {
		conn.Close()
		t.Error("-D to what is not allowed")
	}
	stderr := stop()
	if want := "vaultpam: refused: 127.0.0.1 port " + strings.TrimPrefix(other, "127.0.0.1:") + " is none of what local-forward is allowed for here; hint: ask"; !strings.Contains(stderr, want) {
		t.Errorf("the user does not read %q:\n%s", want, stderr)
	}
	log := w.recorded(0)["session.jsonl"]
	n := len("through 00000\n")
	for _, want := range []string{
		`"forward.opened","detail":"\d+ local-forward ` + regexp.QuoteMeta(served) + ` opaque"`,
		fmt.Sprintf(`"forward.closed","detail":"\d+ local-forward %s in=%d out=%[2]d [0-9.]+m?s"`, regexp.QuoteMeta(served), n-5+len(ports[0])),
		`"forward.listening","detail":"remote-forward localhost:` + back + `"`,
		`"forward.opened","detail":"\d+ remote-forward localhost:` + back + ` opaque"`,
		`"forward.closed","detail":"\d+ remote-forward localhost:` + back + ` in=\d\d out=\d\d `,
		`"forward.refused","detail":"local-forward ` + regexp.QuoteMeta(other) + `: refused: `,
	} {
		if !regexp.MustCompile(want).MatchString(log) {
			t.Errorf("the recording does not hold %q:\n%s", want, log)
		}
	}
	// -W, and what may not be listened on.
	cmd := carol.command("ssh", "-W", served, "db1.pam")
	if got := run(t, cmd, "direct\n"); got.stdout != "DIRECT\n" {
		t.Errorf("-W: %+v", got)
	}
	got := carol.ssh("", "-R", "0:"+other, "db1.pam", "echo ran")
	if want := "is none of what remote-forward is allowed for here"; got.stdout != "ran\n" || strings.Count(got.stderr, want) != 1 || !strings.Contains(got.stderr, "remote port forwarding failed") {
		t.Errorf("-R of what is not allowed: %+v", got)
	}
	ended := w.gate.awaitEnded(t, 3)
	if ended[1].In < 7 || ended[1].Out < 7 {
		t.Errorf("the forward of 7 bytes counted as %d in, %d out", ended[1].In, ended[1].Out)
	}
}

// TestRemoteForwardOfAnyPort: the host chooses the port, and may say so.
func TestRemoteForwardOfAnyPort(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	w.gate.allow(t, "exec; remote-forward=localhost:*; remote-forward=unix:*")
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	for name, listen := range map[string]func() (net.Listener, error){
		"tcp":    func() (net.Listener, error) { return client.Listen("tcp", "127.0.0.1:0") },
		"socket": func() (net.Listener, error) { return client.ListenUnix(socket) },
	} {
		w.gate.allow(t, "exec; remote-forward=127.0.0.1:*; remote-forward=unix:*")
		l, err := listen()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		go func() { // ends with the connection
			conn, err := l.Accept()
			if err == nil {
				io.Copy(conn, conn)
				conn.Close()
			}
		}()
		conn, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if got := say(conn, "back"); got != "back" {
			t.Errorf("%s: %s", name, got)
		}
		conn.Close()
		if err := l.Close(); err != nil {
			t.Errorf("%s: cancelling: %v", name, err)
		}
	}
	if ok, _, _ := client.SendRequest("cancel-tcpip-forward", true, marshal("127.0.0.1", uint32(22))); ok {
		t.Error("a cancel of what nobody asked for passed")
	}
}

// TestS22UnaskedBackwardChannels lets a target open what nobody asked for, where
// every forward is granted.
func TestS22UnaskedBackwardChannels(t *testing.T) {
	w := newWorld(t, withoutSshd)
	carol := w.person("carol", nil)
	w.gate.allow(t, everything)
	refusals := make(chan error, 10)
	kinds := map[string][]byte{
		"forwarded-tcpip":                   marshal("127.0.0.1", uint32(22), "127.0.0.1", uint32(1)),
		"forwarded-streamlocal@openssh.com": marshal("/tmp/x", ""),
		"auth-agent@openssh.com":            nil, "x11": marshal("127.0.0.1", uint32(1)), "direct-tcpip": marshal("127.0.0.1", uint32(22), "127.0.0.1", uint32(1)),
	}
	newStub(t, nil, func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests) // ends with the connection
		for kind, payload := range kinds {
			_, _, err := conn.OpenChannel(kind, payload)
			refusals <- err
		}
		for nc := range channels {
			nc.Reject(ssh.Prohibited, "")
		}
	}).behind(w)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range kinds {
		if refused, ok := errors.AsType[*ssh.OpenChannelError](<-refusals); !ok || refused.Reason != ssh.Prohibited {
			t.Errorf("the target opened a channel, or %v", refused)
		}
	}
}

// TestS36AgentForwarding: without a grant the target reaches no agent; with one it
// does, through the system's ssh and ssh-add on a real sshd.
func TestS36AgentForwarding(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: &carol.private, Comment: "carols-key"}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keys, conn) // ends with its client
		}
	}()
	narrow := w.person("dave", func(c *ssh.Certificate) { delete(c.Extensions, "permit-agent-forwarding") })
	for i, c := range []struct {
		who   *person
		grant string
		want  bool
	}{{carol, "exec", false}, {carol, "exec; agent-forward", true}, {narrow, "exec; agent-forward", false}} {
		w.gate.allow(t, c.grant)
		got := c.who.ssh("", "-A", "-o", "IdentityAgent="+socket, "db1.pam", "ssh-add -l")
		if reached := strings.Contains(got.stdout, "carols-key"); reached != c.want {
			t.Errorf("row %d, under %s: %+v", i, c.grant, got)
		}
		log := w.recorded(i)["session.jsonl"]
		want := `"request.refused","detail":"auth-agent-req@openssh.com"`
		if c.want {
			want = `"forward.opened","detail":"1 agent-forward agent opaque"`
		}
		if !strings.Contains(log, want) {
			t.Errorf("row %d: the recording does not hold %s:\n%s", i, want, log)
		}
	}
}

// TestS37ForwardEndsWithItsGrant takes forwarding away from under a running ssh: what
// passes through is closed within a second, what is listened on ceases, and the
// program beside them goes on.
func TestS37ForwardEndsWithItsGrant(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	served, port, back := echo(t, "tcp", "127.0.0.1:0"), freePort(t), freePort(t)
	w.gate.allow(t, "exec; local-forward="+served+"; remote-forward=localhost:"+back)
	stop := carol.background("-L", port+":"+served, "-R", "localhost:"+back+":"+served)
	var conns []net.Conn
	for _, p := range []string{port, back} {
		conn, err := net.Dial("tcp", "127.0.0.1:"+p)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if got := say(conn, "before"); got != "BEFORE" {
			t.Fatalf("%s: %s", p, got)
		}
		conns = append(conns, conn)
	}
	begun := time.Now()
	w.gate.allow(t, "exec")
	for _, conn := range conns {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("something still came")
		}
	}
	took := time.Since(begun)
	t.Logf("both forwards were closed %.1f ms after they were taken away", float64(took.Microseconds())/1000)
	if took > time.Second {
		t.Errorf("it took %v", took)
	}
	conn, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err == nil {
		if got := say(conn, "after"); got == "AFTER" {
			t.Error("a new connection passed")
		}
		conn.Close()
	}
	stderr := stop()
	for _, want := range []string{"vaultpam: it may not go on and was closed: no grant allows forwarding here (local-forward)", "(remote-forward)"} {
		if strings.Count(stderr, want) != 1 {
			t.Errorf("the user does not read once %q:\n%s", want, stderr)
		}
	}
	if log := w.recorded(0)["session.jsonl"]; strings.Count(log, `"purpose.ended"`) != 3 || strings.Count(log, `"forward.closed"`) != 2 {
		t.Errorf("the recording:\n%s", log)
	}
}

// TestPresetOfVSCode: what Remote-SSH does, under its preset.
func TestPresetOfVSCode(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	w.gate.allow(t, "exec=bash; exec=sh; no-tty; local-forward=127.0.0.1:*; local-forward=[::1]:*; local-forward=localhost:*")
	served, port := echo(t, "tcp", "127.0.0.1:0"), freePort(t)
	cmd := carol.command("ssh", "-T", "-D", port, "db1.pam", "sh")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, "echo server up\n")
	var seen bytes.Buffer
	readUntil(t, out, &seen, "server up")
	conn, err := socks(t, "127.0.0.1:"+port, served)
	if err != nil {
		t.Fatal(err)
	}
	if got := say(conn, "editor"); got != "EDITOR" {
		t.Error(got)
	}
	conn.Close()
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if got := carol.ssh("", "-tt", "db1.pam"); got.code != 255 {
		t.Errorf("a shell on a terminal: %+v", got)
	}
}
