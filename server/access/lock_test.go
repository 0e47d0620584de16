package access_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const secretWhy = "her laptop was stolen on the train"

// lock locks something for a reason that nobody who is locked may read.
func (c *company) lock(what access.Lockable) store.Index {
	c.Helper()
	c.do(access.AddLock{By: local, What: what, Why: secretWhy, Salt: c.random()})
	return c.state.Next() - 1
}

// lockSerial locks a certificate by the index of its entry.
func (c *company) lockSerial(entry store.Index) store.Index {
	c.Helper()
	issued, ok := c.entries[entry].Event.(*store.CertificateIssued)
	if !ok {
		c.Fatalf("entry %d is no certificate", entry)
	}
	c.do(access.AddLock{By: local, What: access.Lockable{Serial: c.state.SerialOf(entry)}, Certificate: issued, Why: secretWhy, Salt: c.random()})
	return c.state.Next() - 1
}

func (c *company) unlock(what access.Lockable) {
	c.Helper()
	c.do(access.RemoveLock{By: local, What: what, Salt: c.random()})
}

// saysLock looks at the sentence with which somebody runs into a lock.
func saysLock(t *testing.T, r *access.Refusal) {
	t.Helper()
	checkForm(t, r)
	if r.Kind != access.Forbidden || !strings.Contains(r.Message, "is locked since 2026-11-02") ||
		!strings.Contains(r.Hint, "ask an administrator; it is lock ") || strings.Contains(r.Message+r.Hint, secretWhy) {
		t.Errorf("whoever is locked reads %+v", r)
	}
}

// ends wants a session to have to end, by a lock or not at all.
func (c *company) ends(id store.SessionID, byLock bool) {
	c.Helper()
	reason, ends := c.state.SessionEnds(id, c.at())
	if ends != byLock || ends && reason != store.EndedByLock {
		c.Errorf("session ends: %v, %q; by a lock: %v", ends, reason, byLock)
	}
	if r := c.state.LockedSession(id); (r != nil) != byLock {
		c.Errorf("of the lock its user reads %+v", r)
	}
}

