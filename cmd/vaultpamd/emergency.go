package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

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
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := emergencyRequest(login, target, key, life)
			if err != nil {
				return usageError{err}
			}
			typed, err := p.askSecret("passphrase of the emergency CA")
			if err != nil {
				return err
			}
			passphrase, err := ca.ParsePassphrase(strings.TrimSpace(typed))
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
	cmd.Flags().StringVar(&target, "target", "", "`NAME` of the target")
	cmd.Flags().StringVar(&login, "login", "root", "`ACCOUNT` on the target")
	cmd.Flags().StringVar(&key, "key", "", "`FILE` of the public key to certify")
	cmd.Flags().DurationVar(&life, "for", time.Hour, "how long it is valid, `DURATION`, at most 24h")
	return cmd
}

func emergencyRequest(login, target, key string, life time.Duration) (ca.EmergencyRequest, error) {
	r := ca.EmergencyRequest{For: life}
	if target == "" {
		return r, errors.New("want --target, the name that the host was set up with")
	}
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
