package ca_test

import (
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
)

// liveRequest is a request for a target certificate that is valid now, as the
// relay makes it.
func liveRequest(authority, key ssh.PublicKey, principal string) ca.Request {
	r := request(ca.Target, authority, key)
	r.Principal = principal
	r.ValidAfter, r.ValidBefore = time.Now().Add(-time.Minute), time.Now().Add(time.Minute)
	return r
}

// S1: what the CA signs logs in only as the listed account on the listed host.
func TestS1OnlyTheListedAccount(t *testing.T) {
	key, subject := newKey(t), newKey(t)
	a := newAuthority(t, ca.Target, key)
	db1 := startSSHD(t, "db1", key.PublicKey())
	accounts := []string{db1.account}
	if db1.account == "root" {
		accounts = append(accounts, "nobody")
	}
	tried, opened := 0, 0
	list := []string{
		"root@db1", "nobody@db1", "root@db2", "root@db1.prod", "root@db", "root@db1@db2", "root@db2@db1", "Root@db1", "root$@db1",
		"0root@db1", "x.root@db1", db1.account + "@db1", db1.account + "@db2",
	}
	for r := rand.New(rand.NewPCG(5, 6)); len(list) < rounds(40, 1000); {
		if s := principals(r); wantPrincipal(ca.Target, s) {
			list = append(list, s)
		}
	}
	for _, principal := range list {
		cert := issue(t, a, liveRequest(key.PublicKey(), subject.PublicKey(), principal))
		for _, account := range accounts {
			tried++
			got, want := db1.opens(account, "127.0.0.1", subject, cert), principal == account+"@db1"
			if got != want {
				t.Errorf("principal %s as %s on db1: opens %v, want %v", principal, account, got, want)
			}
			if got {
				opened++
			}
		}
	}
	cert := issue(t, a, liveRequest(key.PublicKey(), subject.PublicKey(), db1.account+"@db1"))
	if got := db1.run(subject, cert, "id -un"); got != db1.account {
		t.Errorf("logged in as %q, want %q", got, db1.account)
	}
	t.Logf("%d logins tried, %d opened", tried, opened)
	// What sshd writes to its log leads to the ledger's entry.
	for _, want := range []string{"vaultpam:target:carol:" + session.String(), "serial 4712"} {
		if !strings.Contains(db1.lines(), want) {
			t.Errorf("sshd's log lacks %q", want)
		}
	}
}

// S7: a stolen target certificate is worth nothing from another address, on
// another host, as another account, or a minute later.
func TestS7TargetCertificate(t *testing.T) {
	key, subject := newKey(t), newKey(t)
	a := newAuthority(t, ca.Target, key)
	db1, db2 := startSSHD(t, "db1", key.PublicKey()), startSSHD(t, "db2", key.PublicKey())
	r := liveRequest(key.PublicKey(), subject.PublicKey(), db1.account+"@db1")
	cert := issue(t, a, r)
	if !db1.opens(db1.account, "127.0.0.1", subject, cert) {
		t.Fatal("the certificate does not open what it is for")
	}
	if db1.opens(db1.account, "127.0.0.2", subject, cert) {
		t.Error("opens from another address")
	}
	if db2.opens(db1.account, "127.0.0.1", subject, cert) {
		t.Error("opens another host")
	}
	r.ValidAfter, r.ValidBefore = r.ValidAfter.Add(-61*time.Second), r.ValidBefore.Add(-61*time.Second)
	if db1.opens(db1.account, "127.0.0.1", subject, issue(t, a, r)) {
		t.Error("opens after its minute")
	}
}

// S1, S7: a direct certificate opens one account on one host until it ends, and
// where it names an address, from there alone. sshd's log says that it was direct.
func TestS7DirectCertificate(t *testing.T) {
	key, subject := newKey(t), newKey(t)
	a := newAuthority(t, ca.Target, key)
	db1, db2 := startSSHD(t, "db1", key.PublicKey()), startSSHD(t, "db2", key.PublicKey())
	r := liveRequest(key.PublicKey(), subject.PublicKey(), db1.account+"@db1")
	r.KeyID, r.ValidBefore = ca.DirectKeyID("carol", 4700), r.ValidBefore.Add(4*time.Minute)
	bound := issue(t, a, r)
	r.SourceAddress = nil
	free := issue(t, a, r)
	r.ValidAfter, r.ValidBefore = r.ValidAfter.Add(-301*time.Second), r.ValidBefore.Add(-301*time.Second)
	over := issue(t, a, r)
	for _, c := range []struct {
		what    string
		host    *sshd
		account string
		from    string
		cert    *ssh.Certificate
		want    bool
	}{
		{"bound, from its address", db1, db1.account, "127.0.0.1", bound, true},
		{"bound, from another", db1, db1.account, "127.0.0.2", bound, false},
		{"free, from anywhere", db1, db1.account, "127.0.0.2", free, true},
		{"another host", db2, db1.account, "127.0.0.1", free, false},
		{"another account", db1, "nobody", "127.0.0.1", free, db1.account == "nobody"},
		{"after its end", db1, db1.account, "127.0.0.1", over, false},
	} {
		if got := c.host.opens(c.account, c.from, subject, c.cert); got != c.want {
			t.Errorf("%s: opens %v, want %v", c.what, got, c.want)
		}
	}
	for _, want := range []string{"vaultpam:direct:carol:4700", "serial 4712"} {
		if !strings.Contains(db1.lines(), want) {
			t.Errorf("sshd's log lacks %q", want)
		}
	}
}

