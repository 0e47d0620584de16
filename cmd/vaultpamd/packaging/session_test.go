//go:build linux

package packaging_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// enrol uses an invitation as a person would, whose machine is $VAULTPAM_HOME:
// the secret that the client shows goes into an authenticator, and a code comes
// back.
func (w *world) enrol(ts *script, args []string) error {
	if len(args) != 1 {
		return errors.New("want INVITATION")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.root, "usr", "bin", "vaultpam"), "enroll", "--code-stdin", args[0])
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "VAULTPAM_HOME="+ts.Getenv("VAULTPAM_HOME"), "VAULTPAM_KEYRING=off", "SSH_AUTH_SOCK=")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return err
	}
	err = answer(stdout, stdin)
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("vaultpam enroll: %w\n%s", err, said.String())
	}
	return nil
}

func answer(shown io.Reader, typed io.WriteCloser) error {
	defer typed.Close()
	line, err := bufio.NewReader(shown).ReadString('\n')
	if err != nil {
		return fmt.Errorf("reading the secret: %w", err)
	}
	link, err := url.Parse(strings.TrimSpace(line))
	if err != nil {
		return fmt.Errorf("reading the secret: %w", err)
	}
	code, err := totp.GenerateCode(link.Query().Get("secret"), time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(typed, code)
	return err
}

// startHost starts a host that trusts what `vaultpamd target setup` tells hosts
// to trust.
func (w *world) startHost(ts *script, args []string) error {
	if len(args) != 1 {
		return errors.New("want NAME")
	}
	name, err := store.ParseTargetName(args[0])
	if err != nil {
		return err
	}
	config := target.SshdConfig{Dir: ts.MkAbs("host"), Target: name, Logins: []store.Login{store.Login(ts.Getenv("LOGIN"))}}
	for _, file := range []string{"target-ca.pub", "emergency-ca.pub"} {
		data, err := os.ReadFile(filepath.Join(w.data, "keys", file))
		if err != nil {
			return err
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey(data)
		if err != nil {
			return fmt.Errorf("reading %s: %w", file, err)
		}
		config.CAs = append(config.CAs, key)
	}
	if err := os.Mkdir(config.Dir, 0o755); err != nil {
		return err
	}
	if w.host, err = target.StartSshd(context.Background(), config); err != nil {
		return err
	}
	ts.Setenv(args[0], w.host.Address())
	ts.Setenv(args[0]+"_key", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(w.host.HostKeys()[0]))))
	return nil
}