// TestS37LockUser: what a person has ends with the entry, and nothing begins,
// however they prove themselves, until the lock is taken away.
func TestS37LockUser(t *testing.T) {
	c := found(t)
	c.employ("bob", store.RoleAdministrator)
	p := c.employ("carol", store.RoleAdministrator)
	c.target("db1", "root")
	c.grant(p, "db1", 0, 0, "root")
	c.do(access.AddFactor{SignIn: p.signIn, Factor: access.NewFactor{Passkey: &store.Passkey{Credential: []byte("credential"), PublicKey: []byte("a key")}}})
	key := c.state.Next() - 1
	c.do(c.vouched(&p, "1"))
	codes := c.hash()
	p.step++
	c.do(access.CreateRecoveryCodes{By: p.caller(), Codes: codes, Step: p.step})
	open := c.session(p, "db1", "root")
	fresh := c.start(p, "db1", "root")
	fresh.Certificate = c.certificate(p) // not used yet
	invite := access.Invite{Token: c.hash()}
	c.do(access.InviteUser{By: local, Handle: "carol", Invite: invite})
	c.do(access.SignInWithRecoveryCode{User: p.id, Codes: codes, Number: 1, Holder: c.holder()})

	lock := c.lock(access.Lockable{User: "carol"})
	if n := len(c.state.SignInsOf(p.id, c.at())); n != 0 {
		t.Errorf("%d sign-in sessions are left", n)
	}
	c.ends(open, true)
	if got := c.state.Reaches(p.id, c.at()); len(got) != 0 {
		t.Errorf("reaches %+v", got)
	}
	assertion := access.Assertion{User: p.id, Factor: key}
	proved := map[string]access.Command{
		"totp":            access.SignInWithTOTP{User: p.id, Step: p.step + 1, Holder: c.holder()},
		"passkey":         access.SignInWithPasskey{Assertion: assertion, Holder: c.holder()},
		"recovery code":   access.SignInWithRecoveryCode{User: p.id, Codes: codes, Number: 2, Holder: c.holder()},
		"provider, TOTP":  vouchedBy(c, p, "1", func(s *access.SignInWithSSO) { s.Step = p.step + 1 }),
		"provider, touch": vouchedBy(c, p, "1", func(s *access.SignInWithSSO) { s.Assertion = &assertion }),
		"provider alone":  vouchedBy(c, p, "1", func(s *access.SignInWithSSO) { s.Counts = true }),
		"certificate":     fresh,
		"open session":    access.IssueTargetCertificate{Session: open, Key: keys().subject, Nonce: c.random()},
	}
	for name, cmd := range proved {
		r := c.refused(cmd)
		t.Logf("%s: %s", name, r)
		saysLock(t, r)
	}
	over := map[string]access.Command{
		"a certificate":          access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()},
		"a step-up with passkey": access.ConfirmWithPasskey{SignIn: p.signIn, Assertion: assertion},
		"a step-up with TOTP":    access.ConfirmWithTOTP{By: p.caller(), Step: p.step + 1},
		"a factor more":          access.AddFactor{SignIn: p.signIn, Factor: access.NewFactor{Step: p.step + 1}},
		"an invitation":          access.RenewFactor{By: p.caller(), Invite: access.Invite{Token: c.hash()}},
		"new recovery codes":     access.CreateRecoveryCodes{By: p.caller(), Codes: c.hash(), Step: p.step + 1},
		"administering":          access.RemoveLock{By: p.caller(), What: access.Lockable{User: "carol"}},
	}
	for name, cmd := range over {
		if r := c.refused(cmd); r != access.ErrNotSignedIn {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := c.refused(c.enroll(invite, 2000)); r != access.ErrInvitation {
		t.Errorf("the invitation from before: %+v", r)
	}
	if r := c.refused(access.InviteUser{By: local, Handle: "carol", Invite: access.Invite{Token: c.hash()}}); r.Kind != access.Conflict {
		t.Errorf("another invitation: %+v", r)
	}
	if got := c.state.WantsTouch(access.SignIn{Entry: p.signIn, User: p.id}, "db1", "root", c.at()); got {
		t.Error("who is locked is asked for a touch")
	}

	c.unlock(access.Lockable{User: "carol"})
	if got, want := last[*store.LockRemoved](c), (&store.LockRemoved{Lock: lock, User: p.id}); !cmp.Equal(want, got) {
		t.Errorf("entry (-want +got):\n%s", cmp.Diff(want, got))
	}
	if r := c.refused(over["a certificate"]); r != access.ErrNotSignedIn {
		t.Errorf("the sign-in from before: %+v", r)
	}
	if r := c.refused(c.enroll(invite, 2000)); r != access.ErrInvitation {
		t.Errorf("the invitation from before: %+v", r)
	}
	c.ends(open, false) // nobody had ended it yet: what a lock ends is the relay's work
	c.signIn(&p)
	c.session(p, "db1", "root")
}

// vouchedBy is a sign-in with the provider's word.
func vouchedBy(c *company, p person, subject string, with func(*access.SignInWithSSO)) access.Command {
	cmd := access.SignInWithSSO{Identity: c.vouched(&p, subject).Identity, User: p.id, LinkSalt: c.random(), Holder: c.holder()}
	with(&cmd)
	return cmd
}

// TestS16LockedLooksLikeAnybody: who has not proved a factor reads of a locked user
// what they read of everybody else.
func TestS16LockedLooksLikeAnybody(t *testing.T) {
	c := found(t)
	carol, dave := c.employ("carol"), c.employ("dave")
	c.do(c.vouched(&carol, "1"))
	c.do(c.vouched(&dave, "2"))
	c.lock(access.Lockable{User: "carol"})
	answers := func(p person, subject string) []error {
		var all []error
		for _, cmd := range []access.Command{
			access.SignInWithTOTP{User: p.id, Step: 1000, Holder: c.holder()},
			access.SignInWithPasskey{Assertion: access.Assertion{User: p.id, Factor: 3}, Holder: c.holder()},
			access.SignInWithRecoveryCode{User: p.id, Codes: c.hash(), Number: 1, Holder: c.holder()},
			vouchedBy(c, p, subject, func(*access.SignInWithSSO) {}),
			vouchedBy(c, p, subject, func(s *access.SignInWithSSO) { s.Step = 1 }),
			vouchedBy(c, p, "3", func(s *access.SignInWithSSO) { s.Counts = true }), // an account that is nobody's, and says to be theirs
		} {
			_, err := c.decide(cmd)
			if err == nil {
				t.Errorf("%+v: allowed", cmd)
			}
			all = append(all, err)
		}
		return all
	}
	locked, other := answers(carol, "1"), answers(dave, "2")
	for i := range locked {
		if !errors.Is(locked[i], other[i]) {
			t.Errorf("of a locked user a stranger reads %v, of another %v", locked[i], other[i])
		}
	}
}

// TestS37LockTarget: nothing starts on it, also not for the server itself, and what
// runs ends; who may not reach it does not hear of it.
func TestS37LockTarget(t *testing.T) {
	c := found(t)
	p, eve := c.employ("carol"), c.employ("eve")
	c.target("db1", "root")
	c.target("web1", "root")
	c.grant(p, "db1", 0, 0, "root")
	c.grant(p, "web1", 0, 0, "root")
	c.do(access.AddGrant{By: local, User: "eve", Target: "db1", Logins: []string{"root"}, From: c.at() + 3_600_000})
	here, elsewhere := c.session(p, "db1", "root"), c.session(p, "web1", "root")
	errand := access.StartErrand{By: local, Errand: store.ErrandCheck, Target: "db1", Session: c.sessionID()}
	c.do(errand)

	c.lock(access.Lockable{Target: "db1"})
	c.ends(here, true)
	c.ends(errand.Session, true)
	c.ends(elsewhere, false)
	saysLock(t, c.refused(c.start(p, "db1", "root")))
	if got := last[*store.SessionRefused](c).Reason; got != store.RefusedLock {
		t.Errorf("refused for %q", got)
	}
	errand.Session = c.sessionID()
	saysLock(t, c.refused(errand))
	errand.By = access.Caller{Timetable: true}
	saysLock(t, c.refused(errand))
	if r := c.refused(c.start(eve, "db1", "root")); r.Reason == store.RefusedLock {
		t.Errorf("somebody without a grant reads %+v", r)
	}
	if got := c.state.Reaches(p.id, c.at()); len(got) != 1 || got[0].Target.Name != "web1" {
		t.Errorf("reaches %+v", got)
	}
	c.grant(p, "db1", 0, 0, "root") // a lock is stronger than any grant
	c.wait(time.Minute)
	saysLock(t, c.refused(c.start(p, "db1", "root")))
	c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, Conditions: store.Conditions{Passkey: 5}})
	saysLock(t, c.refused(c.start(p, "db1", "root")))
	c.unlock(access.Lockable{Target: "db1"})
	c.session(p, "db1", "root")
}

