package demo

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
)

// A person is somebody in the story, with a machine's worth of files and an
// authenticator.
type person struct {
	w          *world
	name       string
	home       string
	invitation string
	secret     string // what their authenticator holds
}

func (w *world) addPerson(name, invitation string) *person {
	p := &person{w: w, name: name, home: filepath.Join(w.dir, name), invitation: invitation}
	w.people[name] = p
	return p
}

// command is a program run as this person.
func (p *person) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = p.w.environ(p)
	return cmd
}

// vaultpam runs the client and returns what it prints.
func (p *person) vaultpam(ctx context.Context, args ...string) (string, error) {
	var out, errs bytes.Buffer
	cmd := p.command(ctx, p.w.Client, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: vaultpam %s: %w\n%s", p.name, strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// enrol uses the invitation.
func (p *person) enrol(ctx context.Context) error {
	said, err := Enrol(p.command(ctx, p.w.Client, "enroll", "--code-stdin", p.invitation), func(secret string) (string, error) {
		p.secret = secret
		return p.code(p.w.Now())
	})
	if err != nil {
		return fmt.Errorf("%s: vaultpam enroll: %w\n%s", p.name, err, said)
	}
	return nil
}

// login signs in with the code after the one that enrolled, which the server
// accepts half a minute early.
func (p *person) login(ctx context.Context) error {
	text, err := p.code(p.w.Now().Add(30 * time.Second))
	if err != nil {
		return err
	}
	var errs bytes.Buffer
	cmd := p.command(ctx, p.w.Client, "login", "--code-stdin")
	cmd.Stdin, cmd.Stderr = strings.NewReader(text+"\n"), &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: vaultpam login: %w\n%s", p.name, err, errs.String())
	}
	return nil
}

// code is what the authenticator shows at a moment.
func (p *person) code(at time.Time) (string, error) {
	text, err := totp.GenerateCode(p.secret, at)
	if err != nil {
		return "", fmt.Errorf("%s's authenticator: %w", p.name, err)
	}
	return text, nil
}

// config is the ssh configuration that `vaultpam config ssh` wrote.
func (p *person) config() string { return filepath.Join(p.home, "ssh_config") }
