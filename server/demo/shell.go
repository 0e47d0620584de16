package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Shell sets the story's stage, leaves everything running and opens a shell in
// which ssh, scp, sftp and vaultpam just work. It ends with the shell.
func Shell(ctx context.Context, o Options) (err error) {
	w, err := newWorld(ctx, o)
	if err != nil {
		return fmt.Errorf("the demo: %w", err)
	}
	defer func() { err = errors.Join(err, w.close()) }()
	out := w.Stdout
	w.Stdout = w.Stderr // the stage is set behind the curtain
	w.say("a server, a target (%s) and an ssh-agent run in %s", w.host.Kind(), w.dir)
	for _, chapter := range []func(context.Context) error{w.cast, w.signIn, w.wrap} {
		if err := chapter(ctx); err != nil {
			return fmt.Errorf("the demo: %w", err)
		}
	}
	fmt.Fprintf(out, `
Everything runs; leaving this shell ends it. You are %[2]s, an engineer, who may
log in to %[3]s as %[1]s. Type this first:

    ssh %[1]s@%[3]s.pam

Then: scp FILE %[1]s@%[3]s.pam:/tmp/ · vaultpam · vaultpam targets · ssh %[1]s@%[4]s.pam
As %[5]s, the auditor:       vaultpam-%[5]s audit ls · vaultpam-%[5]s play SESSION
As %[6]s, the administrator:  vaultpam-%[6]s admin grant ls

`, w.login, engineer, open, forbidden, auditor, administrator)
	return w.interact(ctx)
}

// interact runs the user's shell until they leave it.
func (w *world) interact(ctx context.Context) error {
	shell := os.Getenv("SHELL")
	if shell == "" {
		shell = "/bin/sh"
	}
	// Ctrl-C cancels ctx and belongs to what the user runs: the shell outlives it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), shell)
	cmd.Env = append(w.environ(w.people[engineer]), "PS1=(vaultpam demo) $ ")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = w.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = nil // the status of the last command that was typed
	}
	return errors.Join(err, ctx.Err())
}

// wrap writes the programs of the shell: those that need -F, and a name each for
// the people, who differ in the client's directory alone.
func (w *world) wrap(context.Context) error {
	bin := filepath.Join(w.dir, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		return err
	}
	config := w.people[engineer].config()
	for _, name := range []string{"ssh", "scp", "sftp"} {
		program, err := exec.LookPath(name)
		if err != nil {
			continue // then it is not there outside of the demo either
		}
		if err := script(filepath.Join(bin, name), program, "-F", config); err != nil {
			return err
		}
	}
	for name, p := range w.people {
		if err := script(filepath.Join(bin, "vaultpam-"+name), w.Client, "--home", p.home); err != nil {
			return err
		}
	}
	return script(filepath.Join(bin, "vaultpam"), w.Client)
}

// script writes a program that runs another with arguments before its own.
func script(path string, words ...string) error {
	for i, word := range words {
		words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	text := "#!/bin/sh\nexec " + strings.Join(words, " ") + ` "$@"` + "\n"
	return os.WriteFile(path, []byte(text), 0o700) //nolint:gosec // its owner runs it
}
