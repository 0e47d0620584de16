package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vaultpam/vaultpam/ca"
)

// checkFiles looks at the configuration, the keys and what an init left.
func (c *check) checkFiles() {
	for _, left := range []Dir{c.dir.begun(), c.dir.made()} {
		if there, err := exists(string(left)); err == nil && there {
			c.repairable("%s was left by an init or a restore that died", left)
		}
	}
	c.checkConfig()
	c.checkPrivate(string(c.dir), 0o700, "")
	c.checkPrivate(c.dir.ledger(), 0o600, "")
	c.checkPrivate(c.dir.journal(), 0o600, "")
	c.checkKeys()
	c.checkTLS()
}

func (c *check) checkConfig() {
	var err error
	c.config, err = ReadConfig(c.dir.Config(), c.env.Getenv)
	if errors.Is(err, fs.ErrNotExist) {
		c.damage("take it from a backup, or write it anew with the name that the ledger has", "the configuration %s is not there", c.dir.Config())
	} else if err != nil {
		c.damage("mend the file; docs/configuration.md has every setting", "%v", err)
	}
}

// checkPrivate looks whether a path is there and nobody else's, and reports
// whether it is there. What is not there is a finding where do says what to do.
func (c *check) checkPrivate(path string, mode fs.FileMode, do string) bool {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if do != "" {
			c.damage(do, "%s is not there", path)
		}
		return false
	}
	if err != nil {
		c.damage("see why it can't be reached", "%v", err)
		return false
	}
	if !private(info.Mode()) {
		c.damage(fmt.Sprintf(doChmod, mode, path), "%s can be reached by others (mode %04o)", path, info.Mode().Perm())
	}
	return true
}

// checkKeys looks at every key by itself, and then at all of them together.
func (c *check) checkKeys() {
	if !c.checkPrivate(c.dir.keys(), 0o700, doKeys) {
		return
	}
	whole := true
	for _, name := range []string{userKey, targetKey, hostKey, logKey, secretKey} {
		if !c.checkPrivate(c.dir.key(name), 0o600, doKeys) {
			whole = false
			continue
		}
		if err := c.checkKey(name); err != nil {
			whole = false
			c.damage(doKeys, "the key %s: %v", c.dir.key(name), err)
		}
	}
	if c.checkPrivate(c.dir.EmergencyKey(), 0o600, "") { // it may lie in a safe
		if data, err := os.ReadFile(c.dir.EmergencyKey()); err != nil || !bytes.Contains(data, []byte("PRIVATE KEY")) {
			c.damage(doKeys, "the key %s can't be read", c.dir.EmergencyKey())
		}
	}
	if !whole {
		return
	}
	keys, err := openKeys(c.dir)
	if err != nil {
		return // a mode that others may read is a finding already
	}
	keys.emergency, err = readPublic(c.dir.EmergencyKey() + ".pub")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.damage(doKeys, "%v", err)
	}
	if keys.emergency != nil {
		if err := keys.distinct(); err != nil {
			c.damage(doKeys, "%v", err)
		}
	}
	c.keys = keys
}

// checkKey says what is wrong with a key that is there, its mode aside.
func (c *check) checkKey(name string) error {
	path := c.dir.key(name)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch name {
	case secretKey:
		if len(data) != secretSize {
			return fmt.Errorf("%d bytes, want %d", len(data), secretSize)
		}
		c.secret = data
		return nil
	case logKey:
		if private(info.Mode()) {
			_, err = openLogKey(c.dir)
		}
		return err
	}
	if !private(info.Mode()) {
		return nil // ca.LoadKey refuses it for that alone
	}
	key, err := ca.LoadKey(path, nil)
	if err != nil {
		return err
	}
	public, err := readPublic(path + ".pub")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if public != nil && !bytes.Equal(public.Marshal(), key.PublicKey().Marshal()) {
		return fmt.Errorf("%s.pub is not its public half", path)
	}
	return nil
}

// checkTLS looks at the certificate that the configuration wants, and at the one
// that init made, where it is still there.
func (c *check) checkTLS() {
	do := doKeys
	if c.config.TLS.Mode == TLSFile || c.config.TLS.Mode == TLSACME {
		do = ""
	}
	if c.checkPrivate(c.dir.tlsKey(), 0o600, do) {
		if _, err := tls.LoadX509KeyPair(c.dir.tlsCert(), c.dir.tlsKey()); err != nil {
			c.damage(doKeys, "the TLS certificate %s: %v", c.dir.tlsCert(), err)
		}
	}
	switch t := c.config.TLS; t.Mode {
	case TLSFile:
		if !c.checkPrivate(t.Key, 0o600, doOwnPair) {
			return
		}
		if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
			c.damage(doOwnPair, "the TLS certificate %s: %v", t.Cert, err)
		}
	case TLSACME:
		c.checkACME()
	}
}

// checkACME looks who else can reach what ACME brought. What is not there is
// fetched when the server runs.
func (c *check) checkACME() {
	if !c.checkPrivate(c.dir.acme(), 0o700, "") {
		return
	}
	entries, err := os.ReadDir(c.dir.acme())
	if err != nil {
		c.damage("see why it can't be reached", "%v", err)
		return
	}
	for _, e := range entries {
		c.checkPrivate(filepath.Join(c.dir.acme(), e.Name()), 0o600, "")
	}
}
