package access_test

import (
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const pause = 24 * time.Hour

func (c *company) recover(handle store.Handle) access.BeginRecovery {
	return access.BeginRecovery{By: local, Handle: handle, Pause: pause}
}

func (c *company) finish(handle store.Handle) access.FinishRecovery {
	return access.FinishRecovery{By: local, Handle: handle, Invite: access.Invite{Token: c.hash()}}
}

// TestRecovery: begun, waited for, finished: an engineer is an administrator and
// invited, and the entries say by which path.
func TestRecovery(t *testing.T) {
	c := found(t)
	c.employ("bob", store.RoleAdministrator)
	carol := c.employ("carol")
	c.do(c.recover("carol"))
	begun := last[*store.RecoveryBegun](c)
	entry := c.entries[len(c.entries)-1].Index
	if begun.User != carol.id || begun.Ready != c.at()+store.Millis(pause/time.Millisecond) || !c.entries[entry].Actor.Local {
		t.Errorf("event %+v", begun)
	}
	c.wait(pause - time.Millisecond)
	if r := c.refused(c.finish("carol")); r.Kind != access.Conflict || r.RetryAfter != time.Millisecond {
		t.Errorf("a moment too early: %+v", r)
	}
	if u, _ := c.state.User(carol.id); u.Has(store.RoleAdministrator) {
		t.Error("an administrator before the end")
	}
	c.wait(time.Millisecond)
	cmd := c.finish("carol")
	c.do(cmd)
	inv := last[*store.InvitationCreated](c)
	done, ok := c.entries[len(c.entries)-2].Event.(*store.RecoveryFinished)
	if !ok || done.Begun != entry || done.User != carol.id || inv.User != carol.id || inv.Token != cmd.Invite.Token ||
		inv.Expires != c.at()+store.Millis(access.RecoveryLife/time.Millisecond) {
		t.Errorf("events %+v, %+v", done, inv)
	}
	if u, _ := c.state.User(carol.id); !u.Has(store.RoleAdministrator) || !u.Has(store.RoleEngineer) {
		t.Errorf("roles %v", u.Roles)
	}
	if _, ok := c.state.Recovery(c.at()); ok {
		t.Error("still under way")
	}
	if r := c.refused(c.finish("carol")); r.Kind != access.NotFound {
		t.Errorf("once more: %+v", r)
	}
	// The new factor ends whatever was signed in before.
	enroll := c.enroll(cmd.Invite, 5000)
	c.do(enroll)
	if _, err := c.state.Authorize(byToken(enroll.Holder.Token), c.at(), store.RoleAdministrator); err != nil {
		t.Error(err)
	}
	if _, _, err := c.state.Caller(carol.caller(), c.at()); err == nil {
		t.Error("the sign-in from before outlives the recovery")
	}
}

// TestRecoveryPause: it is for those who could stop it, and where there is none
// there is no pause.
func TestRecoveryPause(t *testing.T) {
	for name, tc := range map[string]struct {
		company func(c *company)
		want    time.Duration
	}{
		"nobody enrolled":           {func(*company) {}, 0},
		"an engineer enrolled":      {func(c *company) { c.employ("carol") }, 0},
		"an administrator enrolled": {func(c *company) { c.employ("bob", store.RoleAdministrator) }, pause},
		"an administrator was recovered": {func(c *company) {
			c.do(c.recover("alice"))
			f := c.finish("alice")
			c.do(f)
			c.do(c.enroll(f.Invite, 7))
		}, pause},
	} {
		t.Run(name, func(t *testing.T) {
			c := found(t)
			tc.company(c)
			c.do(c.recover("alice"))
			if got := last[*store.RecoveryBegun](c).Ready - c.at(); got != store.Millis(tc.want/time.Millisecond) {
				t.Errorf("a pause of %d ms, want %s", got, tc.want)
			}
			f := c.finish("alice")
			if tc.want > 0 {
				c.refused(f)
				c.wait(tc.want)
			}
			c.do(f)
		})
	}
}

// TestRecoveryRunsOut: a day after it could have been finished it can't be, and
// another can be begun.
func TestRecoveryRunsOut(t *testing.T) {
	c := found(t)
	c.employ("bob", store.RoleAdministrator)
	c.do(c.recover("alice"))
	c.wait(pause + access.RecoveryLife - time.Millisecond)
	if _, ok := c.state.Recovery(c.at()); !ok {
		t.Error("over a moment too early")
	}
	c.refused(c.recover("alice"))
	c.wait(time.Millisecond)
	if _, ok := c.state.Recovery(c.at()); ok {
		t.Error("not over")
	}
	if r := c.refused(c.finish("alice")); r.Kind != access.NotFound {
		t.Errorf("too late: %+v", r)
	}
	if r := c.refused(access.StopRecovery{By: local}); r.Kind != access.NotFound {
		t.Errorf("stopping what is over: %+v", r)
	}
	c.do(c.recover("bob"))
}

// TestRecoveryIsStopped by every administrator, and by nobody else.
func TestRecoveryIsStopped(t *testing.T) {
	c := found(t)
	bob, carol := c.employ("bob", store.RoleAdministrator), c.employ("carol", store.RoleEngineer, store.RoleApprover, store.RoleAuditor)
	c.do(c.recover("carol"))
	entry := c.state.Next() - 1
	for name, by := range map[string]access.Caller{"nobody": {}, "forged": {Token: c.hash()}, "carol": carol.caller(), "timetable": {Timetable: true}} {
		if r := c.refused(access.StopRecovery{By: by}); r.Kind != access.Unauthenticated && r.Kind != access.Forbidden {
			t.Errorf("%s: %+v", name, r)
		}
	}
	c.do(access.StopRecovery{By: bob.caller()})
	if e := last[*store.RecoveryStopped](c); e.User != carol.id || e.Begun != entry || c.entries[len(c.entries)-1].Actor.User != bob.id {
		t.Errorf("event %+v", e)
	}
	c.wait(pause)
	c.refused(c.finish("carol"))
	// Who is removed meanwhile is recovered no more; nor is who then has the name.
	c.do(c.recover("carol"))
	c.do(access.RemoveUser{By: local, Handle: "carol"})
	c.employ("carol")
	c.wait(pause)
	c.refused(c.finish("carol"))
	c.do(c.recover("carol"))
	c.do(access.StopRecovery{By: local})
}

// TestRecoveryOnTheMachineAlone: no sign-in begins or finishes one, an
// administrator's neither.
func TestRecoveryOnTheMachineAlone(t *testing.T) {
	c := found(t)
	bob := c.employ("bob", store.RoleAdministrator)
	for name, by := range map[string]access.Caller{"nobody": {}, "an administrator": bob.caller(), "timetable": {Timetable: true}} {
		begin := c.recover("bob")
		begin.By = by
		if r := c.refused(begin); r.Kind != access.Forbidden {
			t.Errorf("%s begins: %+v", name, r)
		}
	}
	c.do(c.recover("bob"))
	c.wait(pause)
	for name, by := range map[string]access.Caller{"nobody": {}, "an administrator": bob.caller(), "timetable": {Timetable: true}} {
		finish := c.finish("bob")
		finish.By = by
		if r := c.refused(finish); r.Kind != access.Forbidden {
			t.Errorf("%s finishes: %+v", name, r)
		}
	}
	taken := c.finish("bob")
	taken.Invite = access.Invite{}
	c.refused(taken)
	c.do(c.finish("bob"))
}

func recoveryRefusals() []refusalCase {
	begun := func(c *company) {
		c.employ("bob", store.RoleAdministrator)
		c.do(c.recover("alice"))
	}
	return []refusalCase{
		{"by an administrator elsewhere", access.Forbidden, func(c *company) access.Command {
			cmd := c.recover("alice")
			cmd.By = c.employ("bob", store.RoleAdministrator).caller()
			return cmd
		}},
		{"without a pause", access.Invalid, func(*company) access.Command { return access.BeginRecovery{By: local, Handle: "alice"} }},
		{"with a pause of eight days", access.Invalid, func(*company) access.Command {
			return access.BeginRecovery{By: local, Handle: "alice", Pause: 8 * 24 * time.Hour}
		}},
		{"of nobody", access.NotFound, func(c *company) access.Command { return c.recover("bob") }},
		{"beside another", access.Conflict, func(c *company) access.Command { begun(c); return c.recover("bob") }},
		{"before its pause is over", access.Conflict, func(c *company) access.Command { begun(c); return c.finish("alice") }},
		{"of somebody else", access.NotFound, func(c *company) access.Command { begun(c); c.wait(pause); return c.finish("bob") }},
		{"that was not begun", access.NotFound, func(c *company) access.Command { return c.finish("alice") }},
		{"that was not begun", access.NotFound, func(*company) access.Command { return access.StopRecovery{By: local} }},
	}
}
