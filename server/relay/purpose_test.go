package relay_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store/recording"
)

const everything = "shell; exec; no-tty; sftp=read-write; local-forward=*:*; local-forward=unix:*; remote-forward=*:*; remote-forward=unix:*; agent-forward"

// tries is what can be done over a connection, and the purpose that each takes. Each
// says "" when it succeeded.
func tries() map[string]struct {
	purpose string
	do      func(*testing.T, *ssh.Client) string
} {
	type try = struct {
		purpose string
		do      func(*testing.T, *ssh.Client) string
	}
	request := func(kind string, payload []byte, terminal bool) func(*testing.T, *ssh.Client) string {
		return func(t *testing.T, client *ssh.Client) string {
			channel, requests := openSession(t, client)
			go ssh.DiscardRequests(requests) // ends with the channel
			defer channel.Close()
			if terminal {
				if ok, _ := channel.SendRequest("pty-req", true, marshal("xterm", uint32(80), uint32(24), uint32(0), uint32(0), "\x00")); !ok {
					return "no terminal"
				}
			}
			ok, err := channel.SendRequest(kind, true, payload)
			if !ok || err != nil {
				return "not answered"
			}
			if strings.HasPrefix(kind, "auth-agent") {
				return ""
			}
			said, _ := io.ReadAll(channel.Stderr())
			return string(said)
		}
	}
	open := func(kind string, payload []byte) func(*testing.T, *ssh.Client) string {
		return func(_ *testing.T, client *ssh.Client) string {
			channel, requests, err := client.OpenChannel(kind, payload)
			if err != nil {
				return err.Error()
			}
			go ssh.DiscardRequests(requests) // ends with the channel
			channel.Close()
			return ""
		}
	}
	global := func(kind string, payload []byte) func(*testing.T, *ssh.Client) string {
		return func(_ *testing.T, client *ssh.Client) string {
			if ok, _, err := client.SendRequest(kind, true, payload); !ok || err != nil {
				return "not answered"
			}
			return ""
		}
	}
	return map[string]try{
		"shell":              {"shell", request("shell", nil, true)},
		"shell, no terminal": {"no-tty", request("shell", nil, false)},
		"exec":               {"exec", request("exec", marshal("true"), false)},
		"exec, terminal":     {"exec", request("exec", marshal("true"), true)},
		"scp of old":         {"exec", request("exec", marshal("scp -t /tmp"), false)},
		"sftp":               {"sftp=read-only", request("subsystem", marshal("sftp"), false)},
		"another subsystem":  {"nothing", request("subsystem", marshal("netconf"), false)},
		"agent":              {"agent-forward", request("auth-agent-req@openssh.com", nil, false)},
		"X11":                {"nothing", request("x11-req", marshal(false, "MIT-MAGIC-COOKIE-1", "00", uint32(0)), false)},
		"direct-tcpip":       {"local-forward=10.0.0.5:5432", open("direct-tcpip", marshal("10.0.0.5", uint32(5432), "127.0.0.1", uint32(1)))},
		"direct-streamlocal": {"local-forward=unix:/run/a", open("direct-streamlocal@openssh.com", marshal("/run/a", "", uint32(0)))},
		"another address":    {"local-forward=10.0.0.6:5432", open("direct-tcpip", marshal("10.0.0.6", uint32(5432), "127.0.0.1", uint32(1)))},
		"tun":                {"nothing", open("tun@openssh.com", marshal(uint32(1), uint32(0)))},
		"listen":             {"remote-forward=localhost:8080", global("tcpip-forward", marshal("localhost", uint32(8080)))},
		"listen everywhere":  {"remote-forward=*:8080", global("tcpip-forward", marshal("", uint32(8080)))},
		"listen on a socket": {"remote-forward=unix:/run/b", global("streamlocal-forward@openssh.com", marshal("/run/b"))},
	}
}

// permissive is a target that would allow everything.
func permissive(t *testing.T, w *world) {
	t.Helper()
	newStub(t, nil, func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go func() { // ends with the connection
			for r := range requests {
				r.Reply(true, nil)
			}
		}()
		for nc := range channels {
			channel, requests, err := nc.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the channel
				for r := range requests {
					r.Reply(true, nil)
					switch r.Type {
					case "shell", "exec", "subsystem":
						channel.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
						channel.Close()
					}
				}
				channel.Close()
			}()
		}
	}).behind(w)
}

