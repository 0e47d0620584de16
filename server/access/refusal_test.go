package access_test

import (
	"crypto/rand"
	"crypto/rsa"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

const golden = "testdata/refusals.golden"

// A refusalCase is a company in which something is forbidden.
type refusalCase struct {
	name    string
	kind    access.Kind
	command func(*company) access.Command
}

// TestRefusals has every sentence with which something is refused in one file
// that a person can read aloud, and looks at their form.
func TestRefusals(t *testing.T) {
	var text strings.Builder
	cases := append(birthRefusals(), callerRefusals()...)
	cases = append(cases, userRefusals()...)
	cases = append(cases, signInRefusals()...)
	cases = append(cases, targetRefusals()...)
	cases = append(cases, grantRefusals()...)
	cases = append(cases, groupRefusals()...)
	cases = append(cases, ssoRefusals()...)
	cases = append(cases, certificateRefusals()...)
	cases = append(cases, sessionRefusals()...)
	cases = append(cases, errandRefusals()...)
	cases = append(cases, contactRefusals()...)
	cases = append(cases, recoveryRefusals()...)
	cases = append(cases, lockRefusals()...)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			c := found(t)
			cmd := tc.command(c)
			before := snapshot(t, c.state)
			r := c.refused(cmd)
			if r.Kind != tc.kind {
				t.Errorf("kind %v, want %v: %s", r.Kind, tc.kind, r.Message)
			}
			checkForm(t, r)
			if r.Reason == "" {
				if diff := cmp.Diff(before, snapshot(t, c.state)); diff != "" {
					t.Errorf("a refusal changed the state:\n%s", diff)
				}
			}
			fmt.Fprintf(&text, "%T, %s\n  %s\n", cmd, tc.name, r.Message)
			if r.Hint != "" {
				fmt.Fprintf(&text, "  hint: %s\n", r.Hint)
			}
			text.WriteByte('\n')
		})
	}
	if *update {
		if err := os.WriteFile(golden, []byte(text.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Errorf("refusals (-golden +got; go test -update writes it anew):\n%s", diff)
	}
}

// checkForm holds a refusal to what the command line makes of it: a sentence
// without a full stop, on one line.
func checkForm(t *testing.T, r *access.Refusal) {
	t.Helper()
	for _, s := range []string{r.Message, r.Hint} {
		if strings.ContainsAny(s, "\n\r\x1b") || strings.HasSuffix(s, ".") || strings.Contains(s, "%!") || len(s) > 400 {
			t.Errorf("not a line for a person: %q", s)
		}
	}
	if r.Message == "" || r.Error() != r.Message {
		t.Errorf("no sentence: %+v", r)
	}
}

func birthRefusals() []refusalCase {
	return []refusalCase{
		{"in a ledger that has begun", access.Conflict, func(c *company) access.Command { return c.birth("bob") }},
		{"with a bad handle", access.Invalid, func(c *company) access.Command {
			*c = *unborn(c.TB)
			return c.birth("Alice Smith")
		}},
		{"without an authority", access.Invalid, func(c *company) access.Command {
			*c = *unborn(c.TB)
			cmd := c.birth("alice")
			cmd.HostCA = nil
			return cmd
		}},
	}
}

func callerRefusals() []refusalCase {
	in := func(by func(c *company) access.Caller) func(*company) access.Command {
		return func(c *company) access.Command {
			caller := by(c)
			return access.RemoveTarget{By: caller, Name: "db1"}
		}
	}
	return []refusalCase{
		{"by nobody", access.Unauthenticated, in(func(*company) access.Caller { return access.Caller{} })},
		{"with a token of nobody's", access.Unauthenticated, in(func(c *company) access.Caller { return byToken(c.hash()) })},
		{"by an engineer", access.Forbidden, in(func(c *company) access.Caller { return c.employ("carol").caller() })},
		{"by an auditor", access.Forbidden, in(func(c *company) access.Caller { return c.employ("eve", store.RoleAuditor).caller() })},
		{"when the sign-in has expired", access.Unauthenticated, in(func(c *company) access.Caller {
			c.tireless()
			p := c.employ("carol", store.RoleAdministrator)
			c.wait(signInLife)
			return p.caller()
		})},
		{"with the server's clock behind", access.Clock, in(func(c *company) access.Caller {
			c.wait(-5 * time.Minute)
			return local
		})},
		{"under rules of a later program", access.Clock, in(func(c *company) access.Caller {
			c.append(c.at(), store.Actor{}, &store.RulesActivated{Rules: access.Rules + 1})
			return local
		})},
	}
}

func userRefusals() []refusalCase {
	add := func(c *company, handle string) access.AddUser {
		return access.AddUser{By: local, ID: c.userID(), Handle: handle, Salt: c.random(), Invite: access.Invite{Token: c.hash()}}
	}
	return []refusalCase{
		{"with a bad handle", access.Invalid, func(c *company) access.Command { return add(c, "-oProxyCommand=sh") }},
		{"with a handle that is taken", access.Conflict, func(c *company) access.Command { return add(c, "alice") }},
		{"with an unknown role", access.Invalid, func(c *company) access.Command {
			cmd := add(c, "bob")
			cmd.Roles = []store.Role{store.RoleEngineer, "god"}
			return cmd
		}},
		{"without an ID", access.Invalid, func(c *company) access.Command {
			cmd := add(c, "bob")
			cmd.ID = store.UserID{}
			return cmd
		}},
		{"with a bad address", access.Invalid, func(c *company) access.Command {
			cmd := add(c, "bob")
			cmd.Email = "bob@"
			return cmd
		}},
		{"with somebody else's ID", access.Conflict, func(c *company) access.Command {
			cmd := add(c, "bob")
			cmd.ID = c.employ("carol").id
			return cmd
		}},
		{"with an invitation without a token", access.Invalid, func(c *company) access.Command {
			cmd := add(c, "bob")
			cmd.Invite = access.Invite{}
			return cmd
		}},
		{"with somebody else's invitation", access.Conflict, func(c *company) access.Command {
			cmd := add(c, "bob")
			c.do(cmd)
			again := add(c, "carol")
			again.Invite = cmd.Invite
			return again
		}},
		{"of nobody", access.NotFound, func(c *company) access.Command {
			return access.InviteUser{By: local, Handle: "bob", Invite: access.Invite{Token: c.hash()}}
		}},
		{"without a token", access.Invalid, func(*company) access.Command { return access.InviteUser{By: local, Handle: "alice"} }},
		{"of nobody", access.NotFound, func(*company) access.Command { return access.RemoveUser{By: local, Handle: "bob"} }},
		{"of the last administrator", access.Conflict, func(*company) access.Command { return access.RemoveUser{By: local, Handle: "alice"} }},
	}
}

func signInRefusals() []refusalCase {
	invited := func(c *company) access.Enroll {
		cmd := access.AddUser{By: local, ID: c.userID(), Handle: "bob", Salt: c.random(), Invite: access.Invite{Token: c.hash()}}
		c.do(cmd)
		return c.enroll(cmd.Invite, 1000)
	}
	return []refusalCase{
		{"with an invitation of nobody's", access.NotFound, func(c *company) access.Command { return c.enroll(access.Invite{Token: c.hash()}, 1) }},
		{"without a token for the sign-in", access.Unauthenticated, func(c *company) access.Command {
			cmd := invited(c)
			cmd.Holder = &access.Holder{}
			return cmd
		}},
		{"without a key for the sign-in", access.Invalid, func(c *company) access.Command {
			cmd := invited(c)
			cmd.Holder.Key = store.ClientKey{}
			return cmd
		}},
		{"with a token that is in use", access.Unauthenticated, func(c *company) access.Command {
			cmd := invited(c)
			cmd.Holder.Token = c.employ("carol").token
			return cmd
		}},
		{"with an invitation that was used", access.NotFound, func(c *company) access.Command {
			cmd := invited(c)
			c.do(cmd)
			return cmd
		}},
		{"with an invitation that was replaced", access.NotFound, func(c *company) access.Command {
			cmd := invited(c)
			c.do(access.InviteUser{By: local, Handle: "bob", Invite: access.Invite{Token: c.hash()}})
			return cmd
		}},
		{"with an invitation that has expired", access.NotFound, func(c *company) access.Command {
			cmd := invited(c)
			c.wait(access.InvitationLife)
			return cmd
		}},
		{"of nobody", access.Unauthenticated, func(c *company) access.Command {
			return access.SignInWithTOTP{User: c.userID(), Step: 1, Holder: c.holder()}
		}},
		{"of somebody who has not enrolled", access.Unauthenticated, func(c *company) access.Command {
			u, _ := c.state.UserByHandle("alice")
			return access.SignInWithTOTP{User: u.ID, Step: 1, Holder: c.holder()}
		}},
		{"with a code that was used", access.Unauthenticated, func(c *company) access.Command {
			p := c.employ("bob")
			return access.SignInWithTOTP{User: p.id, Step: p.step, Holder: c.holder()}
		}},
		{"without a token", access.Unauthenticated, func(c *company) access.Command {
			p := c.employ("bob")
			return access.SignInWithTOTP{User: p.id, Step: p.step + 1}
		}},
		{"with a token that is in use", access.Unauthenticated, func(c *company) access.Command {
			p := c.employ("bob")
			return access.SignInWithTOTP{User: p.id, Step: p.step + 1, Holder: holder(p.token)}
		}},
		{"of a stranger", access.NotFound, func(c *company) access.Command { return access.NoteFailures{User: c.userID(), Count: 3} }},
		{"by nobody", access.Unauthenticated, func(*company) access.Command { return access.SignOut{} }},
		{"from the server's own machine", access.Unauthenticated, func(*company) access.Command { return access.SignOut{By: local} }},
		{"a second time", access.Unauthenticated, func(c *company) access.Command {
			cmd := access.SignOut{By: c.employ("bob").caller()}
			c.do(cmd)
			return cmd
		}},
	}
}

func targetRefusals() []refusalCase {
	add := func(spoil func(*access.AddTarget)) func(*company) access.Command {
		return func(*company) access.Command {
			cmd := access.AddTarget{
				By: local, Name: "db1", Address: "db1.example:22", HostKeys: []ssh.PublicKey{keys().subject},
				Logins: []string{"root"}, Egress: "198.51.100.1",
			}
			spoil(&cmd)
			return cmd
		}
	}
	return []refusalCase{
		{"with a bad name", access.Invalid, add(func(a *access.AddTarget) { a.Name = "db_1" })},
		{"without logins", access.Invalid, add(func(a *access.AddTarget) { a.Logins = nil })},
		{"with a bad login", access.Invalid, add(func(a *access.AddTarget) { a.Logins = []string{"root", "a,b"} })},
		{"with too many logins", access.Invalid, add(func(a *access.AddTarget) { a.Logins = numbered(5000) })},
		{"without an egress address", access.Invalid, add(func(a *access.AddTarget) { a.Egress = "" })},
		{"with an egress address that no certificate can hold", access.Invalid, add(func(a *access.AddTarget) { a.Egress = "::ffff:198.51.100.1" })},
		{"with an egress address that stands for all", access.Invalid, add(func(a *access.AddTarget) { a.Egress = "0.0.0.0" })},
		{"with an egress address with a zone", access.Invalid, add(func(a *access.AddTarget) { a.Egress = "fe80::1%\xff" })},
		{"with an address that is not text", access.Invalid, add(func(a *access.AddTarget) { a.Address = "db1\xff:22" })},
		{"without host keys", access.Invalid, add(func(a *access.AddTarget) { a.HostKeys = nil })},
		{"with too many host keys", access.Invalid, add(func(a *access.AddTarget) { a.HostKeys = slices.Repeat([]ssh.PublicKey{keys().subject}, 5000) })},
		{"with a host certificate", access.Invalid, add(func(a *access.AddTarget) { a.HostKeys = []ssh.PublicKey{&ssh.Certificate{}} })},
		{"with a name that is taken", access.Conflict, func(c *company) access.Command {
			c.target("db1", "root")
			return add(func(*access.AddTarget) {})(c)
		}},
		{"of no target", access.NotFound, func(*company) access.Command { return access.RemoveTarget{By: local, Name: "db1"} }},
		{"over the network", access.Forbidden, func(c *company) access.Command {
			return access.ChangeSetting{By: c.employ("bob", store.RoleAdministrator).caller(), Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed}
		}},
		{"to an unknown value", access.Invalid, func(*company) access.Command {
			return access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: "maybe"}
		}},
	}
}

