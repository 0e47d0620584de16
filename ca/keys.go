package ca

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/crypto/ssh"
)

// ErrPassphrase means that a key file needs a passphrase and got none, got the
// wrong one, or got one although the file is not encrypted.
var ErrPassphrase = errors.New("passphrase does not fit the key file")

const (
	publicSuffix = ".pub"
	maxKeyFile   = 64 << 10
)

// WriteKey writes the key to path in OpenSSH's private key format (PROTOCOL.key),
// mode 0600 and encrypted if there is a passphrase, so that stock ssh-keygen can
// use it when VaultPAM is down; and the public half, in authorized_keys format,
// to path.pub, mode 0644. Neither file may exist: a CA key that is overwritten
// is lost. Both are durable when WriteKey returns.
//
// The private key appears last and whole. If the process dies before that, a
// .pub file without a key, or a ".tmp" file, is what is left.
func WriteKey(path string, key *Key, passphrase []byte, comment string) error {
	if !key.usable() {
		return fmt.Errorf("writing key %s: no key", path)
	}
	if strings.ContainsFunc(comment, unicode.IsControl) {
		return fmt.Errorf("writing key %s: comment holds a control character", path)
	}
	private, err := encodeKey(key, passphrase, comment)
	if err != nil {
		return fmt.Errorf("writing key %s: %w", path, err)
	}
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key.public)), "\n")
	public := []byte(strings.TrimSuffix(line+" "+comment, " ") + "\n")

	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("writing key: %w", takenError(path))
	}
	if err := writeNew(path+publicSuffix, public, 0o644); err != nil {
		return fmt.Errorf("writing public key: %w", err)
	}
	if err := writeNew(path, private, 0o600); err != nil {
		return errors.Join(fmt.Errorf("writing key: %w", err), os.Remove(path+publicSuffix))
	}
	return nil
}

func encodeKey(key *Key, passphrase []byte, comment string) ([]byte, error) {
	var block *pem.Block
	var err error
	if len(passphrase) > 0 {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key.private, comment, passphrase)
	} else {
		block, err = ssh.MarshalPrivateKey(key.private, comment)
	}
	if err != nil {
		return nil, errors.New("encoding it") // whatever went wrong had the key in its hands
	}
	return pem.EncodeToMemory(block), nil
}

// writeNew makes a file that is either absent or whole and durable: written and
// synced under another name, then linked, which fails where the name is taken.
func writeNew(path string, data []byte, mode os.FileMode) error {
	dir := filepath.Dir(path)
	temp, err := writeTemp(dir, filepath.Base(path), data, mode)
	if err != nil {
		return err
	}
	err = os.Link(temp, path)
	if err != nil {
		if errors.Is(err, os.ErrExist) {
			err = takenError(path)
		}
		return errors.Join(err, os.Remove(temp))
	}
	// The second name must go, too: nobody would guard it.
	if err = os.Remove(temp); err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

func writeTemp(dir, base string, data []byte, mode os.FileMode) (string, error) {
	f, err := os.CreateTemp(dir, base+".*.tmp") // mode 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func takenError(path string) error {
	return fmt.Errorf("%s: %w, and a key is never overwritten; move it away if it is not needed", path, os.ErrExist)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// LoadKey reads a key that [WriteKey] or ssh-keygen wrote: Ed25519, in OpenSSH's
// format. It refuses a file that others may read, and anything but a regular
// file, symbolic links included. A passphrase that does not fit is ErrPassphrase.
// No error repeats anything of the file.
func LoadKey(path string, passphrase []byte) (*Key, error) {
	data, err := readPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("loading key: %w", err)
	}
	defer clear(data)
	key, err := decodeKey(data, passphrase)
	if err != nil {
		return nil, fmt.Errorf("loading key %s: %w", path, err)
	}
	return key, nil
}

func readPrivate(path string) ([]byte, error) {
	named, err := os.Lstat(path) // before opening: a pipe would block
	if err != nil {
		return nil, err
	}
	if !named.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !os.SameFile(named, info) {
		return nil, fmt.Errorf("%s was replaced while it was opened", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o and others may read or change it; if nobody has, run chmod 600 %s", path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxKeyFile {
		return nil, fmt.Errorf("%s is too large for a key", path)
	}
	return data, nil
}

func decodeKey(data, passphrase []byte) (*Key, error) {
	raw, err := ssh.ParseRawPrivateKey(data)
	if missing := (*ssh.PassphraseMissingError)(nil); errors.As(err, &missing) {
		if len(passphrase) == 0 {
			return nil, fmt.Errorf("%w: it is encrypted and needs one", ErrPassphrase)
		}
		raw, err = ssh.ParseRawPrivateKeyWithPassphrase(data, passphrase)
	} else if err == nil && len(passphrase) > 0 {
		return nil, fmt.Errorf("%w: it is not encrypted", ErrPassphrase)
	}
	if errors.Is(err, x509.IncorrectPasswordError) {
		return nil, fmt.Errorf("%w: it is another one", ErrPassphrase)
	}
	if err != nil {
		return nil, errors.New("not a private key in OpenSSH format, or damaged")
	}
	private, ok := raw.(*ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: not an ed25519 key", ErrKey)
	}
	// The file holds both halves and nothing binds them: signing with a false
	// public half would give the private one away.
	if !bytes.Equal(ed25519.NewKeyFromSeed(private.Seed()), *private) {
		return nil, fmt.Errorf("%w: its two halves do not belong together", ErrKey)
	}
	return newKey(*private)
}
