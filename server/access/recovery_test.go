package access_test

import (
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// useCode is the command of somebody who shows a recovery code.
func (c *company) useCode(p person, number uint64) access.SignInWithRecoveryCode {
	u, _ := c.state.User(p.id)
	return access.SignInWithRecoveryCode{
		User: p.id, Codes: u.Recovery.Codes, Number: number, Holder: c.holder(),
	}
}

// newCodes is the command of somebody who wants other recovery codes.
func (c *company) newCodes(p *person) access.CreateRecoveryCodes {
	p.step++
	return access.CreateRecoveryCodes{By: p.caller(), Codes: c.hash(), Step: p.step}
}

// TestS18CodeOnce: each code signs its owner in once, whatever happened between.
func TestS18CodeOnce(t *testing.T) {
	c := found(t)
	carol, bob := c.employ("carol"), c.employ("bob")
	for number := uint64(1); number <= access.RecoveryCodes; number++ {
		c.do(c.useCode(carol, number))
		e := last[*store.SignInSucceeded](c)
		if e.Kind != store.FactorRecovery || e.Code != number || e.User != carol.id || e.Step != 0 {
			t.Errorf("event %+v", e)
		}
		if u, _ := c.state.User(carol.id); u.Recovery.Left() != access.RecoveryCodes-int(number) || u.Recovery.Entry != e.Factor {
			t.Errorf("after code %d: %+v, %d left", number, u.Recovery, u.Recovery.Left())
		}
		c.refused(c.useCode(carol, number))
		var err error
		if c.state, err = access.OpenSnapshot(snapshot(t, c.state), c.text); err != nil {
			t.Fatal(err)
		}
		c.refused(c.useCode(carol, number))
	}
	for _, number := range []uint64{0, 11, 64, 65, 1 << 63} {
		c.refused(c.useCode(bob, number))
	}
	// Carol's record says nothing about Bob's codes.
	theirs := c.useCode(carol, 1)
	theirs.User = bob.id
	c.refused(theirs)
	c.do(c.useCode(bob, 1))
	if u, _ := c.state.User(bob.id); u.Recovery.Left() != access.RecoveryCodes-1 {
		t.Errorf("bob has %d left", u.Recovery.Left())
	}
}

// TestS18WhoseCodesCount: those of the last set, while their owner is there.
func TestS18WhoseCodesCount(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	old := c.useCode(carol, 1)
	c.do(c.newCodes(&carol))
	if e := last[*store.RecoveryCreated](c); e.Count != access.RecoveryCodes || e.Step != carol.step {
		t.Errorf("event %+v", e)
	}
	c.refused(old)
	c.do(c.useCode(carol, 1))
	// Who enrols again has other codes, too.
	old = c.useCode(carol, 2)
	invite := access.Invite{Token: c.hash()}
	c.do(access.InviteUser{By: local, Handle: "carol", Invite: invite})
	c.do(c.useCode(carol, 3)) // an invitation alone changes nothing
	c.do(c.enroll(invite, 2000))
	c.refused(old)
	c.do(c.useCode(carol, 2))
	gone := c.useCode(carol, 4)
	c.do(access.RemoveUser{By: local, Handle: "carol"})
	c.refused(gone)
	invited := person{id: c.userID()}
	c.do(access.AddUser{By: local, ID: invited.id, Handle: "dave", Salt: c.random(), Invite: access.Invite{Token: c.hash()}})
	c.refused(c.useCode(invited, 1)) // has none
	c.refused(c.useCode(person{id: c.userID()}, 1))
}

// TestS18NewCodesTakeASecondLook: a stolen sign-in does not get a way in that
// outlives it.
func TestS18NewCodesTakeASecondLook(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	c.do(access.CreateRecoveryCodes{By: carol.caller(), Codes: c.hash()}) // she has just enrolled
	c.wait(access.FreshLook)
	for step, want := range map[uint64]*access.Refusal{0: access.ErrNotFresh, carol.step: access.ErrSecondLook} {
		if r := c.refused(access.CreateRecoveryCodes{By: carol.caller(), Codes: c.hash(), Step: step}); r != want {
			t.Errorf("step %d: %v", step, r)
		}
	}
	cmd := c.newCodes(&carol)
	for name, by := range map[string]access.Caller{"nobody": {}, "forged": {Token: c.hash()}, "the machine": local} {
		other := cmd
		other.By = by
		if r := c.refused(other); r.Kind != access.Unauthenticated {
			t.Errorf("%s: %v", name, r)
		}
	}
	nothing := cmd
	nothing.Codes = store.Hash{}
	c.refused(nothing)
	c.do(cmd)
	c.refused(cmd) // the step is used up
	c.refused(access.SignInWithTOTP{User: carol.id, Step: cmd.Step, Holder: c.holder()})
}

// TestS18RenewFactor: a recovery code leads to another authenticator, for a
// quarter of an hour, and nothing else does.
func TestS18RenewFactor(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	renew := func(p person) access.RenewFactor {
		return access.RenewFactor{By: p.caller(), Invite: access.Invite{Token: c.hash()}}
	}
	if r := c.refused(renew(carol)); r.Kind != access.Conflict {
		t.Errorf("with an authenticator: %v", r)
	}
	in := c.useCode(carol, 1)
	c.do(in)
	carol.token = in.Holder.Token
	c.wait(access.RenewalLife - time.Millisecond)
	cmd := renew(carol)
	c.do(cmd)
	e := last[*store.InvitationCreated](c)
	if e.User != carol.id || e.Expires != c.at()+1 {
		t.Errorf("event %+v at %d", e, c.at())
	}
	c.refused(cmd) // the token is taken
	enroll := c.enroll(cmd.Invite, 3000)
	c.wait(time.Millisecond)
	c.refused(enroll)
	c.refused(renew(carol))

	in = c.useCode(carol, 2)
	c.do(in)
	carol.token = in.Holder.Token
	cmd = renew(carol)
	c.do(cmd)
	c.do(c.enroll(cmd.Invite, 3000))
	if _, _, err := c.state.Caller(carol.caller(), c.at()); err == nil {
		t.Error("the sign-in with the code outlives the new authenticator")
	}
}

func TestNoteStop(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	c.do(access.NoteStop{User: p.id, Count: 60})
	if e := last[*store.SignInStopped](c); e.User != p.id || e.Count != 60 || c.entries[len(c.entries)-1].Actor != (store.Actor{}) {
		t.Errorf("event %+v", e)
	}
	c.refused(access.NoteStop{User: p.id})
	c.refused(access.NoteStop{User: c.userID(), Count: 60})
}
