package server_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A stepCA is smallstep's step-ca with one JWK provisioner, whose key signs the
// one-time tokens that are its proof of identity: a certificate takes one each,
// and step-ca remembers the token and stores the certificate.
type stepCA struct {
	address string
	issuer  *ecdsa.PrivateKey

	// tokens are requests that nobody has sent yet; sent counts those that are.
	tokens [][]byte
	sent   atomic.Int64
}

const provisionerName = "bench"

// startStepCA starts it on an empty database: badgerv2, its default, or bbolt.
func startStepCA(b *testing.B, program, database string) *peer {
	b.Helper()
	dir := b.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	s := &stepCA{address: freeAddress(b), issuer: key}
	s.configure(b, dir, database)
	p := &peer{
		measured: startPeer(b, dir, program, filepath.Join(dir, "ca.json")),
		name:     "step-ca-" + database,
		newCaller: func(b *testing.B, workers, worker int) *caller {
			if worker == 0 {
				s.prepare(b, b.N+workers)
			}
			return newCaller(b, s.address, trusting(), func() []byte { return s.tokens[s.sent.Add(1)-1] })
		},
		check: func(b *testing.B, body []byte) {
			var answer struct{ Crt []byte }
			if err := json.Unmarshal(body, &answer); err != nil {
				b.Fatal(err)
			}
			key, err := ssh.ParsePublicKey(answer.Crt)
			checkPeer(b, key, err)
		},
	}
	awaitOK(b, insecure(b), "https://"+s.address+"/health")
	return p
}

func (s *stepCA) configure(b *testing.B, dir, database string) {
	b.Helper()
	root := newTLSPair(b, dir, "root", true, nil)
	intermediate := newTLSPair(b, dir, "intermediate", true, root)
	for _, name := range []string{"user", "host"} {
		_, key, err := ed25519.GenerateKey(nil)
		if err != nil {
			b.Fatal(err)
		}
		writeKey(b, filepath.Join(dir, name+".key"), key)
	}
	// The coordinates are 32 bytes each, in the encoding of SEC 1 after its first.
	point, err := s.issuer.PublicKey.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	source := filepath.Join(dir, "db")
	if database == "bbolt" {
		source += ".bbolt"
	}
	writeJSON(b, filepath.Join(dir, "ca.json"), map[string]any{
		"root": root.cert, "crt": intermediate.cert, "key": intermediate.key,
		"address": s.address, "dnsNames": []string{"localhost"},
		"ssh": map[string]any{"userKey": filepath.Join(dir, "user.key"), "hostKey": filepath.Join(dir, "host.key")},
		"db":  map[string]any{"type": database, "dataSource": source},
		"authority": map[string]any{"provisioners": []any{map[string]any{
			"type": "JWK", "name": provisionerName,
			"key": map[string]any{
				"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": provisionerName,
				"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
			},
			"claims": map[string]any{"enableSSHCA": true, "defaultUserSSHCertDuration": "5m"},
		}}},
	})
}

// prepare makes n requests before the clock runs.
func (s *stepCA) prepare(b *testing.B, n int) {
	b.Helper()
	s.tokens = make([][]byte, n)
	s.sent.Store(0)
	keys := make([]ssh.PublicKey, keysPerCaller)
	for i := range keys {
		keys[i] = freshKey(b)
	}
	for i := range s.tokens {
		s.tokens[i] = request(b, "/1.0/ssh/sign", s.address, always(http.Header{}), map[string]any{
			"publicKey": keys[i%len(keys)].Marshal(), "ott": s.token(b), "certType": "user",
			"keyID": "bench", "principals": []string{"bench"},
		})
	}
}

// token is a JSON web token (RFC 7515, RFC 7519) in the form of step's own client.
func (s *stepCA) token(b *testing.B) string {
	b.Helper()
	now := time.Now()
	id := make([]byte, 32)
	rand.Read(id)
	var text string
	for _, part := range []any{
		map[string]any{"alg": "ES256", "kid": provisionerName, "typ": "JWT"},
		map[string]any{
			"iss": provisionerName, "sub": "bench", "aud": "https://localhost/1.0/ssh/sign", "jti": fmt.Sprintf("%x", id),
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
			"step": map[string]any{"ssh": map[string]any{"certType": "user", "keyID": "bench", "principals": []string{"bench"}}},
		},
	} {
		data, err := json.Marshal(part)
		if err != nil {
			b.Fatal(err)
		}
		text += base64.RawURLEncoding.EncodeToString(data) + "."
	}
	text = text[:len(text)-1]
	hash := sha256.Sum256([]byte(text))
	r, t, err := ecdsa.Sign(rand.Reader, s.issuer, hash[:])
	if err != nil {
		b.Fatal(err)
	}
	signature := make([]byte, 64) // RFC 7518, section 3.4
	r.FillBytes(signature[:32])
	t.FillBytes(signature[32:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}
