//go:build linux

package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/vaultpam/vaultpam/server/demo"
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
	window  *window
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

func (p *person) close() error {
	if p.agent != nil {
		p.agent.kill()
	}
	if p.window != nil {
		return p.window.close()
	}
	return nil
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

// enrol uses an invitation as a person would, and returns what the client said
// beside the secret.
func (p *person) enrol(invitation string) (string, error) {
	cmd, err := p.w.command(p.name, []string{"vaultpam", "enroll", "--code-stdin", invitation})
	if err != nil {
		return "", err
	}
	stuck := time.AfterFunc(patience, func() { killSession(cmd) })
	defer stuck.Stop()
	return demo.Enrol(cmd, func(secret string) (string, error) {
		p.secret = secret
		return p.code()
	})
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
