package ca_test

import (
	"crypto/elliptic"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
)

// S8: of a hundred calls at once, and of any later one, one gets a signature.
func TestS8SingleUse(t *testing.T) {
	key := newKey(t)
	a, b := newAuthority(t, ca.Target, key), newAuthority(t, ca.Target, key)
	for range rounds(50, 2000) {
		u, err := ca.Build(request(ca.Target, key.PublicKey(), newKey(t).PublicKey()))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var signed, used atomic.Int32
		start := make(chan struct{})
		for i := range 100 {
			authority := []*ca.Authority{a, b}[i%2]
			wg.Go(func() {
				<-start
				if cert, err := authority.Sign(u); err == nil && cert != nil {
					signed.Add(1)
				} else if errors.Is(err, ca.ErrUsed) && cert == nil {
					used.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		if signed.Load() != 1 || used.Load() != 99 {
			t.Fatalf("%d signed, %d refused as used; want 1 and 99", signed.Load(), used.Load())
		}
		if _, err := a.Sign(u); !errors.Is(err, ca.ErrUsed) {
			t.Fatalf("later: %v, want ErrUsed", err)
		}
	}
}

func TestS9SignOnlyItsOwn(t *testing.T) {
	key := newKey(t)
	for kind := ca.User; kind <= ca.Emergency; kind++ {
		u, err := ca.Build(request(kind, key.PublicKey(), newKey(t).PublicKey()))
		if err != nil {
			t.Fatal(err)
		}
		for other := ca.User; other <= ca.Emergency; other++ {
			if other == kind {
				continue
			}
			if _, err := newAuthority(t, other, key).Sign(u); !errors.Is(err, ca.ErrWrongType) {
				t.Errorf("%v CA on a %v certificate: %v, want ErrWrongType", other, kind, err)
			}
		}
		if _, err := newAuthority(t, kind, newKey(t)).Sign(u); !errors.Is(err, ca.ErrForeign) {
			t.Errorf("%v CA with another key: %v, want ErrForeign", kind, err)
		}
		if _, err := newAuthority(t, kind, key).Sign(u); err != nil {
			t.Errorf("a refusal used the certificate up: %v", err)
		}
	}
	var none *ca.Authority
	for what, sign := range map[string]func() (*ssh.Certificate, error){
		"no authority":   func() (*ssh.Certificate, error) { return none.Sign(nil) },
		"zero authority": func() (*ssh.Certificate, error) { return new(ca.Authority).Sign(new(ca.Unsigned)) },
		"nil":            func() (*ssh.Certificate, error) { return newAuthority(t, ca.User, key).Sign(nil) },
		"zero":           func() (*ssh.Certificate, error) { return newAuthority(t, ca.User, key).Sign(new(ca.Unsigned)) },
	} {
		if cert, err := sign(); err == nil || cert != nil {
			t.Errorf("%s: signed", what)
		}
	}
}

// A faultySigner answers the authority's probe, then turns bad.
type faultySigner struct {
	ssh.Signer
	calls int
	then  func(data []byte) (*ssh.Signature, error)
}

func (s *faultySigner) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	s.calls++
	if s.calls == 1 {
		return s.Signer.Sign(rand, data)
	}
	return s.then(data)
}

// S8: whatever a signer does, nothing leaves that is not what was hashed, and
// the certificate stays used: its entry counts as issued.
func TestS8FaultySigner(t *testing.T) {
	key, other := newKey(t), newKey(t)
	for what, then := range map[string]func([]byte) (*ssh.Signature, error){
		"fails":              func([]byte) (*ssh.Signature, error) { return nil, errors.New("out of reach") },
		"says nothing":       func([]byte) (*ssh.Signature, error) { return nil, nil },
		"signs other bytes":  func([]byte) (*ssh.Signature, error) { return key.Sign(nil, []byte("other")) },
		"signs by other key": func(data []byte) (*ssh.Signature, error) { return other.Sign(nil, data) },
		"says more than asked": func(data []byte) (*ssh.Signature, error) {
			sig, err := key.Sign(nil, data)
			sig.Rest = []byte("x")
			return sig, err
		},
	} {
		a := newAuthority(t, ca.User, &faultySigner{Signer: key, then: then})
		u, err := ca.Build(request(ca.User, key.PublicKey(), newKey(t).PublicKey()))
		if err != nil {
			t.Fatal(err)
		}
		if cert, err := a.Sign(u); err == nil || cert != nil {
			t.Errorf("%s: a certificate came out", what)
		}
		if _, err := a.Sign(u); !errors.Is(err, ca.ErrUsed) {
			t.Errorf("%s: second try: %v, want ErrUsed", what, err)
		}
	}
}

func TestS3NewAuthorityRefuses(t *testing.T) {
	key := newKey(t)
	cert := issue(t, newAuthority(t, ca.User, key), request(ca.User, key.PublicKey(), newKey(t).PublicKey()))
	sha1Only, err := ssh.NewSignerWithAlgorithms(rsaSigner(t, 3072).(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		kind ca.Kind
		key  ssh.Signer
		want error
	}{
		{"no kind", 0, key, nil},
		{"unknown kind", 5, key, nil},
		{"nil", ca.User, nil, nil},
		{"nil key", ca.User, (*ca.Key)(nil), nil},
		{"zero key", ca.User, new(ca.Key), nil},
		{"signer without a key", ca.User, publicAs{key, nil}, nil},
		{"certificate", ca.User, publicAs{key, cert}, ca.ErrNested},
		{"another key's public half", ca.User, publicAs{key, newKey(t).PublicKey()}, ca.ErrSignature},
		{"security key", ca.User, publicAs{key, skKey(t)}, ca.ErrKey},
		{"rsa 2048", ca.User, rsaSigner(t, 2048), ca.ErrKey},
		{"rsa with SHA-1 only", ca.User, sha1Only, ca.ErrKey},
		{"rsa that cannot choose", ca.User, foreignSigner{rsaSigner(t, 3072)}, ca.ErrKey},
	} {
		a, err := ca.NewAuthority(c.kind, c.key)
		if err == nil || a != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if a := newAuthority(t, ca.Host, ecdsaSigner(t, elliptic.P256())); a.Kind() != ca.Host {
		t.Errorf("kind %v", a.Kind())
	}
}

// publicAs shows another public key than its own.
type publicAs struct {
	ssh.Signer
	public ssh.PublicKey
}

func (s publicAs) PublicKey() ssh.PublicKey { return s.public }
