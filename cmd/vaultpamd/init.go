package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func (p *program) initCommand() *cobra.Command {
	var name, admin, suffix, https, ssh string
	var own server.TLSConfig
	var single bool
	cmd := &cobra.Command{
		Use:   "init --name HOST",
		Short: "make the data directory, the keys and the ledger",
		Long: `init makes a data directory: configuration, keys, and the ledger's first
entries. It prints two secrets once, which are kept nowhere: the passphrase of
the emergency CA, and the first administrator's invitation.

The name is how clients reach the server, and permanent.

Clients recognise the server by a key that invitations pin. Where it has a
certificate that they know anyway, invitations need no pin:

    --tls-cert FILE --tls-key FILE   the server serves these files, and takes
                                     new ones in when they change
    --acme                           the server gets one from Let's Encrypt once
                                     it runs; you accept its terms of service

Nothing is fetched now. The section tls of vaultpam.yaml has more to choose.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := initRequest(dirOf(cmd), name, admin, suffix, https, ssh)
			if err != nil {
				return err
			}
			if r.Config.TLS, err = chosenTLS(own); err != nil {
				return err
			}
			if single {
				r.SelfGrant = store.SelfGrantAllowed
			}
			done, err := server.Init(cmd.Context(), p.environment(), r)
			if err != nil {
				return err
			}
			return p.printInit(r, done)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "the server's permanent `HOST` name, such as pam.example.eu")
	cmd.Flags().StringVar(&admin, "administrator", "admin", "`HANDLE` of the first administrator")
	cmd.Flags().StringVar(&suffix, "suffix", "pam", "`WORD` that users type behind a target's name: db1.pam")
	cmd.Flags().StringVar(&https, "https", ":443", "`[ADDRESS]:PORT` to listen on for HTTPS")
	cmd.Flags().StringVar(&ssh, "ssh", ":2222", "`[ADDRESS]:PORT` to listen on for SSH")
	cmd.Flags().StringVar(&own.Cert, "tls-cert", "", "the API's own certificate, `FILE` in PEM, its intermediates after it")
	cmd.Flags().StringVar(&own.Key, "tls-key", "", "the certificate's key, `FILE` in PEM")
	cmd.Flags().BoolVar(&own.AcceptTerms, "acme", false, "get the API's certificate from Let's Encrypt, whose terms of service you accept")
	cmd.Flags().BoolVar(&single, "single-administrator", false, "let an administrator grant access to themselves (for a company that has only one)")
	return cmd
}

// chosenTLS is what the flags of init say about the certificate.
func chosenTLS(own server.TLSConfig) (server.TLSConfig, error) {
	switch files := own.Cert != "" || own.Key != ""; {
	case files && own.AcceptTerms:
		return own, usageError{errors.New("--acme and --tls-cert are two ways to one certificate: choose one")}
	case own.AcceptTerms:
		own.Mode = server.TLSACME
	case files && (own.Cert == "" || own.Key == ""):
		return own, usageError{errors.New("--tls-cert and --tls-key go together")}
	case files:
		own.Mode = server.TLSFile
	default:
		own.Mode = server.TLSSelfSigned
	}
	for _, path := range []*string{&own.Cert, &own.Key} {
		if *path == "" {
			continue
		}
		whole, err := filepath.Abs(*path)
		if err != nil {
			return own, fmt.Errorf("finding %s: %w", *path, err)
		}
		*path = whole
	}
	return own, nil
}

func initRequest(dir server.Dir, name, admin, suffix, https, ssh string) (server.InitRequest, error) {
	if name == "" {
		return server.InitRequest{}, usageError{fmt.Errorf("init needs --name, the host name that clients will use: vaultpamd init --name pam.example.eu")}
	}
	r := server.InitRequest{Dir: dir, Administrator: admin, SelfGrant: store.SelfGrantRefused}
	r.Config = server.Config{Name: name, Suffix: suffix, Listen: server.ListenConfig{HTTPS: https, SSH: ssh}, Log: server.LogConfig{Level: "info"}, CheckTargets: server.DefaultCheckTargets}
	for _, x := range []struct {
		listen string
		public *string
	}{{https, &r.Config.Public.HTTPS}, {ssh, &r.Config.Public.SSH}} {
		_, port, err := net.SplitHostPort(x.listen)
		if err != nil {
			return r, usageError{fmt.Errorf("listening address %q: want [ADDRESS]:PORT", x.listen)}
		}
		*x.public = net.JoinHostPort(name, port)
	}
	return r, nil
}

func (p *program) printInit(r server.InitRequest, done server.InitResult) error {
	_, err := fmt.Fprintf(p.stdout, `%s is ready in %s.

The name is permanent: passkeys, certificates and the ledger are bound to it.

Emergency CA passphrase, shown once; print it and lock it away:

    %s

With it, %s opens every
target when VaultPAM is down: vaultpamd emergency-cert --help

Start the server:

    vaultpamd serve --dir %s

The first administrator, %s, then enrols within %d days, once, on their own machine:

    vaultpam enroll '%s'
`, r.Config.Name, r.Dir, done.Passphrase, r.Dir.EmergencyKey(), r.Dir, r.Administrator, access.InvitationLife/(24*time.Hour), done.Invitation)
	return err
}
