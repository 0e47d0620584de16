//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// doCompany is the stage of most scripts.
func (w *world) doCompany(ts *script, _ []string) error {
	for _, step := range []struct {
		do   func(*script, []string) error
		args []string
	}{
		{w.doInit, nil},
		{w.doServe, nil},
		{func(ts *script, _ []string) error { return w.enrolled(ts, "ada", ts.Getenv("invitation")) }, nil},
		{w.doJoin, []string{"dana", "auditor"}},
		{w.doJoin, []string{"carol", "engineer"}},
	} {
		if err := step.do(ts, step.args); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) doCode(ts *script, args []string) error {
	if err := want(args, 2, 2); err != nil {
		return err
	}
	p, err := w.person(args[0])
	if err != nil {
		return err
	}
	return p.writeCode(ts.MkAbs(args[1]))
}

func (w *world) doPerson(ts *script, args []string) error {
	if err := want(args, 1, 1); err != nil {
		return err
	}
	p, err := w.person(args[0])
	if err != nil {
		return err
	}
	ts.Setenv(args[0], p.account.home)
	return nil
}

func (w *world) doEnrol(ts *script, args []string) (bool, error) {
	if err := want(args, 2, 2); err != nil {
		return false, err
	}
	if err := w.doPerson(ts, args[:1]); err != nil {
		return false, err
	}
	begin := time.Now()
	said, err := w.people[args[0]].enrol(args[1])
	w.last = time.Since(begin)
	if _, werr := io.WriteString(ts.Stderr(), said); werr != nil {
		return false, werr
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return false, nil
	}
	return err == nil, err
}

// enrolled enrols a person who has to succeed.
func (w *world) enrolled(ts *script, name, invitation string) error {
	ok, err := w.doEnrol(ts, []string{name, invitation})
	if err == nil && !ok {
		err = fmt.Errorf("%s could not enrol", name)
	}
	return err
}

func (w *world) doJoin(ts *script, args []string) error {
	if err := want(args, 2, 2); err != nil {
		return err
	}
	cmd, err := w.command("ada", []string{"vaultpam", "admin", "user", "add", args[0], "--role", args[1]})
	if err != nil {
		return err
	}
	invitation, err := output1(cmd)
	if err != nil {
		return err
	}
	return w.enrolled(ts, args[0], invitation)
}

// output1 runs a program that has to succeed and returns what it prints.
func output1(cmd *exec.Cmd) (string, error) {
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return strings.TrimSpace(string(out)), nil
}

func (w *world) doHost(ts *script, args []string) error {
	if err := w.doBareHost(ts, args); err != nil || !isRoot() {
		return err
	}
	return w.setUp(w.hosts[args[0]], args[0])
}

func (w *world) doBareHost(ts *script, args []string) error {
	if err := want(args, 1, 1); err != nil {
		return err
	}
	h, err := w.newHost(args[0])
	if err != nil {
		return err
	}
	_, port, _ := strings.Cut(h.address, ":")
	ts.Setenv(h.name, h.address)
	ts.Setenv(h.name+"_port", port)
	ts.Setenv(h.name+"_conf", h.conf)
	return nil
}

func (w *world) doRegister(_ *script, args []string) error {
	if err := want(args, 1, 1); err != nil {
		return err
	}
	h, ok := w.hosts[args[0]]
	if !ok {
		return fmt.Errorf("there is no host %s", args[0])
	}
	words := []string{"vaultpam", "admin", "target", "add", h.name, "--address", h.address, "--login", w.login.name}
	for _, kind := range []string{"ed25519", "ecdsa"} {
		words = append(words, "--host-key", filepath.Join(h.dir, "ssh_host_"+kind+"_key.pub"))
	}
	cmd, err := w.command("ada", words)
	if err != nil {
		return err
	}
	_, err = output1(cmd)
	return err
}

func (w *world) doHostLog(ts *script, args []string) error {
	if err := want(args, 2, 2); err != nil {
		return err
	}
	h, ok := w.hosts[args[0]]
	if !ok {
		return fmt.Errorf("there is no host %s", args[0])
	}
	pattern, err := regexp.Compile("(?m)" + args[1])
	if err != nil {
		return err
	}
	if err := h.process.out.sees(pattern, 1); err != nil {
		return err
	}
	_, err = fmt.Fprint(ts.Stdout(), h.process.out.text())
	return err
}