// TestS37LockSerial: of a user certificate everything that came from it ends, and of
// a target certificate its session; another certificate's sessions go on.
func TestS37LockSerial(t *testing.T) {
	c := found(t)
	c.do(access.RestoreLedger{}) // a serial is no index any more
	p := c.employ("carol")
	c.target("db1", "root")
	c.grant(p, "db1", 0, 0, "root")
	start := func(certificate store.Index) access.StartSession {
		cmd := c.start(p, "db1", "root")
		cmd.Certificate = certificate
		return cmd
	}
	first, second := c.certificate(p), c.certificate(p)
	one, two, three := start(first), start(first), start(second)
	for _, cmd := range []access.Command{one, two, three} {
		c.do(cmd)
	}
	c.lockSerial(first)
	if e := last[*store.LockAdded](c); e.Of != p.id || e.User != (store.UserID{}) {
		t.Errorf("entry %+v", e)
	}
	c.ends(one.Session, true)
	c.ends(two.Session, true)
	c.ends(three.Session, false)
	saysLock(t, c.refused(start(first)))
	c.do(start(second))

	c.do(access.IssueTargetCertificate{Session: three.Session, Key: keys().subject, Nonce: c.random()})
	onward := c.state.Next() - 1
	c.do(access.IssueTargetCertificate{Session: three.Session, Key: keys().subject, Nonce: c.random()})
	lock := c.lockSerial(onward)
	c.ends(three.Session, true)
	c.do(start(second))
	c.unlock(access.Lockable{Serial: c.state.SerialOf(onward)})
	if e := last[*store.LockRemoved](c); e.Lock != lock || e.User != p.id {
		t.Errorf("entry %+v", e)
	}
	c.ends(three.Session, false)
}

