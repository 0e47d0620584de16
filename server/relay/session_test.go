package relay_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store/recording"
)

// streams reads a channel's file back.
func streams(t *testing.T, text string) (map[recording.EventKind]string, []recording.Event) {
	t.Helper()
	reader, err := recording.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all := map[recording.EventKind]string{}
	var events []recording.Event
	for e, err := range reader.Events() {
		if err != nil {
			t.Fatal(err)
		}
		all[e.Kind] += string(e.Data)
		e.Data = bytes.Clone(e.Data)
		events = append(events, e)
	}
	return all, events
}

func TestTerminal(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := session.RequestPty("xterm-256color", 25, 90, ssh.TerminalModes{ssh.ECHO: 0}); err != nil {
		t.Fatal(err)
	}
	stdin, err := session.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	stdout, err := session.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	// What is typed and the window's size travel on ways of their own.
	command := `stty -echo; echo "TERM=$TERM"; stty size; echo ready; read secret; ` +
		`while [ "$(stty size)" = "25 90" ]; do :; done; stty size; echo "length ${#secret}"`
	if err := session.Start(command); err != nil {
		t.Fatal(err)
	}
	readUntil(t, stdout, &out, "ready")
	if err := session.WindowChange(30, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "hunter2\n"); err != nil {
		t.Fatal(err)
	}
	io.Copy(&out, stdout)
	if err := session.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"TERM=xterm-256color", "25 90", "30 100", "length 7"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the terminal does not show %q:\n%s", want, out.String())
		}
	}
	client.Close()
	texts := w.recorded(0)
	all, events := streams(t, texts["1.cast"])
	if all[recording.Output] != out.String() {
		t.Errorf("recorded %q, shown %q", all[recording.Output], out.String())
	}
	if strings.Contains(texts["1.cast"], "hunter2") {
		t.Error("a keystroke on a terminal was recorded")
	}
	if !slices.ContainsFunc(events, func(e recording.Event) bool { return e.Cols == 100 && e.Rows == 30 }) {
		t.Error("the new size of the terminal is not in the recording")
	}
}

// readUntil reads into out until it holds text.
func readUntil(t testing.TB, r io.Reader, out *bytes.Buffer, text string) {
	t.Helper()
	watchdog := time.AfterFunc(20*time.Second, func() { panic("no " + text + " came") })
	defer watchdog.Stop()
	buf := make([]byte, 4096)
	for !strings.Contains(out.String(), text) {
		n, err := r.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			t.Fatalf("reading until %q: %v; got %q", text, err, out.String())
		}
	}
}

func TestExitStatusIsNeverLost(t *testing.T) {
	runs := 200
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		runs = 5000
	}
	w := newWorld(t)
	carol := w.person("carol", nil)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	for i := range runs {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, err := session.CombinedOutput("echo out; echo err >&2; exit 3")
		exit, ok := errors.AsType[*ssh.ExitError](err)
		if !ok || exit.ExitStatus() != 3 || len(out) != 8 {
			t.Fatalf("run %d of %d: %v, output %q", i, runs, err, out)
		}
	}
}

func TestExitStatusThroughOpenSSHMultiplexing(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	control := filepath.Join(t.TempDir(), "c")
	master := carol.command("ssh", "-M", "-S", control, "-o", "ControlPersist=no", "db1.pam", "echo up; cat")
	stdin, err := master.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := master.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	readUntil(t, stdout, new(bytes.Buffer), "up")
	for i := range 100 {
		got := carol.ssh("", "-S", control, "-o", "ControlMaster=no", "db1.pam", "exit 3")
		if got.code != 3 {
			t.Fatalf("run %d: %+v", i, got)
		}
	}
	stdin.Close()
	if err := master.Wait(); err != nil {
		t.Error(err)
	}
	if n := len(w.gate.awaitEnded(t, 1)); n != 1 {
		t.Errorf("%d sessions for one connection", n)
	}
}

