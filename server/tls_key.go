package server

import (
	"crypto/ed25519"
	"crypto/tls"
	"slices"

	"github.com/vaultpam/vaultpam/server/api"
)

// askForKeys returns a configuration that asks clients for a certificate which say
// that they have one (api.KeyProtocol), and serves everybody else as before. The
// certificate is of the client's own making: of all that it says only the key counts,
// which the handshake proves (RFC 8446, section 4.4.3).
func askForKeys(base *tls.Config) *tls.Config {
	asking := base.Clone()
	asking.ClientAuth = tls.RequestClientCert
	// A resumed session would prove that its ticket is there, and not the key.
	asking.SessionTicketsDisabled = true
	asking.NextProtos = []string{"http/1.1"}
	config := base.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, api.KeyProtocol) {
			return asking, nil
		}
		return nil, nil
	}
	return config
}

// shownKey is the key that a client proved in the handshake, or nil.
func shownKey(state *tls.ConnectionState) ed25519.PublicKey {
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil
	}
	key, _ := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return key
}
