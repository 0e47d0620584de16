package access_test

import (
	"crypto/rand"
	"crypto/rsa"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func largeKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 4096)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// sign signs what Decide built and compares it with its entry.
func sign(t *testing.T, c *company, d access.Decision) *ssh.Certificate {
	t.Helper()
	e := c.entries[len(c.entries)-1]
	issued := last[*store.CertificateIssued](c)
	if issued.TBS != d.Certificate.Hash() {
		t.Fatalf("the entry holds %x, to be signed is %x", issued.TBS, d.Certificate.Hash())
	}
	cert, err := keys().authorities[d.Certificate.Kind()].Sign(d.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	if got := ca.Hash(cert); got != issued.TBS {
		t.Errorf("signed %x, the entry holds %x", got, issued.TBS)
	}
	if c.state.SerialOf(e.Index) != store.Serial(cert.Serial) {
		t.Errorf("serial %d in entry %d", cert.Serial, e.Index)
	}
	if i, ok := c.state.CertificateIndex(store.Serial(cert.Serial)); !ok || i != e.Index {
		t.Errorf("serial %d is found at %d, %v", cert.Serial, i, ok)
	}
	if issued.Rules != access.Rules {
		t.Errorf("rules %d in the entry", issued.Rules)
	}
	if issued.Expires != store.At(time.Unix(int64(cert.ValidBefore), 0)) {
		t.Errorf("expires %d in the entry, %d in the certificate", issued.Expires, cert.ValidBefore)
	}
	return cert
}

// TestS8UserCertificate: the bytes in the entry are the bytes that are signed.
func TestS8UserCertificate(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.wait(1234 * time.Millisecond)
	cert := sign(t, c, c.do(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()}))
	want := &store.CertificateIssued{
		Kind: store.CertificateUser, User: p.id, TBS: ca.Hash(cert), Rules: access.Rules, SignIn: p.signIn,
		Expires: store.At(noon.Add(301 * time.Second)),
	}
	if diff := cmp.Diff(want, last[*store.CertificateIssued](c)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if after := time.Unix(int64(cert.ValidAfter), 0); !after.Equal(noon.Add(-59 * time.Second)) {
		t.Errorf("valid after %s", after)
	}
	if diff := cmp.Diff([]string{p.id.String()}, cert.ValidPrincipals); diff != "" {
		t.Errorf("principals (-want +got):\n%s", diff)
	}
	if want := ca.UserKeyID("carol", p.signIn).String(); cert.KeyId != want {
		t.Errorf("key ID %q, want %q", cert.KeyId, want)
	}
	if e := c.entries[len(c.entries)-1]; e.Actor.User != p.id {
		t.Errorf("actor %+v", e.Actor)
	}
}

// TestS7TargetCertificate: one principal, one source, two minutes, linked to
// session and user certificate; and the user's own restrictions narrow it.
func TestS7TargetCertificate(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	target := c.target("db1", "root")
	c.grant(p, "db1", 0, 0, "root")
	session := c.session(p, "db1", "root")
	parent := c.state.Next() - 2
	cert := sign(t, c, c.do(access.IssueTargetCertificate{
		Session: session, Key: keys().subject, Nonce: c.random(), ForceCommand: "uptime",
		Extensions: []string{ca.PermitPortForwarding, ca.PermitPTY, ca.PermitAgentForwarding, "something-new"},
	}))
	wantOptions := map[string]string{"force-command": "uptime", "source-address": "198.51.100.1/32"}
	if diff := cmp.Diff(wantOptions, cert.CriticalOptions); diff != "" {
		t.Errorf("critical options (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{ca.PermitPTY: ""}, cert.Extensions); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"root@db1"}, cert.ValidPrincipals); diff != "" {
		t.Errorf("principals (-want +got):\n%s", diff)
	}
	if cert.ValidAfter != uint64(noon.Unix())-60 || cert.ValidBefore != uint64(noon.Unix())+60 {
		t.Errorf("valid from %d to %d, now is %d", cert.ValidAfter, cert.ValidBefore, noon.Unix())
	}
	want := &store.CertificateIssued{
		Kind: store.CertificateTarget, User: p.id, TBS: ca.Hash(cert), Expires: store.At(noon.Add(time.Minute)),
		Rules: access.Rules, Target: target, Login: "root", Session: session, Parent: parent,
	}
	if diff := cmp.Diff(want, last[*store.CertificateIssued](c)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	// Without permit-pty in the user's certificate there is none in this one.
	bare := sign(t, c, c.do(access.IssueTargetCertificate{Session: session, Key: keys().subject, Nonce: c.random(), Extensions: []string{ca.PermitX11Forwarding}}))
	if len(bare.Extensions) != 0 {
		t.Errorf("extensions %v", bare.Extensions)
	}
}

// TestS7TargetCertificateByPurpose: an extension is there where the user's own
// certificate has it and a grant is for it.
func TestS7TargetCertificateByPurpose(t *testing.T) {
	for purposes, want := range map[string]string{
		"shell": "", "local-forward=*:*": ca.PermitPortForwarding, "remote-forward=*:*": ca.PermitPortForwarding,
		"agent-forward": ca.PermitAgentForwarding, "direct": "",
	} {
		c := found(t)
		p := c.employ("carol")
		c.target("db1", "root")
		c.do(access.AddGrant{By: local, User: p.handle, Target: "db1", Logins: []string{"root"}, For: purposes})
		session := c.session(p, "db1", "root")
		all := []string{ca.PermitX11Forwarding, ca.PermitAgentForwarding, ca.PermitPortForwarding, ca.PermitPTY, ca.PermitUserRC}
		issued := func(left []string) map[string]string {
			return sign(t, c, c.do(access.IssueTargetCertificate{Session: session, Key: keys().subject, Nonce: c.random(), Extensions: left})).Extensions
		}
		wanted := map[string]string{ca.PermitPTY: ""}
		if want != "" {
			wanted[want] = ""
		}
		if diff := cmp.Diff(wanted, issued(all)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", purposes, diff)
		}
		if got := issued([]string{ca.PermitPTY}); len(got) != 1 {
			t.Errorf("%s, and the user's own certificate without it: %v", purposes, got)
		}
	}
}

// TestS10Serials: no two certificates share a serial, and serials that were
// never given out are known as such.
func TestS10Serials(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	seen := map[store.Serial]bool{}
	for range 50 {
		d := c.do(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()})
		if seen[d.Certificate.Serial()] {
			t.Fatalf("serial %d twice", d.Certificate.Serial())
		}
		seen[d.Certificate.Serial()] = true
	}
	for _, serial := range []store.Serial{0, store.Serial(c.state.Next()), store.EmergencySerial, store.SerialLimit, 1<<64 - 1} {
		if i, ok := c.state.CertificateIndex(serial); ok {
			t.Errorf("serial %d is found at %d", serial, i)
		}
	}
}

// TestS41SerialsAfterRestore: a ledger that was restored from a backup gives out
// no serial again that the lost entries may have had, and knows none of those.
func TestS41SerialsAfterRestore(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	issue := func() store.Serial {
		t.Helper()
		d := c.do(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()})
		sign(t, c, d)
		return d.Certificate.Serial()
	}
	kept := issue()
	for range 3 {
		backup, size := c.state, len(c.entries)
		lost := []store.Serial{issue(), issue(), issue()}
		c.state, c.entries = backup, c.entries[:size]
		c.do(access.RestoreLedger{Size: uint64(c.state.Next()) + 3, Root: c.hash()})
		fresh := issue()
		if fresh <= lost[2] {
			t.Errorf("serial %d after a restore that lost %d", fresh, lost[2])
		}
		for _, serial := range lost {
			if i, ok := c.state.CertificateIndex(serial); ok {
				t.Errorf("the lost serial %d is found at %d", serial, i)
			}
		}
		for _, serial := range []store.Serial{kept, fresh} {
			i, ok := c.state.CertificateIndex(serial)
			if !ok || c.state.SerialOf(i) != serial {
				t.Errorf("serial %d is found at %d, %v", serial, i, ok)
			}
			if _, ok := c.entries[i].Event.(*store.CertificateIssued); !ok {
				t.Errorf("serial %d is that of %s", serial, c.entries[i].Event.EventType())
			}
		}
		reopened, err := access.OpenSnapshot(snapshot(t, c.state), c.text)
		if err != nil {
			t.Fatal(err)
		}
		if reopened.SerialOf(reopened.Next()) != c.state.SerialOf(c.state.Next()) {
			t.Error("another base after a snapshot")
		}
	}
	if _, err := access.Apply(c.state, &store.Entry{Index: c.state.Next(), Time: c.state.Time(), Event: &store.LedgerRestored{Base: 1}}, noTexts); err == nil {
		t.Error("the base was lowered")
	}
}

// TestErasedHandle: who has no handle any more gets no certificate.
func TestErasedHandle(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	erased, err := access.OpenSnapshot(snapshot(t, c.state), noTexts)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = access.Decide(erased, access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()}, c.now)
	if err == nil {
		t.Error("issued")
	}
}

// TestS10SameBackupTwice: two servers that are made of one backup, a drill and
// the real thing, give out no serial in common.
func TestS10SameBackupTwice(t *testing.T) {
	c := found(t)
	var bases []uint64
	for _, later := range []time.Duration{0, time.Hour} {
		d, _, err := access.Decide(c.state, access.RestoreLedger{}, c.at().Time().Add(later))
		if err != nil {
			t.Fatal(err)
		}
		bases = append(bases, d.Events[0].(*store.LedgerRestored).Base)
	}
	// As many as the first could have issued in the hour between, at a million a second.
	if bases[1]-bases[0] < 3600*1_000_000 {
		t.Errorf("bases %d", bases)
	}
}
