package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const everything = "shell; exec; no-tty; sftp=read-write; direct"

func (c *company) direct(p person, target store.TargetName, login store.Login) access.IssueDirectCertificate {
	return access.IssueDirectCertificate{
		By: p.caller(), Target: target, Login: login, Key: keys().subject, Source: "192.0.2.7", Nonce: c.random(), Salt: c.random(),
	}
}

// TestS7DirectCertificate: one principal, the address that was asked from, five
// minutes, a key ID and an entry that say direct and lead to the sign-in and grant.
func TestS7DirectCertificate(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	target := c.target("db1", "root")
	c.grant(p, "db1", 0, 0, "root")
	c.do(access.AddGrant{By: local, User: "carol", Targets: "*", Logins: []string{"root"}, For: "direct"})
	grant := c.state.Next() - 1
	cmd := c.direct(p, "db1", "root")
	cert := sign(t, c, c.do(cmd))
	if diff := cmp.Diff(map[string]string{"source-address": "192.0.2.7/32"}, cert.CriticalOptions); diff != "" {
		t.Errorf("critical options (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{ca.PermitPTY: ""}, cert.Extensions); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"root@db1"}, cert.ValidPrincipals); diff != "" {
		t.Errorf("principals (-want +got):\n%s", diff)
	}
	if cert.CertType != ssh.UserCert || cert.KeyId != ca.DirectKeyID("carol", p.signIn).String() {
		t.Errorf("type %d, key ID %q", cert.CertType, cert.KeyId)
	}
	if cert.ValidAfter != uint64(noon.Unix())-60 || cert.ValidBefore != uint64(noon.Unix())+300 {
		t.Errorf("valid from %d to %d, now is %d", cert.ValidAfter, cert.ValidBefore, noon.Unix())
	}
	source := store.Opening{Owner: p.id, Field: store.FieldSource, Salt: cmd.Salt, Text: "192.0.2.7"}
	want := &store.CertificateIssued{
		Kind: store.CertificateTarget, User: p.id, TBS: ca.Hash(cert), Expires: store.At(noon.Add(5 * time.Minute)),
		Rules: access.Rules, SignIn: p.signIn, Target: target, Login: "root", Direct: true, Grant: grant, Source: source.Commit(),
	}
	if diff := cmp.Diff(want, last[*store.CertificateIssued](c)); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if text, _ := c.text(want.Source); text != "192.0.2.7" {
		t.Errorf("source %q", text)
	}
}

// TestDirectPurposes: a direct certificate is for whoever may do everything that it
// opens, and its extensions permit no more than is granted.
func TestDirectPurposes(t *testing.T) {
	const narrow, not = "some of it is not allowed: ", "but not past the relay"
	for _, c := range []struct {
		grants    []string
		forbidden string
		want      string // extensions, or what the refusal says
	}{
		{grants: []string{everything}, want: "permit-pty"},
		{grants: []string{"", "direct"}, want: "permit-pty"},
		{grants: []string{"shell; exec", "no-tty; direct", "sftp=read-write"}, want: "permit-pty"},
		{grants: []string{everything, "exec=uptime; sftp=read-only"}, want: "permit-pty"},
		{grants: []string{""}, want: not},
		{grants: []string{"direct"}, want: narrow + "shell; exec; no-tty; sftp=read-write"},
		{grants: []string{"shell; no-tty; sftp=read-write; direct"}, want: narrow + "exec"},
		{grants: []string{"shell; exec=rsync --server *; no-tty; sftp=read-write; direct"}, want: narrow + "exec"},
		{grants: []string{"shell; exec; sftp=read-write; direct"}, want: narrow + "no-tty"},
		{grants: []string{"exec; no-tty; sftp=read-write; direct"}, want: narrow + "shell"},
		{grants: []string{"shell; exec; no-tty; direct"}, want: narrow + "sftp=read-write"},
		{grants: []string{"shell; exec; no-tty; sftp=read-only; direct"}, want: narrow + "sftp=read-write"},
		{grants: []string{everything}, forbidden: "direct", want: "forbidden to carol by guardrail"},
		{grants: []string{everything}, forbidden: "sftp=read-write", want: narrow + "sftp=read-write"},
		{grants: []string{everything}, forbidden: "shell", want: narrow + "shell"},
		{grants: []string{everything + "; agent-forward"}, want: "permit-agent-forwarding permit-pty"},
		{grants: []string{everything + "; local-forward=*:*; local-forward=unix:*"}, want: "permit-pty"},
		{grants: []string{everything + "; local-forward=10.0.0.5:5432; remote-forward=*:*"}, want: "permit-pty"},
		{grants: []string{everything + "; local-forward=*:*; remote-forward=*:*"}, want: "permit-pty"},
		{
			grants: []string{everything + "; local-forward=*:*; local-forward=unix:*", "remote-forward=*:*; remote-forward=unix:*"},
			want:   "permit-port-forwarding permit-pty",
		},
		{
			grants:    []string{everything + "; local-forward=*:*; local-forward=unix:*; remote-forward=*:*; remote-forward=unix:*; agent-forward"},
			forbidden: "remote-forward; agent-forward", want: "permit-pty",
		},
	} {
		co := found(t)
		p := co.employ("carol")
		co.target("db1", "root")
		for _, g := range c.grants {
			co.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: g})
		}
		if c.forbidden != "" {
			co.do(access.AddGuardrail{By: local, Targets: "*", For: c.forbidden})
		}
		d, err := co.decide(co.direct(p, "db1", "root"))
		if err != nil {
			if !strings.Contains(err.Error(), c.want) || strings.HasPrefix(c.want, "permit") {
				t.Errorf("%v without %q: %v, want %q", c.grants, c.forbidden, err, c.want)
			}
			if r := last[*store.SessionRefused](co); r.Reason != store.RefusedDirect || r.User != p.id || r.Login != "root" {
				t.Errorf("%v without %q: noted as %+v", c.grants, c.forbidden, r)
			}
			continue
		}
		var got []string
		for _, name := range []string{ca.PermitX11Forwarding, ca.PermitAgentForwarding, ca.PermitPortForwarding, ca.PermitPTY, ca.PermitUserRC} {
			if _, ok := sign(t, co, d).Extensions[name]; ok {
				got = append(got, name)
			}
			d = co.do(co.direct(p, "db1", "root")) // each is signed once
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v without %q: extensions %v, want %s", c.grants, c.forbidden, got, c.want)
		}
	}
}

