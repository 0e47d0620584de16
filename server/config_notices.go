package server

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
)

// A NoticesConfig says how people hear of what happens to their accounts.
// Without either of the two nobody does.
type NoticesConfig struct {
	SMTP    SMTPConfig    `yaml:"smtp,omitempty"`
	Webhook WebhookConfig `yaml:"webhook,omitempty"`
}

// An SMTPConfig says which mail server takes notices. Without a host there is
// none.
type SMTPConfig struct {
	Host string `yaml:"host,omitempty" env:"VAULTPAMD_NOTICES_SMTP_HOST"`
	// Port is 587, 465 with TLS "implicit" or 25 with "none-on-loopback" where it
	// is left out.
	Port string `yaml:"port,omitempty" env:"VAULTPAMD_NOTICES_SMTP_PORT"`
	From string `yaml:"from,omitempty" env:"VAULTPAMD_NOTICES_SMTP_FROM"`
	// Username is who signs in; empty is nobody.
	Username     string `yaml:"username,omitempty" env:"VAULTPAMD_NOTICES_SMTP_USERNAME"`
	PasswordFile string `yaml:"password_file,omitempty" env:"VAULTPAMD_NOTICES_SMTP_PASSWORD_FILE"`
	// TLS is starttls, implicit or none-on-loopback.
	TLS notice.MailTLS `yaml:"tls,omitempty" env:"VAULTPAMD_NOTICES_SMTP_TLS"`
	// CA is a PEM file with the roots that the mail server is recognised by, where
	// the system does not know them.
	CA string `yaml:"ca,omitempty" env:"VAULTPAMD_NOTICES_SMTP_CA"`
}

// A WebhookConfig says where notices are posted to. Without a URL nowhere.
type WebhookConfig struct {
	URL        string `yaml:"url,omitempty" env:"VAULTPAMD_NOTICES_WEBHOOK_URL"`
	SecretFile string `yaml:"secret_file,omitempty" env:"VAULTPAMD_NOTICES_WEBHOOK_SECRET_FILE"`
	// CA is a PEM file with the roots that the receiver is recognised by, where the
	// system does not know them.
	CA string `yaml:"ca,omitempty" env:"VAULTPAMD_NOTICES_WEBHOOK_CA"`
}

func (c SMTPConfig) port() string {
	switch {
	case c.Port != "":
		return c.Port
	case c.TLS == notice.ImplicitTLS:
		return "465"
	case c.TLS == notice.NoneOnLoopback:
		return "25"
	}
	return "587"
}

func (c SMTPConfig) tls() notice.MailTLS {
	if c.TLS == "" {
		return notice.STARTTLS
	}
	return c.TLS
}

func (c NoticesConfig) check() error {
	for _, f := range []struct{ field, path string }{
		{"notices.smtp.password_file", c.SMTP.PasswordFile}, {"notices.smtp.ca", c.SMTP.CA},
		{"notices.webhook.secret_file", c.Webhook.SecretFile}, {"notices.webhook.ca", c.Webhook.CA},
	} {
		if f.path != "" && (!filepath.IsAbs(f.path) || oneLine(f.path) != f.path) {
			return fmt.Errorf("%s: %q: want the whole path of a file, such as /etc/vaultpam/smtp-password", f.field, f.path)
		}
	}
	if err := c.SMTP.check(); err != nil {
		return err
	}
	return c.Webhook.check()
}

func (c SMTPConfig) check() error {
	if c == (SMTPConfig{}) {
		return nil
	}
	if err := api.CheckHost(c.Host); err != nil || api.CheckHost(c.Host+":25") != nil {
		return fmt.Errorf("notices.smtp.host: %q: want the name or the address of a mail server", c.Host)
	}
	if p, err := strconv.ParseUint(c.port(), 10, 16); err != nil || p == 0 || strconv.FormatUint(p, 10) != c.port() {
		return fmt.Errorf("notices.smtp.port: %q: want a number from 1 to 65535", c.Port)
	}
	if _, err := store.ParseEmail(c.From); err != nil {
		return fmt.Errorf("notices.smtp.from: %w", err)
	}
	if (c.Username == "") != (c.PasswordFile == "") || oneLine(c.Username) != c.Username {
		return errors.New("notices.smtp.username: want it with notices.smtp.password_file, or neither")
	}
	switch c.tls() {
	case notice.STARTTLS, notice.ImplicitTLS:
		return nil
	case notice.NoneOnLoopback:
		if a, err := netip.ParseAddr(c.Host); c.Host == "localhost" || err == nil && a.IsLoopback() {
			return nil
		}
		return fmt.Errorf("notices.smtp.tls: none-on-loopback is for a mail server on this machine, and %s is none", c.Host)
	}
	return fmt.Errorf("notices.smtp.tls: %q: want starttls, implicit or none-on-loopback", c.TLS)
}

func (c WebhookConfig) check() error {
	if c == (WebhookConfig{}) {
		return nil
	}
	if err := notice.CheckHookURL(c.URL); err != nil {
		return fmt.Errorf("notices.webhook.url: %w", err)
	}
	if c.SecretFile == "" {
		return errors.New("notices.webhook.secret_file: this is where the secret that signs lies")
	}
	return nil
}

// DefaultRecoverPause is Config.RecoverPause where nothing else is said.
const DefaultRecoverPause = "24h"

// recoverPause returns how long the administrators have to stop a recovery.
func (c *Config) recoverPause() (time.Duration, error) {
	text := c.RecoverPause
	if text == "" {
		text = DefaultRecoverPause
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < access.MinRecoverPause || d > access.MaxRecoverPause {
		return 0, fmt.Errorf("recover_pause: %q: want from 1h to 168h", c.RecoverPause)
	}
	return d, nil
}
