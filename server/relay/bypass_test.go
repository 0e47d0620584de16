package relay_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store/recording"
)

func marshal(fields ...any) []byte {
	var b []byte
	for _, f := range fields {
		switch f := f.(type) {
		case string:
			b = append(b, ssh.Marshal(struct{ S string }{f})...)
		case uint32:
			b = append(b, ssh.Marshal(struct{ N uint32 }{f})...)
		case bool:
			b = append(b, ssh.Marshal(struct{ B bool }{f})...)
		}
	}
	return b
}

// A bypass is one row of the list of ways past a recorder. It is done on a
// connection to a target that would allow everything, and which answers every
// program with "the target's answer".
type bypass struct {
	name string
	try  func(t *testing.T, client *ssh.Client)
	// What the recording must hold. Without it the target must have seen nothing.
	recorded []string
}

const answer = "the target's answer"

// TestS22NothingPassesUnrecorded walks the list of ways past a recorder: each
// is recorded or refused.
func TestS22NothingPassesUnrecorded(t *testing.T) {
	w := newWorld(t, withoutSshd)
	carol := w.person("carol", nil)
	s, seen := transcript(t, func(c ssh.Channel) {
		io.WriteString(c, answer)
		io.WriteString(c.Stderr(), answer)
		c.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
		c.Close()
	})
	s.behind(w)
	for i, b := range bypasses() {
		t.Run(b.name, func(t *testing.T) {
			before := len(seen())
			client, _, err := carol.dial(carol.certified())
			if err != nil {
				t.Fatal(err)
			}
			b.try(t, client)
			client.Close()
			text := ""
			for name, file := range w.recorded(i) {
				text += file
				if strings.HasSuffix(name, ".cast") {
					all, _ := streams(t, file)
					text += all[recording.Output] + all[recording.Stderr] + all[recording.Input]
				}
			}
			for _, want := range b.recorded {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not recorded:\n%s", want, text)
				}
			}
			if got := seen()[before:]; len(b.recorded) == 0 && len(got) > 0 {
				t.Errorf("refused, and yet the target saw %+v", got)
			}
		})
	}
}

func bypasses() []bypass {
	rows := []bypass{
		{"exec without a terminal", program("exec", marshal("a command")), []string{"a command", answer, `"label":"metadata"`}},
		{"shell without a terminal", program("shell", nil), []string{answer, `"label":"metadata"`}},
		{"subsystem sftp", program("subsystem", marshal("sftp")), []string{`"command":"sftp"`, `"label":"opaque"`}},
		{"scp of old", program("exec", marshal("scp -t /etc")), []string{"scp -t /etc", answer}},
		{"subsystem of any name", refusedProgram("subsystem", marshal("netconf"), "is none that a grant can be for"), nil},
		{"second program on a channel", secondProgram, []string{`"command":"one"`}},
		{"second channel", secondChannel, []string{`"command":"first"`, `"command":"second"`}},
		{"program without asking for an answer", quietProgram, []string{"quiet command", answer}},
		{"environment", environment("LC_ALL", "C"), []string{"LC_ALL=C"}},
		{"environment for the loader", environment("LD_PRELOAD", "/tmp/x.so"), nil},
		{"environment for bash", environment("BASH_ENV", "/tmp/x"), nil},
		{"environment with an equals sign", environment("A=LD_PRELOAD", "x"), nil},
		{"environment with a NUL", environment("LC_ALL", "x\x00LD_PRELOAD=x"), nil},
		{"terminal of a hostile type", pty("xterm\x1b]0;x\a", 80, 24), nil},
		{"terminal of a hostile path", pty("../../etc", 80, 24), nil},
		{"terminal larger than a terminal", pty("xterm", 1<<31, 24), nil},
		{"command with a NUL", program("exec", marshal("true\x00rm")), nil},
		{"agent forwarding", channelRequest("auth-agent-req@openssh.com", nil), nil},
		{"X11", channelRequest("x11-req", marshal(false, "MIT-MAGIC-COOKIE-1", "00", uint32(0))), nil},
		{"request of a name that nobody knows", channelRequest("evil@example.com", nil), nil},
		{"break before a program", channelRequest("break", marshal(uint32(1))), nil},
		{"new size without a terminal", channelRequest("window-change", marshal(uint32(1), uint32(1), uint32(1), uint32(1))), nil},
		{"signal before a program", channelRequest("signal", marshal("KILL")), nil},
	}
	for kind, payload := range map[string][]byte{
		"direct-tcpip":                      marshal("127.0.0.1", uint32(22), "127.0.0.1", uint32(1)),
		"direct-streamlocal@openssh.com":    marshal("/var/run/docker.sock", "", uint32(0)),
		"forwarded-tcpip":                   marshal("127.0.0.1", uint32(22), "127.0.0.1", uint32(1)),
		"forwarded-streamlocal@openssh.com": marshal("/tmp/x", ""),
		"tun@openssh.com":                   marshal(uint32(1), uint32(0)),
		"x11":                               marshal("127.0.0.1", uint32(1)),
		"auth-agent@openssh.com":            nil,
		"evil@example.com":                  nil,
		"":                                  nil,
	} {
		rows = append(rows, bypass{"channel " + kind, func(t *testing.T, client *ssh.Client) {
			_, _, err := client.OpenChannel(kind, payload)
			refused, ok := errors.AsType[*ssh.OpenChannelError](err)
			if !ok || refused.Reason != ssh.Prohibited || !strings.HasPrefix(refused.Message, "vaultpam: ") {
				t.Errorf("got %v", err)
			}
		}, nil})
	}
	for kind, payload := range map[string][]byte{
		"tcpip-forward":                   marshal("", uint32(0)),
		"cancel-tcpip-forward":            marshal("", uint32(0)),
		"streamlocal-forward@openssh.com": marshal("/tmp/x"),
		"hostkeys-prove-00@openssh.com":   nil,
		"evil@example.com":                nil,
	} {
		rows = append(rows, bypass{"global " + kind, func(t *testing.T, client *ssh.Client) {
			if ok, _, err := client.SendRequest(kind, true, payload); ok || err != nil {
				t.Errorf("got %v, %v", ok, err)
			}
		}, nil})
	}
	return rows
}