// TestDirectIsDecidedAsASession: whoever could not start a session gets the same
// refusal for a direct certificate, and the ledger the same entry.
func TestDirectIsDecidedAsASession(t *testing.T) {
	for what, c := range map[string]struct {
		add    access.AddGrant
		before func(*company, *person)
		want   store.Refusal
	}{
		"no grant":     {access.AddGrant{Target: "db2"}, nil, store.RefusedNoGrant},
		"not yet":      {access.AddGrant{From: store.At(noon.Add(time.Hour))}, nil, store.RefusedNotYet},
		"ended":        {access.AddGrant{Until: store.At(noon.Add(time.Minute))}, func(c *company, _ *person) { c.wait(time.Minute) }, store.RefusedEnded},
		"hours":        {access.AddGrant{Hours: "Sat-Sun 10:00-16:00 UTC"}, nil, store.RefusedHours},
		"another user": {access.AddGrant{Logins: []string{"deploy"}}, nil, store.RefusedLogin},
		"a touch":      {access.AddGrant{Conditions: store.Conditions{Passkey: 5}}, nil, store.RefusedTouch},
		"a request":    {access.AddGrant{Conditions: store.Conditions{Reason: true}}, nil, store.RefusedRequest},
		"locked target": {access.AddGrant{}, func(c *company, _ *person) {
			c.do(access.AddLock{By: local, What: access.Lockable{Target: "db1"}, Why: "x", Salt: c.random()})
		}, store.RefusedLock},
		"a guardrail": {access.AddGrant{}, func(c *company, _ *person) { c.do(access.AddGuardrail{By: local, Targets: "*"}) }, store.RefusedGuardrail},
	} {
		co := found(t)
		p := co.employ("carol")
		co.target("db1", "root", "deploy")
		co.target("db2", "root")
		add := c.add
		add.By, add.User, add.For = local, "carol", everything
		if add.Target == "" {
			add.Target = "db1"
		}
		if add.Logins == nil {
			add.Logins = []string{"root"}
		}
		co.do(add)
		if c.before != nil {
			c.before(co, &p)
		}
		r := co.refused(co.direct(p, "db1", "root"))
		if r.Reason != c.want || last[*store.SessionRefused](co).Reason != c.want {
			t.Errorf("%s: %+v, want the reason %s", what, r, c.want)
		}
		if session := co.refused(co.start(p, "db1", "root")); session.Message != r.Message || session.Hint != r.Hint {
			t.Errorf("%s: a session is refused with %+v, a certificate with %+v", what, session, r)
		}
	}
}

