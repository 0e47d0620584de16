package access_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func TestBirth(t *testing.T) {
	c := unborn(t)
	birth := c.birth("alice")
	birth.SelfGrant = store.SelfGrantAllowed
	c.do(birth)
	var types []store.EventType
	for _, e := range c.entries {
		types = append(types, e.Event.EventType())
		if !e.Actor.Local {
			t.Errorf("entry %d is not the local administrator's: %+v", e.Index, e.Actor)
		}
	}
	want := []store.EventType{store.TypeLedgerCreated, store.TypeSettingChanged, store.TypeUserAdded, store.TypeInvitationCreated}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if c.state.Name() != "pam.example.eu" || c.state.Setting(store.SettingSelfGrant) != store.SelfGrantAllowed {
		t.Errorf("name %q, self-grant %q", c.state.Name(), c.state.Setting(store.SettingSelfGrant))
	}
	u, expires, ok := c.state.Invited(birth.Administrator.Invite.Token, c.at())
	if !ok || u.Handle != "alice" || !u.Has(store.RoleAdministrator) || expires != c.at()+store.Millis(access.InvitationLife.Milliseconds()) {
		t.Errorf("invited %+v until %d, %v", u, expires, ok)
	}
}

// TestS39Clock: a clock behind the last entry decides nothing, and no entry is
// dated before the one before it.
func TestS39Clock(t *testing.T) {
	for _, tc := range []struct {
		behind time.Duration
		ok     bool
	}{
		{-10 * time.Minute, true}, // ahead
		{0, true},
		{time.Millisecond, true},
		{2 * time.Second, true},
		{2001 * time.Millisecond, false},
		{10 * time.Minute, false},
		{200 * 365 * 24 * time.Hour, false},
	} {
		c := found(t)
		last := c.state.Time()
		c.wait(-tc.behind)
		cmd := access.AddUser{By: local, ID: c.userID(), Handle: "bob", Salt: c.random(), Invite: access.Invite{Token: c.hash()}}
		if !tc.ok {
			if r := c.refused(cmd); r.Kind != access.Clock {
				t.Errorf("%s behind: %+v", tc.behind, r)
			}
			continue
		}
		c.do(cmd)
		if want := max(last, c.at()); c.state.Time() != want {
			t.Errorf("%s behind: entry at %d, want %d", tc.behind, c.state.Time(), want)
		}
	}
}

// TestS39FarFuture: the difference of two clocks can be longer than a Duration.
func TestS39FarFuture(t *testing.T) {
	for _, future := range []store.Millis{math.MaxInt64, math.MaxInt64 / 2, store.At(noon.AddDate(400, 0, 0))} {
		c := found(t)
		c.append(future, store.Actor{}, &store.RulesActivated{Rules: access.Rules})
		r := c.refused(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed})
		if r.Kind != access.Clock {
			t.Errorf("last entry at %d: %+v", future, r)
		}
		checkForm(t, r)
	}
}

// TestS9RulesVersion: what decides knows the rules of this ledger, or does not
// decide.
func TestS9RulesVersion(t *testing.T) {
	for _, version := range []uint64{0, access.Rules + 1, math.MaxUint64} {
		c := found(t)
		p := c.employ("carol")
		c.target("db1", "root")
		c.grant(p, "db1", 0, 0, "root")
		c.append(c.at(), store.Actor{}, &store.RulesActivated{Rules: version})
		for _, cmd := range []access.Command{
			access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()},
			c.start(p, "db1", "root"),
			access.RemoveUser{By: local, Handle: "carol"},
		} {
			if r := c.refused(cmd); r.Kind != access.Clock {
				t.Errorf("rules %d, %T: %+v", version, cmd, r)
			}
		}
		c.append(c.at(), store.Actor{}, &store.RulesActivated{Rules: access.Rules})
		c.do(c.start(p, "db1", "root"))
	}
}

// TestBoundaries: what begins at a moment holds at it, what ends at a moment
// does not.
func TestBoundaries(t *testing.T) {
	t.Run("sign-in", func(t *testing.T) {
		c := found(t)
		c.tireless()
		p := c.employ("carol")
		c.wait(signInLife - time.Millisecond)
		c.do(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()})
		c.wait(time.Millisecond)
		c.refused(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()})
	})
	t.Run("invitation", func(t *testing.T) {
		for _, early := range []time.Duration{0, time.Millisecond} {
			c := found(t)
			cmd := access.AddUser{By: local, ID: c.userID(), Handle: "bob", Salt: c.random(), Invite: access.Invite{Token: c.hash()}}
			c.do(cmd)
			c.wait(access.InvitationLife - early)
			_, err := c.decide(c.enroll(cmd.Invite, 1))
			if (err == nil) != (early > 0) {
				t.Errorf("%s before its end: error %v", early, err)
			}
		}
	})
	t.Run("grant", func(t *testing.T) {
		c := found(t)
		p := c.employ("carol")
		c.target("db1", "root")
		from, until := c.at()+10_000, c.at()+20_000
		c.grant(p, "db1", from, until, "root")
		for _, tc := range []struct {
			at     store.Millis
			reason store.Refusal
		}{
			{from - 1, store.RefusedNotYet}, {from, ""}, {until - 1, ""}, {until, store.RefusedEnded}, {until + 1, store.RefusedEnded},
		} {
			c.now = tc.at.Time()
			if reaches := c.state.Reaches(p.id, c.at()); (len(reaches) == 1) != (tc.reason == "") {
				t.Errorf("at %d: reaches %+v", tc.at, reaches)
			}
			if tc.reason == "" {
				c.do(c.start(p, "db1", "root"))
			} else if r := c.refused(c.start(p, "db1", "root")); r.Reason != tc.reason {
				t.Errorf("at %d: %+v, want %s", tc.at, r, tc.reason)
			}
		}
	})
}
