package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Once tells the whole story: sign-in, certificate, session, recording, ledger,
// refusal.
func Once(ctx context.Context, o Options) (err error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return fmt.Errorf("the demo: %w", err)
	}
	defer func() { err = errors.Join(err, w.close()) }()
	w.say("a server, a target (%s) and an ssh-agent run in %s", w.host.Kind(), w.dir)
	for _, chapter := range []func(context.Context) error{
		w.cast, w.signIn, w.connect, w.replay, w.ask, w.refused,
	} {
		if err := chapter(ctx); err != nil {
			return fmt.Errorf("the demo: %w", err)
		}
	}
	w.say("that is the main job: nobody held a password, and everything is on record")
	return nil
}

// say tells what happens next.
func (w *world) say(format string, args ...any) {
	fmt.Fprintf(w.Stdout, "\n# "+format+"\n", args...)
}

// show runs a command as a person, printing what they would have typed and what
// they would have seen.
func (w *world) show(ctx context.Context, p *person, name string, args ...string) (string, error) {
	fmt.Fprintf(w.Stdout, "%s$ %s\n", p.name, strings.Join(append([]string{name}, args...), " "))
	program := name
	switch name {
	case "vaultpam":
		program = w.Client
	case "ssh":
		args = append([]string{"-F", p.config()}, args...)
	}
	cmd := p.command(ctx, program, args...)
	var out bytes.Buffer
	cmd.Stdout = io.MultiWriter(w.Stdout, &out)
	cmd.Stderr = w.Stdout
	err := cmd.Run()
	return out.String(), err
}

// cast brings in the people, the target and the grant.
func (w *world) cast(ctx context.Context) error {
	ada := w.people[administrator]
	w.say("%s, the administrator, enrols with the invitation that init printed", administrator)
	if err := ada.enrol(ctx); err != nil {
		return err
	}
	for name, role := range map[string]string{engineer: "engineer", auditor: "auditor"} {
		invitation, err := ada.vaultpam(ctx, "admin", "user", "add", name, "--role", role)
		if err != nil {
			return err
		}
		if err := w.addPerson(name, strings.TrimSpace(invitation)).enrol(ctx); err != nil {
			return err
		}
	}
	w.say("%s adds the people, two targets with pinned host keys, and one grant", administrator)
	for _, name := range []string{open, forbidden} {
		args := []string{"admin", "target", "add", name, "--address", w.host.Address(), "--login", w.login, "--yes"}
		for _, key := range w.host.HostKeys() {
			args = append(args, "--host-key", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
		}
		if _, err := ada.vaultpam(ctx, args...); err != nil {
			return err
		}
	}
	if _, err := w.show(ctx, ada, "vaultpam", "admin", "target", "ls"); err != nil {
		return err
	}
	_, err := w.show(ctx, ada, "vaultpam", "admin", "grant", "add", engineer, open, "--login", w.login, "--for", "8h")
	return err
}

// signIn gets a certificate into the agent.
func (w *world) signIn(ctx context.Context) error {
	carol := w.people[engineer]
	w.say("%s signs in with a TOTP code and gets a certificate that lives for minutes", engineer)
	if err := carol.login(ctx); err != nil {
		return err
	}
	// Only -F reads the file it writes: ssh looks for its configuration in the
	// account's home, whatever $HOME says, and nothing there is touched.
	if _, err := carol.vaultpam(ctx, "config", "ssh", "--yes", "--file", filepath.Join(carol.home, "config")); err != nil {
		return err
	}
	for _, args := range [][]string{{"vaultpam", "cert", "--ensure"}, {"ssh-add", "-l"}, {"vaultpam", "targets"}} {
		if _, err := w.show(ctx, carol, args[0], args[1:]...); err != nil {
			return err
		}
	}
	return nil
}

const greeting = "hello from the other side"

// connect runs the system's ssh through the relay.
func (w *world) connect(ctx context.Context) error {
	w.say("plain ssh goes through the relay, which decides, connects and records")
	out, err := w.show(ctx, w.people[engineer], "ssh", "-tt", w.login+"@"+open+".pam", "echo "+greeting+"; id -un")
	if err == nil && !strings.Contains(out, greeting) {
		err = errors.New("the target's answer did not arrive")
	}
	return err
}

// replay prints the recording's text.
func (w *world) replay(ctx context.Context) error {
	w.say("%s, the auditor, reads what the session showed", auditor)
	dana := w.people[auditor]
	session, err := dana.lastSession(ctx)
	if err != nil {
		return err
	}
	out, err := w.show(ctx, dana, "vaultpam", "play", "--text", session)
	if err == nil && !strings.Contains(out, greeting) {
		err = errors.New("the recording does not hold what the session showed")
	}
	return err
}

// lastSession returns the session that ended last. Its entry comes a moment after
// ssh has ended.
func (p *person) lastSession(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		text, err := p.vaultpam(ctx, "audit", "ls", "--type", "session.ended", "--json")
		if err != nil {
			return "", err
		}
		var entries []struct {
			Fields struct {
				Session string `json:"session"`
			} `json:"fields"`
		}
		if err := json.Unmarshal([]byte(text), &entries); err != nil {
			return "", fmt.Errorf("reading the ledger's answer: %w", err)
		}
		if len(entries) > 0 {
			return entries[0].Fields.Session, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", errors.New("no session has ended")
		}
	}
}

// ask reads and verifies the ledger.
func (w *world) ask(ctx context.Context) error {
	w.say("everything is an entry in a log that proves its own integrity")
	dana := w.people[auditor]
	for _, args := range [][]string{
		{"audit", "ls"},
		{"audit", "ls", "--type", "certificate.issued", "--user", engineer, "--since", "30d"},
		{"audit", "verify"},
	} {
		if _, err := w.show(ctx, dana, "vaultpam", args...); err != nil {
			return err
		}
	}
	return nil
}

// refused tries what nobody granted. That it works would be the failure.
func (w *world) refused(ctx context.Context) error {
	w.say("what nobody granted is refused, and the refusal is an entry")
	carol := w.people[engineer]
	_, err := w.show(ctx, carol, "ssh", w.login+"@"+forbidden+".pam", "id")
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return errors.Join(errors.New("the forbidden target was reached"), err)
	}
	_, err = w.show(ctx, w.people[auditor], "vaultpam", "audit", "ls", "--type", "session.refused")
	return err
}