// S6: an extension that is not there, and a command that is, bind at the target.
func TestS6RestrictionsHoldAtTarget(t *testing.T) {
	key, subject := newKey(t), newKey(t)
	a := newAuthority(t, ca.Target, key)
	db1 := startSSHD(t, "db1", key.PublicKey())
	r := liveRequest(key.PublicKey(), subject.PublicKey(), db1.account+"@db1")
	for _, c := range []struct {
		extensions []string
		want       bool
	}{{nil, false}, {[]string{ca.PermitPortForwarding}, true}} {
		r.Extensions = c.extensions
		client, err := db1.login(db1.account, "127.0.0.1", subject, issue(t, a, r))
		if err != nil {
			t.Fatal(err)
		}
		// Forwarded to the very sshd, which is there for certain.
		if _, err := client.Dial("tcp", db1.addr); (err == nil) != c.want {
			t.Errorf("forward with %v: %v, want granted: %v", c.extensions, err, c.want)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
	r.ForceCommand = "echo only this"
	if got := db1.run(subject, issue(t, a, r), "echo anything else"); got != "only this" {
		t.Errorf("forced command gave way to %q", got)
	}
}

// S2: what stock sshd and CheckUser do with certificates that bear a signature
// of the right key and were never built here. Both must refuse an attack; where
// sshd is content, the CA's refusal to build is what protects the host.
func TestS2AttacksOnSSHDAndRelay(t *testing.T) {
	key, subject := newKey(t), newKey(t)
	db1 := startSSHD(t, "db1", key.PublicKey())
	live := func(principal string, spoil func(*ssh.Certificate)) *ssh.Certificate {
		return handSigned(t, key, subject.PublicKey(), func(c *ssh.Certificate) {
			c.ValidPrincipals = []string{principal}
			c.ValidAfter, c.ValidBefore = uint64(time.Now().Add(-time.Minute).Unix()), uint64(time.Now().Add(time.Minute).Unix())
			c.CriticalOptions = map[string]string{"source-address": "127.0.0.1/32"}
			spoil(c)
		})
	}
	foreign := newKey(t)
	attacks := []struct {
		what  string
		spoil func(*ssh.Certificate)
		sshd  bool // whether stock sshd opens
		relay bool // whether CheckUser accepts
	}{
		{"none", func(*ssh.Certificate) {}, true, true},
		{"expired", func(c *ssh.Certificate) { c.ValidBefore = c.ValidAfter + 1 }, false, false},
		{"not yet valid", func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = c.ValidBefore, c.ValidBefore+60 }, false, false},
		{"wildcard", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*"} }, false, false},
		{"wildcard account", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"*@db1"} }, false, false},
		{"empty principals", func(c *ssh.Certificate) { c.ValidPrincipals = nil }, false, false},
		{"empty principal", func(c *ssh.Certificate) { c.ValidPrincipals = []string{""} }, false, false},
		{"comma", func(c *ssh.Certificate) { c.ValidPrincipals = []string{"x," + c.ValidPrincipals[0]} }, false, false},
		{"host type", func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, false, false},
		{"unknown option", func(c *ssh.Certificate) { c.CriticalOptions["x"] = "" }, false, false},
		{"other source", func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "192.0.2.7/32" }, false, false},
		{"malformed source", func(c *ssh.Certificate) { c.CriticalOptions["source-address"] = "127.0.0.1/99" }, false, false},
		{"for ever", func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }, true, false},
		{"two principals", func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "x") }, true, false},
		{"unknown extension", func(c *ssh.Certificate) { c.Extensions["x"] = "" }, true, false},
		{"key ID of a stranger", func(c *ssh.Certificate) { c.KeyId = "carol\nserial 7" }, true, false},
		{"serial 0", func(c *ssh.Certificate) { c.Serial = 0 }, true, false},
	}
	for _, c := range attacks {
		if got := db1.opens(db1.account, "127.0.0.1", subject, live(db1.account+"@db1", c.spoil)); got != c.sshd {
			t.Errorf("%s: sshd opens %v, want %v", c.what, got, c.sshd)
		}
		_, err := ca.CheckUser(live(carol.String(), c.spoil), key.PublicKey(), time.Now(), loopback)
		if (err == nil) != c.relay {
			t.Errorf("%s: CheckUser says %v, want accepted: %v", c.what, err, c.relay)
		}
		t.Logf("%-22s sshd: %-8s relay: %v", c.what, map[bool]string{true: "opens", false: "refuses"}[c.sshd], err)
	}

	byForeign := live(db1.account+"@db1", func(*ssh.Certificate) {})
	if err := byForeign.SignCert(strings.NewReader(strings.Repeat("n", 32)), foreign); err != nil {
		t.Fatal(err)
	}
	inner := handSigned(t, foreign, key.PublicKey(), func(*ssh.Certificate) {})
	nested := live(db1.account+"@db1", func(*ssh.Certificate) {})
	nested.SignatureKey = inner
	sig, err := key.Sign(nil, tbsOf(nested))
	if err != nil {
		t.Fatal(err)
	}
	nested.Signature = sig
	user := issue(t, newAuthority(t, ca.User, foreign), func() ca.Request {
		r := request(ca.User, foreign.PublicKey(), subject.PublicKey())
		r.ValidAfter, r.ValidBefore = time.Now().Add(-time.Minute), time.Now().Add(time.Minute)
		return r
	}())
	for what, cert := range map[string]*ssh.Certificate{"foreign": byForeign, "nested": nested, "user certificate": user} {
		if db1.opens(db1.account, "127.0.0.1", subject, cert) {
			t.Errorf("%s: sshd opens", what)
		}
		if _, err := ca.CheckUser(cert, key.PublicKey(), time.Now(), loopback); err == nil {
			t.Errorf("%s: CheckUser accepts", what)
		} else {
			t.Logf("%-22s sshd: refuses  relay: %v", what, err)
		}
	}
}