func numbered(n int) []string {
	logins := make([]string, n)
	for i := range logins {
		logins[i] = fmt.Sprintf("u%d", i)
	}
	return logins
}

func grantRefusals() []refusalCase {
	add := func(spoil func(*company, *access.AddGrant)) func(*company) access.Command {
		return func(c *company) access.Command {
			c.employ("carol")
			c.target("db1", "deploy", "root")
			cmd := access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"deploy"}}
			spoil(c, &cmd)
			return cmd
		}
	}
	return []refusalCase{
		{"to nobody", access.NotFound, add(func(_ *company, g *access.AddGrant) { g.User = "bob" })},
		{"for no target", access.NotFound, add(func(_ *company, g *access.AddGrant) { g.Target = "db2" })},
		{"without logins", access.Invalid, add(func(_ *company, g *access.AddGrant) { g.Logins = nil })},
		{"with a bad login", access.Invalid, add(func(_ *company, g *access.AddGrant) { g.Logins = []string{"*"} })},
		{"for a login that the target has not", access.Invalid, add(func(_ *company, g *access.AddGrant) { g.Logins = []string{"oracle"} })},
		{"that has ended", access.Invalid, add(func(c *company, g *access.AddGrant) { g.Until = c.at() })},
		{"that ends before it begins", access.Invalid, add(func(c *company, g *access.AddGrant) {
			g.From, g.Until = c.at()+2000, c.at()+2000
		})},
		{"to oneself", access.Forbidden, add(func(c *company, g *access.AddGrant) {
			g.By, g.User = c.employ("bob", store.RoleAdministrator).caller(), "bob"
		})},
		{"of no grant", access.NotFound, func(*company) access.Command { return access.RemoveGrant{By: local, Grant: 77} }},
	}
}

