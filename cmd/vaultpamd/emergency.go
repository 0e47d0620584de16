package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

func (p *program) emergencyCommand() *cobra.Command {
	var login, target, key string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "emergency-cert --target NAME --login LOGIN --key FILE.pub",
		Short: "certify a key for a host while VaultPAM is down",
		Long: `emergency-cert signs a certificate with the emergency CA, which every target
trusts from its set-up. It needs nothing but the key file in the data directory
and the passphrase that init printed; it is read from the terminal, or from
standard input where there is none. The certificate is printed:

    vaultpamd emergency-cert --target db1 --login root --key id.pub > id-cert.pub
    ssh -i id root@db1.example.eu

The host logs its key ID, vaultpam:emergency:NAME, and its serial, which is
above 2^52 like no other's.

Where not even this program is at hand, stock OpenSSH does the same:

    ssh-keygen -s keys/emergency-ca -I vaultpam:emergency:NAME \
        -n LOGIN@NAME -V +1h -z 4503599627370496 id.pub`,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := emergencyRequest(login, target, key, life)
			if err != nil {
				return usageError{err}
			}
			passphrase, err := p.readPassphrase()
			if err != nil {
				return err
			}
			signer, err := ca.LoadKey(dirOf(cmd).EmergencyKey(), []byte(passphrase))
			if err != nil {
				return fmt.Errorf("opening the emergency CA: %w", err)
			}
			authority, err := ca.NewAuthority(ca.Emergency, signer)
			if err != nil {
				return fmt.Errorf("opening the emergency CA: %w", err)
			}
			cert, err := ca.IssueEmergency(authority, r, time.Now(), rand.Reader)
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(ssh.MarshalAuthorizedKey(cert))
			return err
		},
	}
	cmd.Flags().StringVar(&target, "target", "", "name of the target")
	cmd.Flags().StringVar(&login, "login", "root", "account on the target")
	cmd.Flags().StringVar(&key, "key", "", "file of the public key to certify")
	cmd.Flags().DurationVar(&life, "for", time.Hour, "how long it is valid, at most 24h")
	return cmd
}

func emergencyRequest(login, target, key string, life time.Duration) (ca.EmergencyRequest, error) {
	r := ca.EmergencyRequest{For: life}
	var err error
	if r.Principal.Target, err = store.ParseTargetName(target); err != nil {
		return r, err
	}
	if r.Principal.Login, err = store.ParseLogin(login); err != nil {
		return r, err
	}
	if key == "" {
		return r, errors.New("want --key, the file of the public key to certify")
	}
	data, err := os.ReadFile(key)
	if err != nil {
		return r, fmt.Errorf("reading the public key: %w", err)
	}
	if r.Key, _, _, _, err = ssh.ParseAuthorizedKey(data); err != nil {
		return r, fmt.Errorf("reading %s: want a public key in authorized_keys form", key)
	}
	return r, nil
}

// readPassphrase asks on the terminal, without echo, or reads a line.
func (p *program) readPassphrase() (string, error) {
	var typed string
	if f, ok := p.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		line, err := p.askSecretly(f, "passphrase of the emergency CA: ")
		if err != nil {
			return "", fmt.Errorf("reading the passphrase: %w", err)
		}
		typed = line
	} else {
		line, err := bufio.NewReader(io.LimitReader(p.stdin, 1024)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("reading the passphrase: %w", err)
		}
		typed = strings.TrimSpace(line)
	}
	return ca.ParsePassphrase(typed)
}

// askSecretly asks on a terminal without showing what is typed. The echo is off
// before the question is there: who answers at once is not shown either.
func (p *program) askSecretly(tty *os.File, question string) (string, error) {
	before, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	screen := struct {
		io.Reader
		io.Writer
	}{tty, p.stderr}
	line, err := term.NewTerminal(screen, "").ReadPassword(question)
	return line, errors.Join(err, term.Restore(int(tty.Fd()), before))
}
