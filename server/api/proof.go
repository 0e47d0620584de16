package api

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ProofHeader carries the proof that a call was made by the client that holds the
// key of its sign-in session: "v1 KEY TIME SIGNATURE", where KEY is the Ed25519
// public key and SIGNATURE its signature (RFC 8032), both in base64url without
// padding, and TIME seconds since the Unix epoch. What is signed is
//
//	vaultpam-proof-v1 LF METHOD LF REQUEST-TARGET LF TIME LF
//	hex(SHA-256(token)) LF hex(SHA-256(body)) LF
//
// with the request target as it stands in the request line (RFC 9112, section
// 3.2) and the token of the Authorization header, nothing for who has none yet.
// It is what DPoP (RFC 9449) is for, with the body in it: a proof that was read
// somewhere calls nothing but the same once more, for as long as it lives.
const ProofHeader = "Vaultpam-Proof"

// ProofLife is how far the clocks of a client and the server may be apart, and so
// how long a proof lives.
const ProofLife = 5 * time.Minute

const proofVersion = "v1"

// KeyProtocol is the name in ALPN (RFC 7301) by which a client says that it can
// prove its key in the handshake, by a certificate that it made for it itself
// (mutual TLS as in RFC 8705, section 2.2). Whoever does not name it is not asked:
// browsers would have people choose a certificate. The protocol that is spoken is
// HTTP/1.1, which the client names too.
const KeyProtocol = "vaultpam-key"

// A Signed is what a proof is about.
type Signed struct {
	Method string
	Target string // as in the request line
	Token  []byte
	Body   []byte
}

func (s Signed) message(seconds int64) []byte {
	return fmt.Appendf(nil, "vaultpam-proof-%s\n%s\n%s\n%d\n%x\n%x\n",
		proofVersion, s.Method, s.Target, seconds, sha256.Sum256(s.Token), sha256.Sum256(s.Body))
}

// Prove returns the header's value for a call that is made now.
func Prove(key ed25519.PrivateKey, s Signed, now time.Time) string {
	public, _ := key.Public().(ed25519.PublicKey)
	seconds := now.Unix()
	return strings.Join([]string{
		proofVersion, base64.RawURLEncoding.EncodeToString(public), strconv.FormatInt(seconds, 10),
		base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, s.message(seconds))),
	}, " ")
}

// A ProofError says why a proof proves nothing.
type ProofError struct {
	// Skew is how far the client's clock is ahead where that is what is wrong; 0
	// where it is something else.
	Skew time.Duration
}

func (e *ProofError) Error() string {
	if e.Skew != 0 {
		return fmt.Sprintf("the clock of the machine that made this call is %s off the server's", e.Skew.Round(time.Second).Abs())
	}
	return "the call is not signed as " + ProofHeader + " asks for"
}

// Proved returns the key that a header's value proves to have made a call, or a
// *ProofError. Shown is the key that the connection was opened with, or nil: whoever
// proved that one in the handshake need not sign each call again, and their clock
// is not asked for. On its way through a proxy that ends TLS a connection has
// another key, or none, and the signature counts.
func Proved(header string, s Signed, shown ed25519.PublicKey, now time.Time) ([32]byte, error) {
	var key [32]byte
	parts := strings.Split(header, " ")
	if len(parts) != 4 || parts[0] != proofVersion {
		return key, &ProofError{}
	}
	public, ok := proofBytes(parts[1], len(key))
	if !ok {
		return key, &ProofError{}
	}
	if len(shown) == len(key) && bytes.Equal(public, shown) {
		return [32]byte(public), nil
	}
	seconds, err := strconv.ParseInt(parts[2], 10, 40)
	if err != nil || strconv.FormatInt(seconds, 10) != parts[2] {
		return key, &ProofError{}
	}
	signature, ok := proofBytes(parts[3], ed25519.SignatureSize)
	if !ok || !ed25519.Verify(public, s.message(seconds), signature) {
		return key, &ProofError{}
	}
	// After the signature, so that only whoever holds the key learns the time.
	if skew := time.Unix(seconds, 0).Sub(now); skew.Abs() > ProofLife {
		return key, &ProofError{Skew: skew}
	}
	return [32]byte(public), nil
}

// proofBytes reads a part of the header, which has one spelling. The decoder alone
// passes over line ends.
func proofBytes(text string, size int) ([]byte, bool) {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return data, err == nil && len(data) == size && len(text) == base64.RawURLEncoding.EncodedLen(size)
}
