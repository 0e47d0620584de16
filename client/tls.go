package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"

	"github.com/vaultpam/vaultpam/server/api"
)

// ErrPin is returned when the server shows another key than the pinned one:
// either its key was changed without telling its users, or it is somebody else.
var ErrPin = errors.New("the server's key is not the pinned one")

// tlsConfig recognises a server by its pinned key, or by the system's roots
// where no pin is given.
func tlsConfig(server string, pin []byte) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(server)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", Clean(server), err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: host}
	if len(pin) == 0 {
		return config, nil
	}
	if len(pin) != sha256.Size {
		return nil, fmt.Errorf("pin of %d bytes: want %d", len(pin), sha256.Size)
	}
	// A pinned server has a certificate of its own making, which no root signs,
	// and the pin says more than a root could: this very key. So the chain is
	// not looked at, and the key is, at every handshake. VerifyConnection also
	// runs for resumed sessions, which VerifyPeerCertificate would not.
	config.InsecureSkipVerify = true
	want := bytes.Clone(pin)
	config.VerifyConnection = func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return ErrPin
		}
		got := sha256.Sum256(state.PeerCertificates[0].RawSubjectPublicKeyInfo)
		if !bytes.Equal(got[:], want) {
			return ErrPin
		}
		return nil
	}
	return config, nil
}

// showKey has connections opened with a key, where the server asks for it
// (api.KeyProtocol). The certificate around it says nothing.
func showKey(config *tls.Config, key ed25519.PrivateKey) {
	certificate := sync.OnceValues(func() (*tls.Certificate, error) {
		nothing := &x509.Certificate{SerialNumber: big.NewInt(1)}
		der, err := x509.CreateCertificate(nil, nothing, nothing, key.Public(), key)
		if err != nil {
			return nil, fmt.Errorf("making a certificate for the sign-in session's key: %w", err)
		}
		return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
	})
	config.NextProtos = []string{"http/1.1", api.KeyProtocol}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate() }
}
