package ca

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// encode writes a certificate up to its signature, as PROTOCOL.certkeys of
// OpenSSH lays it out. x/crypto's Certificate.Marshal gives the same bytes, by
// reflection and much more slowly, and a certificate is encoded three times on its
// way: to build it, to lint what was built, and to check what was signed. The lint
// reads with x/crypto's parser, so a fault here does not get past it.
//
// The caller has looked at the keys: x/crypto panics over the type of one that
// it does not know.
func encode(cert *ssh.Certificate) ([]byte, error) {
	key, authority := marshal(cert.Key), marshal(cert.SignatureKey)
	// What follows the name in a key's encoding stands in the certificate too.
	if len(key) < 4 || uint64(binary.BigEndian.Uint32(key)) > uint64(len(key)-4) {
		return nil, fmt.Errorf("%w: unreadable key", ErrMalformed)
	}
	parameters := key[4+binary.BigEndian.Uint32(key):]

	const around = 256 // names, numbers and lengths of a usual certificate
	b := make([]byte, 0, around+len(cert.Nonce)+len(key)+len(cert.KeyId)+len(authority))
	b = appendString(b, cert.Type())
	b = appendString(b, cert.Nonce)
	b = append(b, parameters...)
	b = binary.BigEndian.AppendUint64(b, cert.Serial)
	b = binary.BigEndian.AppendUint32(b, cert.CertType)
	b = appendString(b, cert.KeyId)
	b = appendList(b, func(b []byte) []byte {
		for _, principal := range cert.ValidPrincipals {
			b = appendString(b, principal)
		}
		return b
	})
	b = binary.BigEndian.AppendUint64(b, cert.ValidAfter)
	b = binary.BigEndian.AppendUint64(b, cert.ValidBefore)
	b = appendOptions(b, cert.CriticalOptions)
	b = appendOptions(b, cert.Extensions)
	b = appendString(b, cert.Reserved)
	b = appendString(b, authority)
	return slices.Clip(b), nil
}

// marshal is Marshal of the key, without its reflection where the key is Ed25519.
func marshal(key ssh.PublicKey) []byte {
	if k, ok := key.(ssh.CryptoPublicKey); ok && key.Type() == ssh.KeyAlgoED25519 {
		if point, ok := k.CryptoPublicKey().(ed25519.PublicKey); ok {
			b := make([]byte, 0, 4+len(ssh.KeyAlgoED25519)+4+len(point))
			return appendString(appendString(b, ssh.KeyAlgoED25519), []byte(point))
		}
	}
	return key.Marshal()
}

// AuthorizedKey returns the text form of a signed certificate, as a line of a
// -cert.pub file without its end: the type and the base64 of its encoding.
func AuthorizedKey(cert *ssh.Certificate) (string, error) {
	tbs, err := toBeSigned(cert)
	if err != nil {
		return "", err
	}
	if cert.Signature == nil {
		return "", fmt.Errorf("%w: it is not signed", ErrSignature)
	}
	whole := appendList(tbs, func(b []byte) []byte {
		b = appendString(b, cert.Signature.Format)
		b = appendString(b, cert.Signature.Blob)
		return append(b, cert.Signature.Rest...)
	})
	return cert.Type() + " " + base64.StdEncoding.EncodeToString(whole), nil
}

// appendOptions appends critical options or extensions: sorted by name, and a
// value that is not empty as a string within a string.
func appendOptions(b []byte, options map[string]string) []byte {
	names := make([]string, 0, 8) // of the five extensions and two options that there are
	for name := range options {
		names = append(names, name)
	}
	slices.Sort(names)
	return appendList(b, func(b []byte) []byte {
		for _, name := range names {
			b = appendString(b, name)
			b = appendList(b, func(b []byte) []byte {
				if value := options[name]; value != "" {
					return appendString(b, value)
				}
				return b
			})
		}
		return b
	})
}

// appendString appends the "string" of RFC 4251, section 5.
func appendString[T string | []byte](b []byte, s T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// appendList appends what add appends, as one string.
func appendList(b []byte, add func([]byte) []byte) []byte {
	start := len(b)
	b = add(append(b, 0, 0, 0, 0))
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}
