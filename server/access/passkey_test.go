package access_test

import (
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// passkey adds one to somebody who has just proved to be there.
func (c *company) passkey(p person, name string, counter uint64) store.Index {
	c.Helper()
	h := c.hash()
	c.do(access.AddFactor{SignIn: p.signIn, Factor: access.NewFactor{
		Passkey: &store.Passkey{Credential: h[:], PublicKey: []byte("key"), Counter: counter}, Name: name, Salt: c.random(),
	}})
	return c.state.Next() - 1
}

// TestS17CounterRegress: a passkey whose counter does not go on is a finding, and
// proves nothing from then on; others go on.
func TestS17CounterRegress(t *testing.T) {
	for name, back := range map[string]uint64{"the same": 9, "lower": 3, "none": 0} {
		t.Run(name, func(t *testing.T) {
			c := found(t)
			p := c.employ("carol")
			key, other := c.passkey(p, "blue key", 7), c.passkey(p, "", 0)
			in := func(factor store.Index, counter uint64) access.SignInWithPasskey {
				return access.SignInWithPasskey{Assertion: access.Assertion{User: p.id, Factor: factor, Counter: counter}, Holder: c.holder()}
			}
			c.do(in(key, 9))
			size := len(c.entries)
			if r := c.refused(in(key, 8)); r != access.ErrOvertaken || len(c.entries) != size {
				t.Errorf("one that was verified before the last: %v", r)
			}
			copied := in(key, back)
			copied.Assertion.Last = 9
			if r := c.refused(copied); r != access.ErrCloned {
				t.Errorf("refusal %v", r)
			}
			if e := last[*store.FactorCloned](c); len(c.entries) != size+1 || e.Factor != key || e.Counter != back || e.Last != 9 {
				t.Errorf("entry %+v", e)
			}
			c.refused(in(key, 100))
			c.refused(access.ConfirmWithPasskey{SignIn: p.signIn, Assertion: access.Assertion{User: p.id, Factor: key, Counter: 101}})
			if len(c.entries) != size+1 {
				t.Error("it is said more than once")
			}
			c.do(in(other, 0)) // one that does not count
			c.do(in(other, 0))
			c.do(in(other, 1)) // and begins to
			c.refused(in(other, 0))
		})
	}
}

// TestPasskeyIsItsOwners: nobody signs in or confirms with another's.
func TestPasskeyIsItsOwners(t *testing.T) {
	c := found(t)
	carol, bob := c.employ("carol"), c.employ("bob")
	key := c.passkey(carol, "", 0)
	u, _ := c.state.User(carol.id)
	totp, _ := u.TOTP()
	for name, a := range map[string]access.Assertion{
		"bob's name": {User: bob.id, Factor: key}, "nobody's": {User: c.userID(), Factor: key},
		"no factor": {User: carol.id}, "the TOTP factor": {User: carol.id, Factor: totp.Entry}, "too high": {User: carol.id, Factor: key, Counter: 1 << 32},
	} {
		if r := c.refused(access.SignInWithPasskey{Assertion: a, Holder: c.holder()}); r != access.ErrPasskey {
			t.Errorf("%s: %v", name, r)
		}
	}
	c.refused(access.ConfirmWithPasskey{SignIn: bob.signIn, Assertion: access.Assertion{User: carol.id, Factor: key}})
	// Nor is it enrolled a second time, by anybody.
	f, _ := u.Factor(key)
	if r := c.refused(access.AddFactor{SignIn: bob.signIn, Factor: access.NewFactor{Passkey: f.Passkey}}); r.Kind != access.Conflict {
		t.Errorf("refusal %v", r)
	}
}

// TestFactors: adding and removing take a fresh proof, and one is always left.
func TestFactors(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	u, _ := c.state.User(p.id)
	totp, _ := u.TOTP()
	if r := c.refused(access.RemoveFactor{By: p.caller(), Factor: totp.Entry}); r.Kind != access.Conflict {
		t.Errorf("the last: %v", r)
	}
	key := c.passkey(p, "blue key", 0)
	u, _ = c.state.User(p.id)
	f, _ := u.Factor(key)
	if text, _ := c.text(f.Name); text != "blue key" {
		t.Errorf("name %q", text)
	}
	c.do(access.NameFactor{By: p.caller(), Factor: key, Name: "green key", Salt: c.random()})
	for _, name := range []string{"", " x", "a\nb", "\x1b[2J"} {
		if r := c.refused(access.NameFactor{By: p.caller(), Factor: key, Name: name}); r.Kind != access.Invalid {
			t.Errorf("name %q: %v", name, r)
		}
	}
	c.wait(access.FreshLook)
	for _, cmd := range []access.Command{
		access.RemoveFactor{By: p.caller(), Factor: totp.Entry},
		access.AddFactor{SignIn: p.signIn, Factor: access.NewFactor{Step: 5000}},
	} {
		if r := c.refused(cmd); r != access.ErrNotFresh {
			t.Errorf("%T: %v", cmd, r)
		}
	}
	c.do(access.ConfirmWithPasskey{SignIn: p.signIn, Assertion: access.Assertion{User: p.id, Factor: key}, Source: "192.0.2.7", Salt: c.random()})
	c.do(access.RemoveFactor{By: p.caller(), Factor: totp.Entry})
	if r := c.refused(access.RemoveFactor{By: p.caller(), Factor: key}); r.Kind != access.Conflict {
		t.Errorf("the last: %v", r)
	}
	// A recovery code is no fresh proof: it leads to an invitation alone.
	in := c.useCode(p, 1)
	c.do(in)
	p.token, p.signIn = in.Holder.Token, c.state.Next()-1
	if r := c.refused(access.AddFactor{SignIn: p.signIn, Factor: access.NewFactor{Step: 5000}}); r != access.ErrNotFresh {
		t.Errorf("with a recovery code: %v", r)
	}
	// Enrolling anew takes the place of everything.
	invite := access.Invite{Token: c.hash()}
	c.do(access.InviteUser{By: local, Handle: "carol", Invite: invite})
	c.do(c.enroll(invite, 9000))
	if u, _ = c.state.User(p.id); len(u.Factors) != 1 || u.Factors[0].Kind != store.FactorTOTP {
		t.Errorf("factors %+v", u.Factors)
	}
}

// TestAuthenticators: where a company names models, others are not enrolled.
func TestAuthenticators(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	good := store.AAGUID{0x2f, 0xc0, 15: 1}
	c.do(access.ChangeSetting{By: local, Setting: store.SettingAuthenticators, Value: good.String()})
	add := func(a store.AAGUID) access.AddFactor {
		return access.AddFactor{SignIn: p.signIn, Factor: access.NewFactor{Passkey: &store.Passkey{Credential: a[:], PublicKey: []byte("key"), AAGUID: a}}}
	}
	if r := c.refused(add(store.AAGUID{})); r.Kind != access.Forbidden {
		t.Errorf("none: %v", r)
	}
	c.refused(add(store.AAGUID{1}))
	c.do(add(good))
	for _, bad := range []string{"", "2FC00000-0000-0000-0000-000000000001", good.String() + ",", "any," + good.String()} {
		c.refused(access.ChangeSetting{By: local, Setting: store.SettingAuthenticators, Value: bad})
	}
}

// TestTouch: a grant that wants a touch opens only after one, of a passkey, in
// this very session.
func TestTouch(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	key := c.passkey(p, "", 0)
	c.target("db1", "root")
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, Conditions: store.Conditions{Passkey: 15}})
	if r := c.refused(c.start(p, "db1", "root")); r.Reason != store.RefusedTouch {
		t.Errorf("after TOTP: %v", r)
	}
	other := p
	c.signIn(&other)
	c.do(access.ConfirmWithPasskey{SignIn: other.signIn, Assertion: access.Assertion{User: p.id, Factor: key}, Source: "192.0.2.7", Salt: c.random()})
	c.wait(time.Minute)
	c.refused(c.start(p, "db1", "root"))
	p.step = other.step
	c.do(access.ConfirmWithTOTP{By: p.caller(), Step: p.step + 1, Source: "192.0.2.7", Salt: c.random()})
	c.refused(c.start(p, "db1", "root"))
	c.wait(14*time.Minute - time.Millisecond)
	c.do(c.start(other, "db1", "root"))
	c.wait(time.Millisecond)
	c.refused(c.start(other, "db1", "root"))
	// A grant without it stands beside.
	c.grant(p, "db1", 0, 0, "root")
	c.do(c.start(p, "db1", "root"))
}
