package target

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// hostKeysIn returns the host keys of dir and their files, making what is
// missing. A process that dies here leaves a key or none: the next start goes on.
func hostKeysIn(dir string) (public []ssh.PublicKey, signers []ssh.Signer, files []string, err error) {
	for _, kind := range []struct {
		file     string
		generate func() (crypto.PrivateKey, error)
	}{
		{"ssh_host_ed25519_key", func() (crypto.PrivateKey, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		}},
		{"ssh_host_ecdsa_key", func() (crypto.PrivateKey, error) {
			return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}},
	} {
		path := filepath.Join(dir, kind.file)
		signer, err := hostKeyAt(path, kind.generate)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("host key %s: %w", kind.file, err)
		}
		public, signers, files = append(public, signer.PublicKey()), append(signers, signer), append(files, path)
	}
	return public, signers, files, nil
}

func hostKeyAt(path string, generate func() (crypto.PrivateKey, error)) (ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if err == nil {
		return ssh.ParsePrivateKey(text)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := generate()
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, path); err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(key)
}
