package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
)

// startNotices opens what waits to be sent. Where no notices are configured, what
// was kept of them goes.
func (n *Node) startNotices(ctx context.Context) error {
	if n.mail == nil && n.hook == nil {
		return notice.Forget(ctx, n.backend)
	}
	var err error
	n.notices, err = notice.New(ctx, notice.Config{
		Ledger: n.ledger, Name: n.config.Name, Mail: n.mail, Hook: n.hook, Key: n.keys.seal,
		Now: n.Now, Random: n.Random, Log: n.Log,
	})
	return err
}

// notices returns what the configuration says of sending them; nil for what it
// does not say. It reads the secrets once, so that a wrong file is found when the
// server starts and not when somebody ought to hear of something.
func (c *Config) notices(env Environment) (mail *notice.Mail, hook *notice.Hook, err error) {
	if c.Notices.SMTP != (SMTPConfig{}) {
		if mail, err = c.Notices.SMTP.open(c.Name); err != nil {
			return nil, nil, fmt.Errorf("notices.smtp: %w", err)
		}
	}
	if c.Notices.Webhook != (WebhookConfig{}) {
		if hook, err = c.Notices.Webhook.open(env); err != nil {
			return nil, nil, fmt.Errorf("notices.webhook: %w", err)
		}
	}
	return mail, hook, nil
}

func (c SMTPConfig) open(server string) (*notice.Mail, error) {
	roots, err := rootsOf(c.CA)
	if err != nil {
		return nil, err
	}
	m := notice.MailConfig{
		Host: strings.Trim(c.Host, "[]"), Port: c.port(), TLS: c.tls(), From: store.Email(c.From), Server: server, Username: c.Username, Roots: roots,
	}
	if c.Username != "" {
		m.Password = c.password
		if _, err := c.password(); err != nil {
			return nil, err
		}
	}
	return notice.NewMail(m)
}

// password is the first line of its file.
func (c SMTPConfig) password() (string, error) {
	text, err := readPrivate(c.PasswordFile)
	if err != nil {
		return "", err
	}
	line := strings.TrimRight(string(text), "\r\n")
	if line == "" || oneLine(line) != line || len(line) > 1<<10 {
		return "", fmt.Errorf("%s: want a password on one line", c.PasswordFile)
	}
	return line, nil
}

func (c WebhookConfig) open(env Environment) (*notice.Hook, error) {
	roots, err := rootsOf(c.CA)
	if err != nil {
		return nil, err
	}
	if _, err := c.secrets(); err != nil {
		return nil, err
	}
	return notice.NewHook(notice.HookConfig{URL: c.URL, Secrets: c.secrets, Now: env.Now, Roots: roots})
}

func (c WebhookConfig) secrets() ([][]byte, error) {
	text, err := readPrivate(c.SecretFile)
	if err != nil {
		return nil, err
	}
	secrets, err := notice.ParseHookSecrets(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.SecretFile, err)
	}
	return secrets, nil
}

// rootsOf reads a PEM file of authorities; without one they are the system's.
func rootsOf(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // as crypto/tls has it
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, errors.New(path + ": no certificate in it")
	}
	return roots, nil
}