// TestS23EveryProtocolWantsItsGrant holds each thing that can be done against each
// grant: it passes under its own and under everything, and under no other. A
// grant that covers more (everything that listens) covers what is in it.
func TestS23EveryProtocolWantsItsGrant(t *testing.T) {
	w := newWorld(t, withoutSshd)
	permissive(t, w)
	carol := w.person("carol", nil)
	all := tries()
	grants := []string{everything}
	for _, try := range all {
		if try.purpose != "nothing" {
			grants = append(grants, try.purpose)
		}
	}
	covers := func(grant, purpose string) bool {
		return purpose != "nothing" && (grant == everything || grant == purpose || grant == "remote-forward=*:8080" && purpose == "remote-forward=localhost:8080")
	}
	rows := 0
	for _, grant := range grants {
		w.gate.allow(t, grant)
		for name, try := range all {
			client, _, err := carol.dial(carol.certified())
			if err != nil {
				t.Fatal(err)
			}
			said := try.do(t, client)
			client.Close()
			rows++
			if passed := said == ""; passed != covers(grant, try.purpose) {
				t.Errorf("%s under %s: %q", name, grant, said)
			}
		}
	}
	w.gate.setFail("Purposes", errors.New("nobody knows"))
	w.gate.allow(t, everything)
	for name, try := range all {
		client, _, err := carol.dial(carol.certified())
		if err != nil {
			t.Fatal(err)
		}
		if said := try.do(t, client); said == "" {
			t.Errorf("%s passed where the gate could not answer", name)
		}
		client.Close()
		rows++
	}
	t.Logf("%d rows", rows)
}

// TestExecWithinItsPatterns uses the system's ssh and a real sshd.
func TestExecWithinItsPatterns(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	w.gate.allow(t, "exec=echo *; exec=id -u")
	canary := t.TempDir() + "/canary"
	for command, why := range map[string]string{
		"echo hello":                      "",
		"id -u":                           "",
		"id":                              "is none of those that are allowed here",
		"echo hello; touch " + canary:     "plain words",
		"echo $(touch " + canary + ")":    "plain words",
		"echo `touch " + canary + "`":     "plain words",
		"echo a > " + canary:              "plain words",
		"echo a | tee " + canary:          "plain words",
		"echo a && touch " + canary:       "plain words",
		"echo a\ntouch " + canary:         "plain words",
		"A=1 echo hello":                  "vaultpam: refused: ",
		"/bin/echo hello":                 "is none of those that are allowed here",
		"sh -c 'touch " + canary + "'":    "plain words",
		"echo ${HOME}":                    "plain words",
		"echo \"hello\"":                  "plain words",
		"echo ~root":                      "plain words",
		"echo *":                          "plain words",
		"echo hello & touch " + canary:    "plain words",
		"echo\u00a0hello":                 "vaultpam: refused: ",
		"busybox touch " + canary:         "is none of those that are allowed here",
		"echo hello #":                    "plain words",
		"echo hello\\\n; touch " + canary: "plain words",
	} {
		got := carol.ssh("", "db1.pam", command)
		if (why == "") != (got.code == 0) || why != "" && (got.code != 255 || strings.Count(got.stderr, "vaultpam: refused: ") != 1 || !strings.Contains(got.stderr, why) || got.stdout != "") {
			t.Errorf("%q: %+v", command, got)
		}
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a command that was refused ran")
	}
	got := carol.ssh("", "-tt", "db1.pam")
	if want := "vaultpam: refused: no grant allows a shell on a terminal here (shell)"; got.code != 255 || !strings.Contains(got.stderr+got.stdout, want) {
		t.Errorf("the user does not read %q: %+v", want, got)
	}
}

// TestS37PurposesShrink takes purposes away while programs run: those that are not
// allowed any more are told and closed within a second, the others go on.
func TestS37PurposesShrink(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	w.gate.allow(t, "shell; exec; no-tty")
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	start := func(shell bool) (*ssh.Session, io.Writer, io.Reader, io.Reader) {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		in, _ := session.StdinPipe()
		out, _ := session.StdoutPipe()
		said, _ := session.StderrPipe()
		if shell {
			err = session.Shell()
		} else {
			err = session.Start("cat")
		}
		if err != nil {
			t.Fatal(err)
		}
		return session, in, out, said
	}
	shell, shellIn, shellOut, shellSaid := start(true)
	_, catIn, catOut, _ := start(false)
	var out bytes.Buffer
	io.WriteString(shellIn, "echo up\n")
	readUntil(t, shellOut, &out, "up")
	begun := time.Now()
	w.gate.allow(t, "exec")
	said, _ := io.ReadAll(shellSaid)
	took := time.Since(begun)
	t.Logf("told and closed %.1f ms after it was taken away", float64(took.Microseconds())/1000)
	if want := "vaultpam: it may not go on and was closed: no grant allows a shell without a terminal here (no-tty)"; !strings.Contains(string(said), want) || took > time.Second {
		t.Errorf("after %v it said %q", took, said)
	}
	if exit, ok := errors.AsType[*ssh.ExitError](shell.Wait()); !ok || exit.ExitStatus() != 255 {
		t.Error("the shell did not end with 255")
	}
	out.Reset()
	io.WriteString(catIn, "still here\n")
	readUntil(t, catOut, &out, "still here")
	client.Close()
	texts := w.recorded(0)
	if want := `"purpose.ended","detail":"a program: no grant allows a shell without a terminal`; !strings.Contains(texts["session.jsonl"], want) {
		t.Errorf("the recording does not hold %q", want)
	}
	if all, _ := streams(t, texts["1.cast"]); all[recording.Stderr] != string(said) {
		t.Errorf("said %q, recorded %q", said, all[recording.Stderr])
	}
}