func certificateRefusals() []refusalCase {
	session := func(then func(*company, person, *access.IssueTargetCertificate)) func(*company) access.Command {
		return func(c *company) access.Command {
			p := c.employ("carol")
			c.target("db1", "root")
			c.grant(p, "db1", 0, c.at()+60_000, "root")
			cmd := access.IssueTargetCertificate{Session: c.session(p, "db1", "root"), Key: keys().subject, Nonce: c.random()}
			then(c, p, &cmd)
			return cmd
		}
	}
	return []refusalCase{
		{"by nobody", access.Unauthenticated, func(c *company) access.Command {
			return access.IssueUserCertificate{Key: keys().subject, Nonce: c.random()}
		}},
		{"from the server's own machine", access.Unauthenticated, func(c *company) access.Command {
			return access.IssueUserCertificate{By: local, Key: keys().subject, Nonce: c.random()}
		}},
		{"for a short RSA key", access.Invalid, func(c *company) access.Command {
			return access.IssueUserCertificate{By: c.employ("carol").caller(), Key: shortKey(c), Nonce: c.random()}
		}},
		{"for a certificate", access.Invalid, func(c *company) access.Command {
			nested := &ssh.Certificate{Key: keys().subject, SignatureKey: keys().subject, Signature: &ssh.Signature{}}
			return access.IssueUserCertificate{By: c.employ("carol").caller(), Key: nested, Nonce: c.random()}
		}},
		{"for the CA's own key", access.Invalid, func(c *company) access.Command {
			return access.IssueUserCertificate{By: c.employ("carol").caller(), Key: keys().authorities[ca.User].PublicKey(), Nonce: c.random()}
		}},
		{"without a key", access.Invalid, func(c *company) access.Command {
			return access.IssueUserCertificate{By: c.employ("carol").caller(), Nonce: c.random()}
		}},
		{"without a nonce", access.Invalid, func(c *company) access.Command {
			return access.IssueUserCertificate{By: c.employ("carol").caller(), Key: keys().subject}
		}},
		{"for a session that never was", access.NotFound, func(c *company) access.Command {
			return access.IssueTargetCertificate{Session: c.sessionID(), Key: keys().subject, Nonce: c.random()}
		}},
		{"when the grant has ended", access.Forbidden, session(func(c *company, _ person, _ *access.IssueTargetCertificate) { c.wait(time.Minute) })},
		{"when the user was removed", access.Forbidden, session(func(c *company, p person, _ *access.IssueTargetCertificate) {
			c.do(access.RemoveUser{By: local, Handle: p.handle})
		})},
		{"with a bad command", access.Invalid, session(func(_ *company, _ person, cmd *access.IssueTargetCertificate) { cmd.ForceCommand = "a\nb" })},
		{"for a short RSA key", access.Invalid, session(func(c *company, _ person, cmd *access.IssueTargetCertificate) { cmd.Key = shortKey(c) })},
	}
}