func openSession(t *testing.T, client *ssh.Client) (ssh.Channel, <-chan *ssh.Request) {
	t.Helper()
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	return channel, requests
}

// finish reads a channel to its end.
func finish(channel ssh.Channel, requests <-chan *ssh.Request) string {
	go io.Copy(io.Discard, channel.Stderr()) // ends with the channel
	out, _ := io.ReadAll(channel)
	ssh.DiscardRequests(requests)
	return string(out)
}

// program runs a program and sees its answer, or that it is refused.
func program(kind string, payload []byte) func(*testing.T, *ssh.Client) {
	return func(t *testing.T, client *ssh.Client) {
		channel, requests := openSession(t, client)
		ok, err := channel.SendRequest(kind, true, payload)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			channel.Close()
			return
		}
		if got := finish(channel, requests); got != answer {
			t.Errorf("the client sees %q", got)
		}
	}
}

// refusedProgram runs a program that says why it does not run.
func refusedProgram(kind string, payload []byte, why string) func(*testing.T, *ssh.Client) {
	return func(t *testing.T, client *ssh.Client) {
		t.Helper()
		channel, requests := openSession(t, client)
		if ok, err := channel.SendRequest(kind, true, payload); !ok || err != nil {
			t.Fatal(ok, err)
		}
		status := make(chan uint32, 1)
		go func() { // ends with the channel
			defer close(status)
			for r := range requests {
				var exit struct{ Status uint32 }
				if r.Type == "exit-status" && ssh.Unmarshal(r.Payload, &exit) == nil {
					status <- exit.Status
				}
			}
		}()
		said, _ := io.ReadAll(channel.Stderr())
		out, _ := io.ReadAll(channel)
		if code := <-status; code != 255 || len(out) > 0 || !strings.HasPrefix(strings.TrimSpace(string(said)), "vaultpam: refused: ") || !strings.Contains(string(said), why) {
			t.Errorf("exit %d, output %q, said %q", code, out, said)
		}
	}
}

func secondProgram(t *testing.T, client *ssh.Client) {
	channel, requests := openSession(t, client)
	for i, command := range []string{"one", "two"} {
		ok, err := channel.SendRequest("exec", true, marshal(command))
		if ok != (i == 0) && err == nil {
			t.Errorf("%s: %v", command, ok)
		}
	}
	finish(channel, requests)
}

func secondChannel(t *testing.T, client *ssh.Client) {
	first, firstRequests := openSession(t, client)
	second, secondRequests := openSession(t, client)
	for command, channel := range map[string]ssh.Channel{"first": first, "second": second} {
		if ok, err := channel.SendRequest("exec", true, marshal(command)); !ok || err != nil {
			t.Errorf("%s: %v, %v", command, ok, err)
		}
	}
	finish(first, firstRequests)
	finish(second, secondRequests)
}

func quietProgram(t *testing.T, client *ssh.Client) {
	channel, requests := openSession(t, client)
	if _, err := channel.SendRequest("exec", false, marshal("quiet command")); err != nil {
		t.Fatal(err)
	}
	if got := finish(channel, requests); got != answer {
		t.Errorf("the client sees %q", got)
	}
}

func environment(name, value string) func(*testing.T, *ssh.Client) {
	return channelRequest("env", marshal(name, value))
}

func pty(term string, cols, rows uint32) func(*testing.T, *ssh.Client) {
	return channelRequest("pty-req", marshal(term, cols, rows, uint32(0), uint32(0), "\x00"))
}

// channelRequest sends one request on a channel. Whether it is right that it
// succeeds is told by what the target saw.
func channelRequest(kind string, payload []byte) func(*testing.T, *ssh.Client) {
	return func(t *testing.T, client *ssh.Client) {
		channel, requests := openSession(t, client)
		if _, err := channel.SendRequest(kind, true, payload); err != nil {
			t.Fatal(err)
		}
		channel.Close()
		finish(channel, requests)
	}
}
