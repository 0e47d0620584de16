package agent_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/agent"
)

// TestMain lets the test binary be a process of its own: one that keeps the
// identity of a directory fresh, or one that holds its lock.
func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		if err := play(role, os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const roleEnv = "VAULTPAM_TEST_ROLE"

func play(role, dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	switch role {
	case "keeper":
		// Wait until all have started, so that they meet.
		if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
			return err
		}
		_, ca, err := newKey()
		if err != nil {
			return err
		}
		keeper := agent.Keeper{Dir: filepath.Join(dir, "home"), Now: time.Now, Random: rand.Reader}
		keeper.Renew = func(_ context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
			log, err := os.OpenFile(filepath.Join(dir, "renewals"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				return nil, err
			}
			defer log.Close()
			if _, err := fmt.Fprintln(log, os.Getpid()); err != nil {
				return nil, err
			}
			return certify(ca, key, time.Now().Add(-time.Minute), 5*time.Minute)
		}
		id, _, err := keeper.Ensure(ctx)
		if err == nil && agent.NeedsRenewal(id.Cert, time.Now()) {
			err = errors.New("what came back needs renewal")
		}
		return err
	case "holder":
		if _, err := agent.Lock(ctx, dir); err != nil {
			return err
		}
		fmt.Fprintln(os.Stdout, "locked")
		_, err := io.Copy(io.Discard, os.Stdin) // until it is killed
		return err
	default:
		return errors.New("unknown role")
	}
}

func newKey() (ed25519.PrivateKey, ssh.Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(key)
	return key, signer, err
}

func certify(ca ssh.Signer, key ssh.PublicKey, from time.Time, life time.Duration) (*ssh.Certificate, error) {
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, ValidPrincipals: []string{"u:carol"},
		ValidAfter: uint64(from.Unix()), ValidBefore: uint64(from.Add(life).Unix()),
	}
	return cert, cert.SignCert(rand.Reader, ca)
}

// An issuer makes identities for tests.
type issuer struct{ ca ssh.Signer }

func newIssuer(t testing.TB) issuer {
	t.Helper()
	_, ca, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return issuer{ca}
}

// identity returns a fresh key with a certificate.
func (i issuer) identity(t testing.TB, from time.Time, life time.Duration) agent.Identity {
	t.Helper()
	key, signer, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return agent.Identity{Key: key, Cert: i.certify(t, signer.PublicKey(), from, life)}
}

func (i issuer) certify(t testing.TB, key ssh.PublicKey, from time.Time, life time.Duration) *ssh.Certificate {
	t.Helper()
	cert, err := certify(i.ca, key, from, life)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// until waits for done, which it asks every few milliseconds.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-tick.C:
		}
	}
}
