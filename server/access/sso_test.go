package access_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func account(subject string) access.Identity {
	return access.Identity{Issuer: issuer, Subject: subject}
}

// vouched is the command of somebody for whom the provider vouched, and who shows a
// code.
func (c *company) vouched(p *person, subject string) access.SignInWithSSO {
	p.step++
	return access.SignInWithSSO{Identity: account(subject), User: p.id, Step: p.step, LinkSalt: c.random(), Holder: c.holder()}
}

// kinds are the events of a decision.
func kinds(d access.Decision) string {
	var all []string
	for _, e := range d.Events {
		all = append(all, string(e.EventType()))
	}
	return strings.Join(all, " ")
}

// TestSSOLink: the first sign-in links and comes after its link; the second needs
// none; the provider's word alone is enough where the mapping says so, and is no
// fresh proof.
func TestSSOLink(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	d := c.do(c.vouched(&carol, "1"))
	if got := kinds(d); got != "sso.linked signin.succeeded" {
		t.Errorf("events %s", got)
	}
	linked, signedIn := c.state.Next()-2, last[*store.SignInSucceeded](c)
	if signedIn.SSO != linked || signedIn.Kind != store.FactorTOTP {
		t.Errorf("%+v, link %d", signedIn, linked)
	}
	if u, ok := c.state.UserBySSO(account("1")); !ok || u.ID != carol.id || u.SSO != linked {
		t.Errorf("user %+v, %v", u, ok)
	}
	sso := access.SignInWithSSO{Identity: account("1"), User: carol.id, Counts: true, Holder: c.holder(), SID: access.SIDHash(issuer, "a")}
	if got := kinds(c.do(sso)); got != "signin.succeeded" {
		t.Errorf("events %s", got)
	}
	x, ok := c.state.SignIn(c.state.Next()-1, c.at())
	if !ok || x.Kind != store.FactorSSO || x.SSO != linked || x.SID != sso.SID || x.Touched != 0 || x.Fresh(c.at()) {
		t.Errorf("session %+v, %v", x, ok)
	}
}

// TestSSOGroupsFollowTheMapping, and no group or role that it does not name does.
func TestSSOGroupsFollowTheMapping(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	c.group("dba")
	c.group("staff", carol)
	c.group("ops", carol)
	in := c.vouched(&carol, "1")
	in.Groups = access.GroupSync{Managed: []store.GroupName{"staff", "dba", "dba", "nothing"}, Wanted: []store.GroupName{"dba", "ops", "nothing"}}
	roles := slices.Clone(carol.user(c).Roles)
	changes := c.state.Changes(in.Groups, carol.id)
	if diff := cmp.Diff([]store.GroupName{"nothing"}, changes.Missing); diff != "" {
		t.Error(diff)
	}
	if got := kinds(c.do(in)); got != "sso.linked member.added member.removed signin.succeeded" {
		t.Errorf("events %s", got)
	}
	c.wantGroups(carol, "dba", "ops")
	if diff := cmp.Diff(roles, carol.user(c).Roles); diff != "" {
		t.Errorf("roles changed:\n%s", diff)
	}
	again := c.vouched(&carol, "1")
	again.Groups = in.Groups
	if got := kinds(c.do(again)); got != "signin.succeeded" {
		t.Errorf("the same claims again: events %s", got)
	}
}

func (p person) user(c *company) access.User {
	u, _ := c.state.User(p.id)
	return u
}

