//go:build linux

package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

var (
	invitationText = regexp.MustCompile(`vaultpam enroll '(\S+)'`)
	passphraseText = regexp.MustCompile(`(?m)^ +((?:[a-z2-9]{4}-){6}[a-z2-9]{4})$`)
)

// doInit makes the server's data directory, as `vaultpamd init` is typed.
func (w *world) doInit(ts *script, _ []string) error {
	words := []string{
		"vaultpamd", "init", "--name", "localhost", "--administrator", "ada",
		"--https", ts.Getenv("https"), "--ssh", ts.Getenv("ssh"),
	}
	if w.site != "" {
		words = append(words, "--tls-cert", filepath.Join(w.site, "cert.pem"), "--tls-key", filepath.Join(w.site, "key.pem"))
	}
	cmd, err := w.command(operator, words)
	if err != nil {
		return err
	}
	printed, err := output1(cmd)
	if err != nil {
		return err
	}
	invitation := invitationText.FindStringSubmatch(printed)
	passphrase := passphraseText.FindStringSubmatch(printed)
	if invitation == nil || passphrase == nil {
		return fmt.Errorf("no invitation or no passphrase in:\n%s", printed)
	}
	ts.Setenv("invitation", invitation[1])
	ts.Setenv("passphrase", passphrase[1])
	_, err = fmt.Fprintln(ts.Stdout(), printed)
	return err
}

var serving = regexp.MustCompile(`msg=serving `)

// doServe starts the server on its directory and waits until it serves.
func (w *world) doServe(_ *script, _ []string) error {
	if w.server != nil {
		return errors.New("the server runs already")
	}
	cmd, err := w.command(operator, []string{"vaultpamd", "serve"})
	if err != nil {
		return err
	}
	if w.server, err = launch(cmd); err != nil {
		return err
	}
	return w.server.out.sees(serving, 1)
}

// doTerminate ends the server as its service manager does. It has to end well.
func (w *world) doTerminate(ts *script, _ []string) error {
	code, err := w.endServer(ts, syscall.SIGTERM)
	if err == nil && code != 0 {
		err = fmt.Errorf("exit code %d after SIGTERM, want 0", code)
	}
	return err
}

// doCrash kills the server.
func (w *world) doCrash(ts *script, _ []string) error {
	_, err := w.endServer(ts, syscall.SIGKILL)
	return err
}

// doDump ends the server as a panic would: what it was doing is in its output.
func (w *world) doDump(ts *script, _ []string) error {
	_, err := w.endServer(ts, syscall.SIGQUIT)
	return err
}

func (w *world) endServer(ts *script, s syscall.Signal) (int, error) {
	if w.server == nil {
		return 0, errors.New("no server runs")
	}
	if err := w.server.signal(s); err != nil {
		return 0, err
	}
	code, err := w.server.wait()
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprint(ts.Stdout(), w.server.out.text())
	w.server = nil
	return code, err
}

// doLog makes the server's log stdout.
func (w *world) doLog(ts *script, _ []string) error {
	if w.server == nil {
		return errors.New("no server runs; terminate and crash print its log")
	}
	_, err := fmt.Fprint(ts.Stdout(), w.server.out.text())
	return err
}

func killSession(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may just have ended
}

// part is the data directory, or the folder in it that a script names.
func (w *world) part(args []string) (string, error) {
	if err := want(args, 0, 1); err != nil {
		return "", err
	}
	return filepath.Join(append([]string{w.data()}, args...)...), nil
}

// doSmallDisk mounts a disk of its own for the data directory or a folder of it.
func (w *world) doSmallDisk(_ *script, args []string) error {
	if len(args) < 1 {
		return errors.New("want SIZE [FOLDER]")
	}
	path, err := w.part(args[1:])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "mode=0700,size="+args[0]); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	w.mounts = append(w.mounts, owe(func() error { return syscall.Unmount(path, syscall.MNT_DETACH) }))
	return nil
}

// unmount undoes smalldisk, the last one first.
func (w *world) unmount() error {
	var errs []error
	for _, mount := range slices.Backward(w.mounts) {
		errs = append(errs, mount.pay())
	}
	return errors.Join(errs...)
}

const ballast = "ballast"

// doFill fills the disk to its last byte.
func (w *world) doFill(_ *script, args []string) error {
	path, err := w.part(args)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(path, ballast), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// doEmpty makes room again.
func (w *world) doEmpty(_ *script, args []string) error {
	path, err := w.part(args)
	if err != nil {
		return err
	}
	return os.Remove(filepath.Join(path, ballast))
}
