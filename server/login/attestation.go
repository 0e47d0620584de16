package login

import (
	"crypto/x509"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"github.com/vaultpam/vaultpam/server/access"
)

// onCurve refuses a key that no signature will ever verify with: its owner would
// notice when they want to sign in.
func onCurve(cose []byte) error {
	key, err := webauthncose.ParsePublicKey(cose)
	if err != nil {
		return err
	}
	if ec, ok := key.(webauthncose.EC2PublicKeyData); ok {
		point, err := ec.ToECDSA()
		if err != nil {
			return err
		}
		_, err = point.ECDH()
		return err
	}
	return nil
}

// attested holds a credential's attestation to the makers that the company knows.
// The library has verified that the statement fits the credential; whose statement
// it is, is asked here. It looks at the very statement that the library verified,
// and only in the formats in which the first certificate of x5c is the one that
// signed (WebAuthn Level 3, sections 8.2 and 8.3): elsewhere a maker's certificate,
// which is no secret, would prove nothing.
func (p *passkeys) attested(made *protocol.AttestationObject) error {
	refused := &access.Refusal{
		Kind:    access.Forbidden,
		Message: "this server accepts certain models of authenticators, and this one does not prove which it is",
		Hint:    "use a security key that your company gives out",
	}
	format := protocol.AttestationFormat(made.Format)
	chain, ok := made.AttStatement["x5c"].([]any)
	if !ok || len(chain) == 0 || p.roots == nil || format != protocol.AttestationFormatPacked && format != protocol.AttestationFormatTPM {
		return refused
	}
	others := x509.NewCertPool()
	var leaf *x509.Certificate
	for i, c := range chain {
		der, _ := c.([]byte)
		cert, err := x509.ParseCertificate(der)
		switch {
		case err != nil:
			return refused
		case i == 0:
			leaf = cert
		default:
			others.AddCert(cert)
		}
	}
	// What authenticators show lives longer than their batch's certificate.
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: p.roots, Intermediates: others, CurrentTime: leaf.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return refused
	}
	return nil
}