// TestSSOEnd ends what came from there and nothing else.
func TestSSOEnd(t *testing.T) {
	c := found(t)
	carol, dave := c.employ("carol"), c.employ("dave")
	in := func(p *person, subject, sid string) store.Index {
		cmd := c.vouched(p, subject)
		cmd.SID = access.SIDHash(issuer, sid)
		c.do(cmd)
		return c.state.Next() - 1
	}
	a, b, other := in(&carol, "1", "a"), in(&carol, "1", "b"), in(&dave, "2", "c")
	open := func() string {
		var all []string
		for name, entry := range map[string]store.Index{"a": a, "b": b, "other": other, "own": carol.signIn} {
			if _, ok := c.state.SignIn(entry, c.at()); ok {
				all = append(all, name)
			}
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	for _, step := range []struct {
		end  access.EndSSO
		want string
	}{
		{access.EndSSO{Identity: access.Identity{Issuer: issuer}, SID: access.SIDHash(issuer, "b")}, "a other own"},
		{access.EndSSO{Identity: account("1")}, "other own"},
		{access.EndSSO{Identity: account("2"), SID: access.SIDHash(issuer, "c")}, "own"},
	} {
		c.do(step.end)
		if got := open(); got != step.want {
			t.Errorf("after %+v there are %s, want %s", step.end, got, step.want)
		}
	}
}

func ssoRefusals() []refusalCase {
	with := func(cmd func(*company, *person) access.Command) func(*company) access.Command {
		return func(c *company) access.Command {
			carol := c.employ("carol")
			c.do(c.vouched(&carol, "1"))
			return cmd(c, &carol)
		}
	}
	long := strings.Repeat("1", 256)
	return []refusalCase{
		{"sso of an unknown account", access.Forbidden, func(c *company) access.Command {
			return access.SignInWithSSO{Identity: account("9"), User: c.userID(), Step: 1, Holder: c.holder()}
		}},
		{"sso of another account", access.Forbidden, with(func(c *company, p *person) access.Command { return c.vouched(p, "2") })},
		{"sso with a used code", access.Unauthenticated, with(func(c *company, p *person) access.Command {
			p.step--
			return c.vouched(p, "1")
		})},
		{"sso with no second factor", access.Unauthenticated, with(func(c *company, p *person) access.Command {
			return access.SignInWithSSO{Identity: account("1"), User: p.id, Holder: c.holder()}
		})},
		{"sso at first with the provider's second factor", access.Unauthenticated, func(c *company) access.Command {
			p := c.employ("carol")
			return access.SignInWithSSO{Identity: account("1"), User: p.id, Counts: true, Holder: c.holder()}
		}},
		{"sso with another person's passkey", access.Unauthenticated, with(func(c *company, p *person) access.Command {
			return access.SignInWithSSO{Identity: account("1"), User: p.id, Assertion: &access.Assertion{User: c.userID(), Factor: 1}, Holder: c.holder()}
		})},
		{"sso without a subject", access.Invalid, with(func(c *company, p *person) access.Command { return c.vouched(p, "") })},
		{"sso with a long subject", access.Invalid, with(func(c *company, p *person) access.Command { return c.vouched(p, long) })},
		{"sso with a subject of two lines", access.Invalid, with(func(c *company, p *person) access.Command { return c.vouched(p, "1\n2") })},
		{"link nobody", access.NotFound, func(*company) access.Command {
			return access.LinkSSO{By: local, User: "carol", Identity: account("1")}
		}},
		{"link an account twice", access.Conflict, with(func(*company, *person) access.Command {
			return access.LinkSSO{By: local, User: "alice", Identity: account("1")}
		})},
		{"link by an engineer", access.Forbidden, with(func(_ *company, p *person) access.Command {
			return access.LinkSSO{By: p.caller(), User: "carol", Identity: account("2")}
		})},
		{"link no subject", access.Invalid, with(func(*company, *person) access.Command {
			return access.LinkSSO{By: local, User: "carol", Identity: account("")}
		})},
		{"end of no sso session", access.NotFound, with(func(*company, *person) access.Command { return access.EndSSO{Identity: account("2")} })},
		{"end of nobody's sso sessions", access.NotFound, with(func(*company, *person) access.Command {
			return access.EndSSO{Identity: access.Identity{Issuer: issuer}}
		})},
	}
}

// TestSSOUser: whom the claims call by a handle may link, if they can show something.
func TestSSOUser(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	for _, tc := range []struct {
		handle string
		want   string
	}{{"carol", "carol"}, {"alice", "has no passkey"}, {"mallory", "no user is linked"}, {"", "no user is linked"}} {
		u, linked, err := c.state.SSOUser(account("1"), store.Handle(tc.handle))
		if got := fmt.Sprint(u.Handle, linked, err); linked || !strings.Contains(got, tc.want) {
			t.Errorf("%q: %s", tc.handle, got)
		}
	}
	c.do(c.vouched(&carol, "1"))
	if u, linked, err := c.state.SSOUser(account("1"), "alice"); err != nil || !linked || u.Handle != "carol" {
		t.Errorf("linked, and called alice now: %s, %v, %v", u.Handle, linked, err)
	}
	if _, _, err := c.state.SSOUser(account("2"), "carol"); err == nil {
		t.Error("another account of that handle is carol's too")
	}
	c.do(access.RemoveUser{By: local, Handle: "carol"})
	if _, ok := c.state.UserBySSO(account("1")); ok {
		t.Error("the account of a removed user is somebody's")
	}
}