// Host certificates: stock ssh believes them for their own name only.
func TestHostCertificateInSSH(t *testing.T) {
	hostCA, targetCA, subject, relay := newKey(t), newKey(t), newKey(t), newKey(t)
	dir := t.TempDir()
	r := request(ca.Host, hostCA.PublicKey(), relay.PublicKey())
	r.ValidAfter, r.ValidBefore = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	write(t, filepath.Join(dir, "host-cert.pub"), string(ssh.MarshalAuthorizedKey(issue(t, newAuthority(t, ca.Host, hostCA), r))))
	if err := ca.WriteKey(filepath.Join(dir, "relay"), relay, nil, ""); err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteKey(filepath.Join(dir, "id"), subject, nil, ""); err != nil {
		t.Fatal(err)
	}
	db1 := startSSHD(t, "db1", targetCA.PublicKey(), "HostKey "+filepath.Join(dir, "relay"), "HostCertificate "+filepath.Join(dir, "host-cert.pub"))
	cert := issue(t, newAuthority(t, ca.Target, targetCA), liveRequest(targetCA.PublicKey(), subject.PublicKey(), db1.account+"@db1"))
	write(t, filepath.Join(dir, "id-cert.pub"), string(ssh.MarshalAuthorizedKey(cert)))
	write(t, filepath.Join(dir, "known_hosts"), "@cert-authority *.pam "+string(ssh.MarshalAuthorizedKey(hostCA.PublicKey())))
	_, port, err := net.SplitHostPort(db1.addr)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"db1.pam": true, "db2.pam": false, "db1.example": false} {
		out, err := exec.CommandContext(t.Context(), "ssh", "-F", "none", "-p", port, "-i", filepath.Join(dir, "id"), "-o", "IdentitiesOnly=yes",
			"-o", "IdentityAgent=none", "-o", "HostKeyAlias="+name, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes",
			"-o", "GlobalKnownHostsFile=none", "-o", "UserKnownHostsFile="+filepath.Join(dir, "known_hosts"),
			"-o", "User="+db1.account, "127.0.0.1", "echo in").CombinedOutput()
		if got := err == nil && strings.Contains(string(out), "in\n"); got != want {
			t.Errorf("as %s: believed %v, want %v: %s", name, got, want, out)
		}
	}
}