func shortKey(c *company) ssh.PublicKey {
	c.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		c.Fatal(err)
	}
	public, err := ssh.NewPublicKey(&key.PublicKey)
	if err != nil {
		c.Fatal(err)
	}
	return public
}

func sessionRefusals() []refusalCase {
	start := func(then func(*company, person, *access.StartSession)) func(*company) access.Command {
		return func(c *company) access.Command {
			p := c.employ("carol")
			c.target("db1", "deploy", "root")
			cmd := c.start(p, "db1", "root")
			then(c, p, &cmd)
			return cmd
		}
	}
	return []refusalCase{
		{"of somebody who was removed", access.Forbidden, start(func(c *company, p person, _ *access.StartSession) {
			c.do(access.RemoveUser{By: local, Handle: p.handle})
		})},
		{"after the sign-in", access.Forbidden, start(func(c *company, p person, _ *access.StartSession) {
			c.do(access.SignOut{By: p.caller()})
		})},
		{"with somebody else's sign-in", access.Forbidden, start(func(c *company, _ person, cmd *access.StartSession) {
			cmd.SignIn = c.employ("bob").signIn
		})},
		{"on no target", access.Forbidden, start(func(_ *company, _ person, cmd *access.StartSession) { cmd.Target = "db2" })},
		{"without a grant", access.Forbidden, start(func(*company, person, *access.StartSession) {})},
		{"before the grant", access.Forbidden, start(func(c *company, p person, _ *access.StartSession) {
			c.grant(p, "db1", c.at()+3_600_000, 0, "root")
		})},
		{"after the grant", access.Forbidden, start(func(c *company, p person, _ *access.StartSession) {
			c.grant(p, "db1", 0, c.at()+60_000, "root")
			c.wait(time.Minute)
		})},
		{"as another login", access.Forbidden, start(func(c *company, p person, _ *access.StartSession) { c.grant(p, "db1", 0, 0, "deploy") })},
		{"with a forged certificate", access.Forbidden, func(c *company) access.Command {
			return access.RefuseSession{User: c.employ("carol").id, Reason: store.RefusedForgery}
		}},
		{"of no session", access.NotFound, func(*company) access.Command {
			return access.EndSession{Session: store.SessionID{6: 0x40, 8: 0x80, 15: 1}, Reason: store.EndedByUser}
		}},
	}
}

// TestLocalIsNoPerson: who comes from the server's own machine administers, and
// reads nothing that only a person may read.
func TestLocalIsNoPerson(t *testing.T) {
	c := found(t)
	if actor, err := c.state.Authorize(local, c.at(), store.RoleAuditor, store.RoleAdministrator); err != nil || !actor.Local {
		t.Errorf("actor %+v, error %v", actor, err)
	}
	_, err := c.state.Authorize(local, c.at(), store.RoleAuditor)
	want := &access.Refusal{
		Kind: access.Forbidden, Message: "this takes the role auditor, held by a person who signed in", Hint: "vaultpam login",
	}
	if diff := cmp.Diff(want, err); diff != "" {
		t.Errorf("refusal (-want +got):\n%s", diff)
	}
	p := c.employ("carol")
	if actor, err := c.state.Authorize(p.caller(), c.at()); err != nil || actor.User != p.id {
		t.Errorf("no role asked for: actor %+v, error %v", actor, err)
	}
}
