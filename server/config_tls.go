package server

import (
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// A TLSMode says where the certificate of the API comes from.
type TLSMode string

// The modes.
const (
	// TLSSelfSigned is the certificate that init made. Invitations pin its key;
	// browsers refuse it.
	TLSSelfSigned TLSMode = "self-signed"
	// TLSFile is a certificate of one's own, renewed by somebody else.
	TLSFile TLSMode = "file"
	// TLSACME is a certificate that the server gets by ACME (RFC 8555).
	TLSACME TLSMode = "acme"
)

// LetsEncrypt is the directory of Let's Encrypt.
const LetsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"

// A TLSConfig says where the certificate of the API comes from. What belongs to
// another mode than the one that is chosen must be right as well, and is not
// used.
type TLSConfig struct {
	Mode TLSMode `yaml:"mode,omitempty" env:"VAULTPAMD_TLS_MODE"`
	// Cert and Key are PEM files; Cert is followed by its intermediates. For the
	// mode file.
	Cert string `yaml:"cert,omitempty" env:"VAULTPAMD_TLS_CERT"`
	Key  string `yaml:"key,omitempty" env:"VAULTPAMD_TLS_KEY"`
	// Directory is the URL of an ACME directory; empty is LetsEncrypt. This and
	// the rest are for the mode acme.
	Directory string `yaml:"directory,omitempty" env:"VAULTPAMD_TLS_DIRECTORY"`
	// DirectoryCA is a PEM file with the roots that the directory is recognised
	// by, where the system does not know them.
	DirectoryCA string `yaml:"directory_ca,omitempty" env:"VAULTPAMD_TLS_DIRECTORY_CA"`
	// Email is whom the certificate authority writes to. May be empty.
	Email string `yaml:"email,omitempty" env:"VAULTPAMD_TLS_EMAIL"`
	// AcceptTerms says that the operator accepts the directory's terms of
	// service. Nobody else can.
	AcceptTerms bool `yaml:"accept_terms,omitempty" env:"VAULTPAMD_TLS_ACCEPT_TERMS"`
}

// directory is who is asked for certificates.
func (c TLSConfig) directory() string {
	if c.Directory == "" {
		return LetsEncrypt
	}
	return c.Directory
}

func (c TLSConfig) check(name string) error {
	for _, f := range []struct{ field, path string }{
		{"tls.cert", c.Cert}, {"tls.key", c.Key}, {"tls.directory_ca", c.DirectoryCA},
	} {
		if err := checkPath(f.field, f.path); err != nil {
			return err
		}
	}
	if c.Directory != "" && !isDirectory(c.Directory) {
		return fmt.Errorf("tls.directory: %q: want a URL that begins with https://", c.Directory)
	}
	if a, err := mail.ParseAddress(c.Email); c.Email != "" && (err != nil || a.Address != c.Email) {
		return fmt.Errorf("tls.email: %q: want NAME@HOST", c.Email)
	}
	switch c.Mode {
	case TLSSelfSigned:
		return nil
	case TLSFile:
		return c.checkFile()
	case TLSACME:
		return c.checkACME(name)
	}
	return fmt.Errorf("tls.mode: %q: want self-signed, file or acme", c.Mode)
}

func (c TLSConfig) checkFile() error {
	if c.Cert == "" {
		return errors.New("tls.cert: tls.mode is file, and this is where the certificate lies")
	}
	if c.Key == "" {
		return errors.New("tls.key: tls.mode is file, and this is where the certificate's key lies")
	}
	return nil
}

// checkACME refuses what no authority would issue for, before it is asked and
// counts the attempt.
func (c TLSConfig) checkACME(name string) error {
	if _, err := netip.ParseAddr(name); err == nil || !strings.Contains(name, ".") {
		return fmt.Errorf("tls.mode: acme needs a host name with a dot in it, and this server's name is %s", name)
	}
	if !c.AcceptTerms {
		return fmt.Errorf("tls.accept_terms: want true, which says that you accept the terms of service of %s", c.directory())
	}
	return nil
}

// isDirectory reports whether s can be the URL of an ACME directory: https, and
// without anything that says more than where it is.
func isDirectory(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == "" && oneLine(s) == s
}

// checkPath refuses what names another file in another working directory.
func checkPath(field, path string) error {
	if path != "" && (!filepath.IsAbs(path) || oneLine(path) != path) {
		return fmt.Errorf("%s: %q: want the whole path of a file, such as /etc/ssl/vaultpam/file.pem", field, path)
	}
	return nil
}