// TestDirectEnds: a direct certificate ends with what allows it, to the second.
func TestDirectEnds(t *testing.T) {
	closing := time.Date(2026, 11, 2, 18, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		add  access.AddGrant
		more *access.AddGrant
		at   time.Time
		want time.Time
	}{
		"five minutes":          {at: noon, want: noon.Add(5 * time.Minute)},
		"the grant's end":       {add: access.AddGrant{Until: store.At(noon.Add(90 * time.Second))}, at: noon, want: noon.Add(90 * time.Second)},
		"the hours' end":        {add: access.AddGrant{Hours: "Mon-Fri 08:00-18:00 UTC"}, at: closing.Add(-time.Minute), want: closing},
		"another grant goes on": {add: access.AddGrant{Until: store.At(noon.Add(90 * time.Second))}, more: &access.AddGrant{For: everything}, at: noon, want: noon.Add(5 * time.Minute)},
		"what goes on is less":  {add: access.AddGrant{Until: store.At(noon.Add(90 * time.Second))}, more: &access.AddGrant{For: "shell; direct"}, at: noon, want: noon.Add(90 * time.Second)},
		"another begins":        {more: &access.AddGrant{For: "shell", From: store.At(noon.Add(time.Minute))}, at: noon, want: noon.Add(5 * time.Minute)},
		"the sign-in's end":     {at: noon.Add(signInLife - 2*time.Minute), want: noon.Add(signInLife)},
	} {
		co := found(t)
		co.tireless()
		p := co.employ("carol")
		co.target("db1", "root")
		grant := func(add access.AddGrant) {
			add.By, add.User, add.Target, add.Logins = local, "carol", "db1", []string{"root"}
			if add.For == "" {
				add.For = everything
			}
			co.do(add)
		}
		grant(c.add)
		if c.more != nil {
			grant(*c.more)
		}
		co.now = c.at
		if got := sign(t, co, co.do(co.direct(p, "db1", "root"))).ValidBefore; got != uint64(c.want.Unix()) {
			t.Errorf("%s: ends at %s, want %s", what, time.Unix(int64(got), 0).UTC(), c.want)
		}
	}
	// A guardrail that begins in between ends it too.
	co := found(t)
	p := co.employ("carol")
	co.target("db1", "root")
	co.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: everything})
	co.do(access.AddGuardrail{By: local, Targets: "*", For: "direct", From: store.At(noon.Add(2 * time.Minute))})
	if got := sign(t, co, co.do(co.direct(p, "db1", "root"))).ValidBefore; got != uint64(noon.Unix())+120 {
		t.Errorf("a guardrail begins: ends at %s", time.Unix(int64(got), 0).UTC())
	}
	// Where sessions are bounded, nothing would bound a connection past the relay.
	co.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: everything, Conditions: store.Conditions{Longest: 60}})
	sign(t, co, co.do(co.direct(p, "db1", "root"))) // of two the longer counts
	eve := co.employ("eve")
	co.do(access.AddGrant{By: local, User: "eve", Target: "db1", Logins: []string{"root"}, For: everything, Conditions: store.Conditions{Longest: 60}})
	if r := co.refused(co.direct(eve, "db1", "root")); r.Reason != store.RefusedDirect || !strings.Contains(r.Message, "for a time only") {
		t.Errorf("a longest session: %+v", r)
	}
}

// TestS37DirectCertificate: nobody gets one after what allowed it was taken away.
func TestS37DirectCertificate(t *testing.T) {
	for what, revoke := range map[string]func(*company, person, store.Index){
		"grant":    func(c *company, _ person, grant store.Index) { c.do(access.RemoveGrant{By: local, Grant: grant}) },
		"target":   func(c *company, _ person, _ store.Index) { c.do(access.RemoveTarget{By: local, Name: "db1"}) },
		"user":     func(c *company, _ person, _ store.Index) { c.do(access.RemoveUser{By: local, Handle: "carol"}) },
		"sign-out": func(c *company, p person, _ store.Index) { c.do(access.SignOut{By: p.caller()}) },
		"guardrail": func(c *company, _ person, _ store.Index) {
			c.do(access.AddGuardrail{By: local, Targets: "*", For: "direct"})
		},
		"user lock": func(c *company, _ person, _ store.Index) {
			c.do(access.AddLock{By: local, What: access.Lockable{User: "carol"}, Why: "x", Salt: c.random()})
		},
		"target lock": func(c *company, _ person, _ store.Index) {
			c.do(access.AddLock{By: local, What: access.Lockable{Target: "db1"}, Why: "x", Salt: c.random()})
		},
		"a new name": func(c *company, _ person, _ store.Index) {
			c.do(access.RenameTarget{By: local, Name: "db1", To: "db2"})
		},
	} {
		c := found(t)
		p := c.employ("carol")
		c.target("db1", "root")
		c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: everything})
		grant := c.state.Next() - 1
		c.do(c.direct(p, "db1", "root"))
		revoke(c, p, grant)
		if d, err := c.decide(c.direct(p, "db1", "root")); err == nil || d.Certificate != nil {
			t.Errorf("%s: a certificate after it", what)
		}
	}
}