// TestS37LockSession: it ends, and nothing gets its ID again.
func TestS37LockSession(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.target("db1", "root")
	c.grant(p, "db1", 0, 0, "root")
	id, other := c.session(p, "db1", "root"), c.session(p, "db1", "root")
	c.lock(access.Lockable{Session: id})
	c.ends(id, true)
	c.ends(other, false)
	c.do(access.EndSession{Session: id, Reason: store.EndedByLock})
	again := c.start(p, "db1", "root")
	again.Session = id
	if r := c.refused(again); r.Kind != access.Conflict {
		t.Errorf("a session with the ID of a locked one: %+v", r)
	}
	errand := access.StartErrand{By: local, Errand: store.ErrandCheck, Target: "db1", Session: id}
	if r := c.refused(errand); r.Kind != access.Conflict {
		t.Errorf("an errand with the ID of a locked one: %+v", r)
	}
	errand.Session = c.sessionID()
	c.do(errand)
	c.lock(access.Lockable{Session: errand.Session})
	c.ends(errand.Session, true)
}

// TestLastAdministratorIsNotLocked: there is always somebody who can take a lock
// away, whoever wants it otherwise.
func TestLastAdministratorIsNotLocked(t *testing.T) {
	c := found(t)
	bob, carol := c.employ("bob", store.RoleAdministrator), c.employ("carol", store.RoleAdministrator)
	add := func(by access.Caller, user store.Handle) access.AddLock {
		return access.AddLock{By: by, What: access.Lockable{User: user}, Why: "why", Salt: c.random()}
	}
	c.do(add(bob.caller(), "carol"))
	for name, by := range map[string]access.Caller{"themselves": bob.caller(), "the server's own machine": local} {
		if r := c.refused(add(by, "bob")); r.Kind != access.Conflict || !strings.Contains(r.Message, "last administrator") {
			t.Errorf("by %s: %+v", name, r)
		}
	}
	if r := c.refused(access.RemoveUser{By: local, Handle: "bob"}); r.Kind != access.Conflict {
		t.Errorf("removed, with the other one locked: %+v", r)
	}
	c.do(access.RemoveLock{By: bob.caller(), What: access.Lockable{User: "carol"}, Salt: c.random()})
	c.do(add(bob.caller(), "bob")) // one's own laptop is lost
	c.signIn(&carol)
	c.do(access.RemoveLock{By: carol.caller(), What: access.Lockable{User: "bob"}, Why: "it was found", Salt: c.random()})
	if e := last[*store.LockRemoved](c); c.texts[e.Why] != "it was found" {
		t.Errorf("entry %+v", e)
	}
}

// TestLocksGoWithWhatTheyAreOn: a removed user and a removed target leave no lock.
func TestLocksGoWithWhatTheyAreOn(t *testing.T) {
	c := found(t)
	c.employ("carol")
	c.target("db1", "root")
	c.lock(access.Lockable{User: "carol"})
	c.lock(access.Lockable{Target: "db1"})
	c.do(access.RemoveUser{By: local, Handle: "carol"})
	c.do(access.RemoveTarget{By: local, Name: "db1"})
	for l := range c.state.Locks() {
		t.Errorf("lock %+v is left", l)
	}
}

// TestLockOpening: why is beside the entry, and belongs to whom it is about.
func TestLockOpening(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	target := c.target("db1", "root")
	c.grant(p, "db1", 0, 0, "root")
	session := c.session(p, "db1", "root")
	for name, tc := range map[string]struct {
		what  access.Lockable
		owner store.UserID
		want  store.LockAdded
	}{
		"user":    {access.Lockable{User: "carol"}, p.id, store.LockAdded{User: p.id}},
		"target":  {access.Lockable{Target: "db1"}, store.UserID{}, store.LockAdded{Target: target}},
		"session": {access.Lockable{Session: session}, p.id, store.LockAdded{Session: session, Of: p.id}},
	} {
		d, _, err := access.Decide(c.state, access.AddLock{By: local, What: tc.what, Why: secretWhy, Salt: c.random()}, c.now)
		if err != nil || len(d.Openings) != 1 {
			t.Fatalf("%s: %+v, %v", name, d, err)
		}
		o := d.Openings[0]
		tc.want.Why = o.Commit()
		if diff := cmp.Diff([]store.Event{&tc.want}, d.Events); diff != "" || o.Owner != tc.owner || o.Field != store.FieldLock || o.Text != secretWhy {
			t.Errorf("%s: opening %+v, event (-want +got):\n%s", name, o, diff)
		}
	}
}

