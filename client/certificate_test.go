package client_test

import (
	"crypto/rand"
	"errors"
	"net/http"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// What a server hands out is put on the disk and into the agent: it has to be
// what was asked for.
func TestCertificateIsHeldToTheQuestion(t *testing.T) {
	ca, own, other := newSigner(t), newSigner(t), newSigner(t)
	now := uint64(time.Now().Unix())
	user := store.UserID{1}.String()
	for name, spoil := range map[string]func(c *ssh.Certificate) (serial uint64){
		"good":                   nil,
		"another key":            func(c *ssh.Certificate) uint64 { c.Key = other.PublicKey(); return 7 },
		"a host's":               func(c *ssh.Certificate) uint64 { c.CertType = ssh.HostCert; return 7 },
		"another serial":         func(*ssh.Certificate) uint64 { return 8 },
		"an emergency serial":    func(c *ssh.Certificate) uint64 { c.Serial = uint64(store.EmergencySerial); return c.Serial },
		"no principal":           func(c *ssh.Certificate) uint64 { c.ValidPrincipals = nil; return 7 },
		"two principals":         func(c *ssh.Certificate) uint64 { c.ValidPrincipals = []string{user, user}; return 7 },
		"a principal of a host":  func(c *ssh.Certificate) uint64 { c.ValidPrincipals = []string{"root@db1"}; return 7 },
		"a bare account":         func(c *ssh.Certificate) uint64 { c.ValidPrincipals = []string{"root"}; return 7 },
		"for ever":               func(c *ssh.Certificate) uint64 { c.ValidBefore = ssh.CertTimeInfinity; return 7 },
		"for two days":           func(c *ssh.Certificate) uint64 { c.ValidBefore = now + 2*24*3600; return 7 },
		"for less than no time":  func(c *ssh.Certificate) uint64 { c.ValidBefore = c.ValidAfter; return 7 },
		"ending before it began": func(c *ssh.Certificate) uint64 { c.ValidBefore = c.ValidAfter - 1; return 7 },
	} {
		t.Run(name, func(t *testing.T) {
			cert := &ssh.Certificate{
				Key: own.PublicKey(), CertType: ssh.UserCert, Serial: 7, KeyId: "7",
				ValidPrincipals: []string{user}, ValidAfter: now - 60, ValidBefore: now + 300,
			}
			resp := api.CertificateResponse{Serial: 7}
			if spoil != nil {
				resp.Serial = spoil(cert)
			}
			if err := cert.SignCert(rand.Reader, ca); err != nil {
				t.Fatal(err)
			}
			resp.Certificate = string(ssh.MarshalAuthorizedKey(cert))
			got, err := askCertificate(t, own.PublicKey(), resp)
			if spoil == nil && (err != nil || got.Serial != 7) {
				t.Errorf("got %v (%v)", got, err)
			}
			if spoil != nil && (!errors.Is(err, client.ErrAnswer) || got != nil) {
				t.Errorf("got %v (%v), want ErrAnswer", got, err)
			}
		})
	}
	t.Run("changed after it was signed", func(t *testing.T) {
		cert := &ssh.Certificate{
			Key: own.PublicKey(), CertType: ssh.UserCert, Serial: 7,
			ValidPrincipals: []string{user}, ValidAfter: now - 60, ValidBefore: now + 300,
		}
		if err := cert.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		cert.ValidBefore++
		resp := api.CertificateResponse{Serial: 7, Certificate: string(ssh.MarshalAuthorizedKey(cert))}
		if _, err := askCertificate(t, own.PublicKey(), resp); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("got %v, want ErrAnswer", err)
		}
	})
	t.Run("a plain key", func(t *testing.T) {
		resp := api.CertificateResponse{Serial: 7, Certificate: string(ssh.MarshalAuthorizedKey(own.PublicKey()))}
		if _, err := askCertificate(t, own.PublicKey(), resp); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("got %v, want ErrAnswer", err)
		}
	})
}

func askCertificate(t *testing.T, key ssh.PublicKey, resp api.CertificateResponse) (*ssh.Certificate, error) {
	t.Helper()
	f := newFake(t)
	f.handle(api.RouteCertificate, func(w http.ResponseWriter, _ *http.Request) { answer(w, resp) })
	return f.signedIn(t).Certificate(t.Context(), key)
}