// TestDirectSource: where a certificate may be used from is the setting's to say.
func TestDirectSource(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root")
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: everything})
	for _, x := range []struct{ setting, source, want string }{
		{"", "192.0.2.7", "192.0.2.7/32"}, {"seen", "2001:db8::5", "2001:db8::5/128"}, {"seen", "::ffff:192.0.2.7", "192.0.2.7/32"},
		{"seen", "fe80::1%eth0", "fe80::1/128"}, {"10.0.0.0/8,2001:db8::/32", "192.0.2.7", "10.0.0.0/8,2001:db8::/32"},
		{"any", "192.0.2.7", ""}, {"any", "carol's house", "want an IP address"}, {"seen", "", "want an IP address"},
	} {
		if x.setting != "" {
			c.do(access.ChangeSetting{By: local, Setting: store.SettingDirectSource, Value: x.setting})
		}
		cmd := c.direct(p, "db1", "root")
		cmd.Source = x.source
		d, err := c.decide(cmd)
		if err != nil {
			if !strings.Contains(err.Error(), x.want) || x.want == "" {
				t.Errorf("%+v: %v", x, err)
			}
			continue
		}
		if got := sign(t, c, d).CriticalOptions["source-address"]; got != x.want {
			t.Errorf("%+v: source-address %q", x, got)
		}
	}
}

// TestDirectCaller: it takes a sign-in with its key, and a bot's is one.
func TestDirectCaller(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root")
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: everything})
	ci := c.bot("ci")
	c.do(access.AddGrant{By: local, User: "ci", Target: "db1", Logins: []string{"root"}, For: everything})
	c.signInBot(&ci)
	for what, by := range map[string]access.Caller{
		"nobody": {}, "the server's own machine": local, "the timetable": {Timetable: true},
		"another key": {Token: p.token, Key: holder(store.Hash{9}).Key}, "no key": {Token: p.token},
	} {
		cmd := c.direct(p, "db1", "root")
		cmd.By = by
		if r := c.refused(cmd); r.Kind != access.Unauthenticated {
			t.Errorf("%s: %+v", what, r)
		}
	}
	if cert := sign(t, c, c.do(c.direct(ci.as(), "db1", "root"))); cert.KeyId != ca.DirectKeyID("ci", ci.signIn).String() {
		t.Errorf("key ID %q", cert.KeyId)
	}
	weak := c.direct(p, "db1", "root")
	weak.Key = c.state.TargetCA()
	if r := c.refused(weak); r.Kind != access.Invalid {
		t.Errorf("the authority's own key: %+v", r)
	}
	// A lock of its serial would stop nothing, and says so.
	c.do(c.direct(p, "db1", "root"))
	issued := last[*store.CertificateIssued](c)
	lock := access.AddLock{
		By: local, What: access.Lockable{Serial: c.state.SerialOf(c.state.Next() - 1)}, Certificate: issued, Why: "x", Salt: c.random(),
	}
	if r := c.refused(lock); !strings.Contains(r.Message, "goes past VaultPAM") {
		t.Errorf("a lock of its serial: %+v", r)
	}
}

// TestDirectSentence: explain says whether the relay can be gone past, and if a grant
// says so in vain, why.
func TestDirectSentence(t *testing.T) {
	c := found(t)
	c.employ("carol")
	c.target("db1", "root")
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: "shell; direct"})
	says := func(want string, direct bool) {
		t.Helper()
		u, _ := c.state.UserByHandle("carol")
		db1, _ := c.state.TargetByName("db1")
		could := c.state.Could(u, db1, "root", c.at())
		if got := c.state.Sentence(could); !strings.HasSuffix(got, want) || could.Directly() != direct {
			t.Errorf("%v, %q", could.Directly(), got)
		}
	}
	says("; but not past the relay: nothing holds carol past the relay to less than everything as root on db1, and some of it is not allowed: exec; no-tty; sftp=read-write", false)
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}})
	says("; also past the relay, unrecorded, where nothing ends a connection", true)
}