func lockRefusals() []refusalCase {
	lock := func(what access.Lockable) func(*company) access.Command {
		return func(c *company) access.Command {
			c.employ("carol")
			c.target("db1", "root")
			return access.AddLock{By: local, What: what, Why: "why", Salt: c.random()}
		}
	}
	twice := func(unlock bool) func(*company) access.Command {
		return func(c *company) access.Command {
			cmd := lock(access.Lockable{User: "carol"})(c)
			c.do(cmd)
			if unlock {
				c.unlock(access.Lockable{User: "carol"})
				return access.RemoveLock{By: local, What: access.Lockable{User: "carol"}}
			}
			return cmd
		}
	}
	return []refusalCase{
		{"of nothing", access.Invalid, lock(access.Lockable{})},
		{"of two things", access.Invalid, lock(access.Lockable{User: "carol", Target: "db1"})},
		{"of nobody", access.NotFound, lock(access.Lockable{User: "bob"})},
		{"of no target", access.NotFound, lock(access.Lockable{Target: "db2"})},
		{"of no session", access.NotFound, lock(access.Lockable{Session: store.SessionID{6: 0x40, 8: 0x80, 15: 1}})},
		{"of a serial of no certificate", access.NotFound, lock(access.Lockable{Serial: 1})},
		{"of a serial that was never given out", access.NotFound, lock(access.Lockable{Serial: 4711})},
		{"of an emergency certificate", access.Invalid, lock(access.Lockable{Serial: store.EmergencySerial})},
		{"of the last administrator", access.Conflict, lock(access.Lockable{User: "alice"})},
		{"of a target certificate whose session is over", access.NotFound, func(c *company) access.Command {
			cmd := lock(access.Lockable{Serial: 3})(c).(access.AddLock)
			cmd.Certificate = &store.CertificateIssued{Kind: store.CertificateTarget, Session: store.SessionID{6: 0x40, 8: 0x80, 15: 1}}
			return cmd
		}},
		{"without a reason", access.Invalid, func(c *company) access.Command {
			cmd := lock(access.Lockable{User: "carol"})(c).(access.AddLock)
			cmd.Why = ""
			return cmd
		}},
		{"by an engineer", access.Forbidden, func(c *company) access.Command {
			cmd := lock(access.Lockable{User: "carol"})(c).(access.AddLock)
			cmd.By = c.employ("eve").caller()
			return cmd
		}},
		{"of what is locked", access.Conflict, twice(false)},
		{"of what is not locked", access.NotFound, twice(true)},
		{"of a serial that was never given out", access.NotFound, func(*company) access.Command {
			return access.RemoveLock{By: local, What: access.Lockable{Serial: 4711}}
		}},
		{"with a reason of two lines", access.Invalid, func(c *company) access.Command {
			c.do(lock(access.Lockable{Target: "db1"})(c))
			return access.RemoveLock{By: local, What: access.Lockable{Target: "db1"}, Why: "a\nb"}
		}},
		{"of somebody who is locked", access.Conflict, func(c *company) access.Command {
			c.do(lock(access.Lockable{User: "carol"})(c))
			return access.InviteUser{By: local, Handle: "carol", Invite: access.Invite{Token: c.hash()}}
		}},
		{"of somebody who is locked", access.Conflict, func(c *company) access.Command {
			c.do(lock(access.Lockable{User: "carol"})(c))
			return access.BeginRecovery{By: local, Handle: "carol", Pause: access.MinRecoverPause}
		}},
		{"of somebody who is locked by now", access.Conflict, func(c *company) access.Command {
			add := lock(access.Lockable{User: "carol"})(c)
			c.do(access.BeginRecovery{By: local, Handle: "carol", Pause: access.MinRecoverPause})
			c.do(add)
			c.wait(access.MinRecoverPause)
			return access.FinishRecovery{By: local, Handle: "carol", Invite: access.Invite{Token: c.hash()}}
		}},
		{"of somebody who is locked", access.Forbidden, func(c *company) access.Command {
			p := c.employ("dave")
			c.do(lock(access.Lockable{User: "dave"})(c))
			return access.SignInWithTOTP{User: p.id, Step: p.step + 1, Holder: c.holder()}
		}},
		{"of somebody who is locked", access.Forbidden, func(c *company) access.Command {
			p := c.employ("dave")
			cmd := c.start(p, "db1", "root")
			c.do(lock(access.Lockable{User: "dave"})(c))
			return cmd
		}},
		{"on a target that is locked", access.Forbidden, func(c *company) access.Command {
			c.do(lock(access.Lockable{Target: "db1"})(c))
			return access.StartErrand{By: local, Errand: store.ErrandCheck, Target: "db1", Session: c.sessionID()}
		}},
	}
}
