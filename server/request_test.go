package server_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
)

// A grant until the Unix epoch, which programs write for "none", must not become
// one without end.
func TestGrantTimesFailClosed(t *testing.T) {
	s := populated(t)
	s.added("carol", "engineer")
	s.target("db1")
	for _, until := range []time.Time{
		time.Unix(0, 0).UTC(), time.Unix(0, 500).UTC(), time.Unix(0, -1).UTC(), time.Unix(0, int64(999*time.Microsecond)).UTC(),
		time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), s.clock.now(), s.clock.now().Add(-time.Second),
	} {
		a := s.ask("POST", api.RouteGrantAdd.Path, s.admin.token, api.Grant{User: "carol", Target: "db1", Logins: []string{"root"}, Until: until})
		s.refused(a, 400)
		a = s.ask("POST", api.RouteGrantAdd.Path, s.admin.token, api.Grant{User: "carol", Target: "db1", Logins: []string{"root"}, From: s.clock.now().Add(time.Hour), Until: until})
		s.refused(a, 400)
	}
	if grants := must[[]api.Grant](s, s.admin, "GET", api.RouteGrants.Path, nil); len(grants) != 0 {
		t.Errorf("%v", grants)
	}
}

// A key comes alone: lines around it would be passed over in silence.
func TestCertificateKeysComeAlone(t *testing.T) {
	s := populated(t)
	good := publicLine(newKey(t))
	other := publicLine(newKey(t))
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := string(ssh.MarshalAuthorizedKey(s.certificate(s.admin)))
	for name, text := range map[string]string{
		"nothing": "", "words": "no key", "two keys": good + "\n" + other, "words before": "x\n" + good, "comment before": "# x\n" + good,
		"options": `command="id" ` + good, "certificate": cert, "raw": string(public), "cut": good[:len(good)-5],
	} {
		if e := s.refused(s.ask("POST", api.RouteCertificate.Path, s.admin.token, api.CertificateRequest{PublicKey: text}), 400); e.Detail == "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
	must[api.CertificateResponse](s, s.admin, "POST", api.RouteCertificate.Path, api.CertificateRequest{PublicKey: good + " carol@laptop\n"})
}
