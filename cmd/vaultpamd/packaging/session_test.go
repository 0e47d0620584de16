//go:build linux

package packaging_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/demo"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// enrol uses an invitation as a person would, whose machine is $VAULTPAM_HOME.
func (w *world) enrol(ts *script, args []string) error {
	if len(args) != 1 {
		return errors.New("want INVITATION")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(w.root, "usr", "bin", "vaultpam"), "enroll", "--code-stdin", args[0])
	cmd.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"), "VAULTPAM_HOME="+ts.Getenv("VAULTPAM_HOME"), "VAULTPAM_KEYRING=off", "SSH_AUTH_SOCK=")
	said, err := demo.Enrol(cmd, func(secret string) (string, error) { return totp.GenerateCode(secret, time.Now()) })
	if err != nil {
		return fmt.Errorf("vaultpam enroll: %w\n%s", err, said)
	}
	return nil
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
	cas, err := demo.HostTrust(server.Dir(w.data))
	if err != nil {
		return err
	}
	config := target.SshdConfig{Dir: ts.MkAbs("host"), Target: name, CAs: cas, Logins: []store.Login{store.Login(ts.Getenv("LOGIN"))}}
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
