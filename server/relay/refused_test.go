package relay_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store/recording"
)

// TestS22TargetOpensNothing lets a target try to open channels towards the user.
func TestS22TargetOpensNothing(t *testing.T) {
	w := newWorld(t, withoutSshd)
	carol := w.person("carol", nil)
	refusals := make(chan error, 10)
	kinds := []string{"forwarded-tcpip", "forwarded-streamlocal@openssh.com", "x11", "auth-agent@openssh.com", "session", "evil"}
	s := newStub(t, nil, func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests) // ends with the connection
		for _, kind := range kinds {
			_, _, err := conn.OpenChannel(kind, nil)
			refusals <- err
		}
		ok, _, err := conn.SendRequest("tcpip-forward", true, nil)
		if ok || err != nil {
			t.Errorf("a global request of the target: %v, %v", ok, err)
		}
		conn.SendRequest("hostkeys-00@openssh.com", false, marshal("x"))
		refusals <- nil
		for nc := range channels {
			nc.Reject(ssh.Prohibited, "")
		}
	})
	s.behind(w)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		if _, ok := errors.AsType[*ssh.OpenChannelError](<-refusals); !ok {
			t.Errorf("the target opened %s", kind)
		}
	}
	<-refusals
	client.Close()
}

// TestNoMoreSessions holds a client to its own word (OpenSSH sends it by itself).
func TestNoMoreSessions(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := client.SendRequest("no-more-sessions@openssh.com", true, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := client.NewSession(); err == nil {
		t.Error("a session was opened after all")
	}
}

// TestForwardingIsRefusedInWords looks at what users of OpenSSH read.
func TestForwardingIsRefusedInWords(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	got := carol.ssh("", "-W", "127.0.0.1:22", "db1.pam")
	if want := "vaultpam: refused: no grant allows forwarding here (local-forward); hint: ask an administrator"; !strings.Contains(got.stderr, want) || got.code == 0 {
		t.Errorf("the user does not read %q:\n%s", want, got.stderr)
	}
	got = carol.ssh("", "-R", "0:127.0.0.1:22", "db1.pam", "true")
	if want := "remote port forwarding failed"; !strings.Contains(got.stderr, want) {
		t.Errorf("the user does not read %q:\n%s", want, got.stderr)
	}
	cmd := carol.command("ssh", "-A", "-tt", "db1.pam", "true")
	cmd.Env = append(slices.Clone(cmd.Environ()), "SSH_AUTH_SOCK=/nonexistent")
	got = run(t, cmd, "")
	if got.code != 0 {
		t.Errorf("-A made the session fail: %+v", got)
	}
}

// TestNoticesReachTerminals holds what is refused on a channel with a terminal to
// being said there, and recorded.
func TestNoticesReachTerminals(t *testing.T) {
	w := newWorld(t, withoutSshd)
	carol := w.person("carol", nil)
	s, _ := transcript(t, func(c ssh.Channel) {
		io.Copy(io.Discard, c)
		c.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
		c.Close()
	})
	s.behind(w)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	channel, requests := openSession(t, client)
	for _, r := range []request{
		{"pty-req", true, string(marshal("xterm", uint32(80), uint32(24), uint32(0), uint32(0), "\x00"))},
		{"auth-agent-req@openssh.com", false, ""},
		{"shell", true, ""},
	} {
		if ok, err := channel.SendRequest(r.Type, r.Want, []byte(r.Payload)); ok != r.Want || err != nil {
			t.Fatalf("%s: %v, %v", r.Type, ok, err)
		}
	}
	channel.CloseWrite()
	go ssh.DiscardRequests(requests) // ends with the channel
	said, _ := io.ReadAll(channel.Stderr())
	want := "\r\nvaultpam: refused: no grant allows agent forwarding here (agent-forward)\r\nhint: ask an administrator for a grant that is for it\r\n"
	if string(said) != want {
		t.Errorf("the terminal shows %q, want %q", said, want)
	}
	client.Close()
	if all, _ := streams(t, w.recorded(0)["1.cast"]); all[recording.Stderr] != want {
		t.Errorf("recorded is %q", all[recording.Stderr])
	}
}