func TestProgramsEndAsTheyEnd(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	for _, test := range []struct {
		name, command, stdin string
		want                 result
	}{
		{"signal", "kill -KILL $$", "", result{code: 255}},
		{"status 255", "exit 255", "", result{code: 255}},
		{"half-closed", "cat; echo after", "in\n", result{stdout: "in\nafter\n"}},
		{"standard error after output closed", "echo one; exec >&-; echo two >&2; exit 4", "", result{stdout: "one\n", stderr: "two\n", code: 4}},
		{"no output", "true", "", result{}},
		{"input that nobody reads", "exit 5", strings.Repeat("x", 1<<20), result{code: 5}},
		{"a background process keeps output", "sleep 0.3 & echo now; exit 6", "", result{stdout: "now\n", code: 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := carol.ssh(test.stdin, "-o", "LogLevel=ERROR", "db1.pam", test.command); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestRequestsPassInOrder holds what the target sees against what the client
// sent, with requests that OpenSSH's sshd does not serve to root.
func TestRequestsPassInOrder(t *testing.T) {
	w := newWorld(t, withoutSshd)
	carol := w.person("carol", nil)
	s, seen := transcript(t, func(c ssh.Channel) {
		c.SendRequest("xon-xoff", false, []byte{1})
		io.WriteString(c, "ready")
		io.Copy(c.Stderr(), c)
		c.CloseWrite()
		c.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Name  string
			Core  bool
			Text  string
			Words string
		}{"TERM", false, "", ""}))
		c.Close()
	})
	s.behind(w)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	type size struct{ Cols, Rows, Width, Height uint32 }
	text := func(s string) []byte { return ssh.Marshal(struct{ S string }{s}) }
	sent := []request{
		{"env", false, string(ssh.Marshal(struct{ Name, Value string }{"LANG", "C"}))},
		{"pty-req", true, string(slices.Concat(text("vt100"), ssh.Marshal(size{80, 24, 0, 0}), text("\x00")))},
		{"window-change", false, string(ssh.Marshal(size{81, 24, 0, 0}))},
		{"exec", true, string(text("a command"))},
		{"window-change", false, string(ssh.Marshal(size{82, 25, 1, 1}))},
		{"signal", false, string(text("INT"))},
		{"signal", false, string(text("custom@example.com"))},
		{"break", true, string(ssh.Marshal(struct{ N uint32 }{500}))},
		{"eow@openssh.com", true, ""},
	}
	for _, r := range sent {
		ok, err := channel.SendRequest(r.Type, r.Want, []byte(r.Payload))
		if err != nil || ok != r.Want {
			t.Fatalf("%s: %v, %v", r.Type, ok, err)
		}
	}
	io.WriteString(channel, "echo")
	channel.CloseWrite()
	out, _ := io.ReadAll(channel)
	back, _ := io.ReadAll(channel.Stderr())
	if string(out) != "ready" || string(back) != "echo" {
		t.Errorf("output %q, standard error %q", out, back)
	}
	var heard []string
	for r := range requests {
		heard = append(heard, r.Type)
	}
	if diff := cmp.Diff([]string{"xon-xoff", "exit-signal"}, heard); diff != "" {
		t.Errorf("requests from the target (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sent, seen()); diff != "" {
		t.Errorf("requests at the target (-want +got):\n%s", diff)
	}
	client.Close()
	if log := w.recorded(0)["session.jsonl"]; !strings.Contains(log, `"signal":"TERM"`) {
		t.Errorf("the recording does not say how the program ended:\n%s", log)
	}
}

func TestEnvironment(t *testing.T) {
	w := newWorld(t, func(_ *relay.Config, host *target.SshdConfig) {
		host.ExtraConfig = append(host.ExtraConfig, "AcceptEnv *")
	})
	carol := w.person("carol", nil)
	cmd := carol.command("ssh", "-o", "SendEnv=LC_RELAY LD_PRELOAD BASH_ENV", "db1.pam", "env")
	cmd.Env = append(os.Environ(), "LC_RELAY=a value", "BASH_ENV=/tmp/x", "LD_PRELOAD=")
	got := run(t, cmd, "")
	if !strings.Contains(got.stdout, "LC_RELAY=a value\n") {
		t.Errorf("LC_RELAY did not arrive: %+v", got)
	}
	if strings.Contains(got.stdout, "BASH_ENV") {
		t.Error("BASH_ENV passed")
	}
	log := w.recorded(0)["session.jsonl"]
	if !strings.Contains(log, "LC_RELAY=a value") || !strings.Contains(log, `"env.refused"`) {
		t.Errorf("the recording's log does not tell:\n%s", log)
	}
}
