//go:build linux

package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// A person of a script, with a machine of their own: an account, an ssh-agent
// and an authenticator.
type person struct {
	w       *world
	name    string
	account *account
	agent   *process
	secret  string // what their authenticator holds
	used    int64  // the time step of the last code that they typed
}

// person returns a person of the script, who appears when first named.
func (w *world) person(name string) (*person, error) {
	if p, ok := w.people[name]; ok {
		return p, nil
	}
	a, err := newAccount(filepath.Join(w.dir, "people", name))
	if err != nil {
		return nil, err
	}
	p := &person{w: w, name: name, account: a}
	w.people[name] = p
	return p, p.startAgent()
}

func (p *person) close() {
	if p.agent != nil {
		p.agent.kill()
	}
}

func (p *person) socket() string { return filepath.Join(p.account.home, "agent.sock") }

func (p *person) startAgent() error {
	cmd, err := p.account.command([]string{"PATH=" + p.w.path}, "ssh-agent", "-D", "-a", p.socket())
	if err != nil {
		return err
	}
	if p.agent, err = launch(cmd); err != nil {
		return err
	}
	// It prints its socket when it listens.
	return p.agent.out.sees(regexp.MustCompile("SSH_AUTH_SOCK"), 1)
}

// enrol uses an invitation as a person would: the secret that the client shows
// goes into the authenticator, and a code comes back. It returns what the client
// said beside that.
func (p *person) enrol(invitation string) (string, error) {
	cmd, err := p.w.command(p.name, []string{"vaultpam", "enroll", "--code-stdin", invitation})
	if err != nil {
		return "", err
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return "", err
	}
	stuck := time.AfterFunc(patience, func() { killSession(cmd) })
	defer stuck.Stop()
	err = p.answer(stdout, stdin)
	if werr := cmd.Wait(); werr != nil {
		err = werr // it had nothing to show
	}
	return said.String(), err
}

func (p *person) answer(shown io.Reader, typed io.WriteCloser) error {
	defer typed.Close()
	line, err := bufio.NewReader(shown).ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the secret: %w", err)
	}
	link, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		return fmt.Errorf("reading the secret: %w", err)
	}
	p.secret = link.Query().Get("secret")
	code, err := p.code()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(typed, code)
	return err
}

// step is how long a code is shown, in seconds (RFC 6238).
const step = 30

// code returns a code that was not typed yet. The server takes those of the
// step before and the step after as well, so there are three without waiting;
// the first one is taken so that it is still good in some seconds.
func (p *person) code() (string, error) {
	next := max(p.used+1, time.Now().Add(8*time.Second).Unix()/step-1)
	if first := time.Unix((next-1)*step, 0); time.Until(first) > 0 {
		<-time.After(time.Until(first)) // the authenticator shows it no earlier
	}
	code, err := totp.GenerateCode(p.secret, time.Unix(next*step, 0))
	if err != nil {
		return "", fmt.Errorf("%s's authenticator: %w", p.name, err)
	}
	p.used = next
	return code, nil
}

// writeCode writes what the authenticator shows into a file, for a script that hands
// it to a program itself.
func (p *person) writeCode(path string) error {
	code, err := p.code()
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(code+"\n"), 0o644)
}
