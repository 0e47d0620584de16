package agent

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// The files of an identity, in its directory. The certificate's name is the
// one that ssh looks for beside the key.
const (
	KeyFile       = "id_ed25519"
	PublicKeyFile = "id_ed25519.pub"
	CertFile      = "id_ed25519-cert.pub"
)

// maxFile bounds what is read of an identity file.
const maxFile = 64 << 10

// ReadIdentity reads the identity in dir. Its errors are ErrMissing,
// ErrUnreadable, ErrMismatch or ErrExposed.
func ReadIdentity(dir string) (Identity, error) {
	key, err := readKey(filepath.Join(dir, KeyFile))
	if err != nil {
		return Identity{}, fmt.Errorf("reading key: %w", err)
	}
	cert, err := readCert(filepath.Join(dir, CertFile))
	if err != nil {
		return Identity{}, fmt.Errorf("reading certificate: %w", err)
	}
	if err := checkPair(key, cert); err != nil {
		return Identity{}, fmt.Errorf("reading identity: %w: %w", ErrMismatch, err)
	}
	return Identity{Key: key, Cert: cert}, nil
}

func readKey(path string) (ed25519.PrivateKey, error) {
	content, info, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if exposed(info) {
		return nil, fmt.Errorf("%w: %s has mode %v", ErrExposed, path, info.Mode().Perm())
	}
	raw, err := ssh.ParseRawPrivateKey(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	key, ok := raw.(*ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s is not an Ed25519 key", ErrUnreadable, path)
	}
	return *key, nil
}

func readCert(path string) (*ssh.Certificate, error) {
	content, _, err := readFile(path)
	if err != nil {
		return nil, err
	}
	parsed, _, _, _, err := ssh.ParseAuthorizedKey(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	cert, ok := parsed.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%w: %s is not a certificate", ErrUnreadable, path)
	}
	return cert, nil
}

func readFile(path string) ([]byte, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, ErrMissing
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	// Opening a pipe would wait for a writer.
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("%w: %s is not a regular file", ErrUnreadable, path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return content, info, nil
}

// WriteIdentity writes the identity to dir, which it creates, 0700, if needed.
// The caller holds Lock.
//
// When the key is the one that is there, the certificate alone is replaced, in
// one rename: no reader ever sees one that does not fit. Otherwise key, public
// key and certificate are renamed into place directly after each other. A
// process that dies in between leaves an ErrMismatch, which the next run
// renews. Nothing is synced: what a power cut takes is renewed as well.
func WriteIdentity(dir string, id Identity) error {
	if err := checkPair(id.Key, id.Cert); err != nil {
		return fmt.Errorf("writing identity: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("writing identity: %w", err)
	}
	cert := namedContent{CertFile, ssh.MarshalAuthorizedKey(id.Cert)}
	old, err := readKey(filepath.Join(dir, KeyFile))
	if err == nil && bytes.Equal(old, id.Key) {
		return replaceAll(dir, cert)
	}
	block, err := ssh.MarshalPrivateKey(id.Key, "vaultpam")
	if err != nil {
		return fmt.Errorf("writing identity: %w", err)
	}
	return replaceAll(dir,
		namedContent{KeyFile, pem.EncodeToMemory(block)},
		namedContent{PublicKeyFile, ssh.MarshalAuthorizedKey(id.Cert.Key)},
		cert)
}

// RemoveIdentity removes the identity's files from dir, the certificate first.
// Files that are not there are no error.
func RemoveIdentity(dir string) error {
	for _, name := range []string{CertFile, KeyFile, PublicKeyFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing identity: %w", err)
		}
	}
	return nil
}

type namedContent struct {
	name    string
	content []byte
}

// replaceAll writes every file to a temporary one and then renames them, so
// that the renames follow each other with nothing in between. All are 0600.
func replaceAll(dir string, files ...namedContent) error {
	var temporary []string
	defer func() {
		for _, name := range temporary {
			os.Remove(name)
		}
	}()
	for _, f := range files {
		name, err := writeTemporary(dir, f.content)
		if err != nil {
			return fmt.Errorf("writing %s: %w", f.name, err)
		}
		temporary = append(temporary, name)
	}
	for i, f := range files {
		if err := os.Rename(temporary[i], filepath.Join(dir, f.name)); err != nil {
			return fmt.Errorf("replacing identity: %w", err)
		}
	}
	return nil
}

func writeTemporary(dir string, content []byte) (name string, err error) {
	file, err := os.CreateTemp(dir, ".identity-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
		}
	}()
	if _, err = file.Write(content); err != nil {
		return "", err
	}
	return file.Name(), file.Close()
}
