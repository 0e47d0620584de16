package access_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// proposes is do for what has to wait for a second administrator, and returns the
// proposal's entry.
func (c *company) proposes(cmd access.Command) store.Index {
	c.Helper()
	entry := c.state.Next()
	c.do(cmd)
	last[*store.ChangeProposed](c)
	return entry
}

// A board has two administrators who can approve what the other proposes, bob, and
// dan; and carol, who is an approver of all requests.
type board struct {
	*company
	bob, dan, carol     person
	bobs, dans, carols  store.Index
	db1, web1, dba, out store.Index
	rail                store.Index
}

func newBoard(t testing.TB) *board {
	t.Helper()
	b := &board{company: found(t)}
	b.tireless()
	b.bob, b.dan = b.employ("bob", store.RoleAdministrator), b.employ("dan", store.RoleAdministrator)
	b.carol = b.employ("carol", store.RoleApprover, store.RoleAuditor, store.RoleEngineer)
	b.bobs, b.dans, b.carols = b.passkeyOf(b.bob), b.passkeyOf(b.dan), b.passkeyOf(b.carol)
	b.db1, b.web1 = b.target("db1", "root", "deploy"), b.target("web1", "www")
	b.dba, b.out = b.group("dba", b.carol), b.group("out", b.bob)
	b.do(access.AddGrant{By: local, User: "bob", Targets: "env=dev", Logins: []string{"root"}})
	b.do(access.AddGrant{By: local, User: "bob", Target: "web1", Logins: []string{"www"}})
	b.do(access.AddGuardrail{By: local, Group: "out", Target: "web1"})
	b.rail = b.state.Next() - 1
	return b
}

func (b *board) place() access.Place { return access.Place{Source: "192.0.2.7", Salt: b.random()} }

// changes are those of each kind in bob's favour, and the event that each is.
func (b *board) changes() map[string]struct {
	cmd  access.Command
	want store.Event
} {
	by := b.bob.caller()
	return map[string]struct {
		cmd  access.Command
		want store.Event
	}{
		"a grant to himself": {
			access.AddGrant{By: by, User: "bob", Target: "db1", Logins: []string{"root"}, For: "shell", Until: b.at() + 3_600_000, Place: b.place()},
			&store.GrantAdded{User: b.bob.id, Target: b.db1, Logins: []store.Login{"root"}, Until: b.at() + 3_600_000, For: store.Purposes{{Purpose: store.PurposeShell, Limits: []string{}}}},
		},
		"a grant to his group": {
			access.AddGrant{By: by, Group: "out", Targets: "*", Logins: []string{"root"}, Place: b.place()},
			nil,
		},
		"a group":               {access.AddMember{By: by, Group: "dba", User: "bob", Place: b.place()}, &store.MemberAdded{Group: b.dba, User: b.bob.id}},
		"leaving a group":       {access.RemoveMember{By: by, Group: "out", User: "bob", Place: b.place()}, &store.MemberRemoved{Group: b.out, User: b.bob.id}},
		"the guardrail's end":   {access.RemoveGrant{By: by, Grant: b.rail, Place: b.place()}, &store.GrantRemoved{Target: b.web1, Grant: b.rail}},
		"a label of a target's": {access.LabelTarget{By: by, Name: "db1", Labels: "env=dev", Place: b.place()}, nil},
	}
}

// TestFourHands: each change in one's own favour waits, changes nothing until a
// second administrator agrees, and is then made as it was proposed.
func TestFourHands(t *testing.T) {
	for name := range newBoard(t).changes() {
		b := newBoard(t)
		change := b.changes()[name]
		before := b.state
		entry := b.proposes(change.cmd)
		r, _ := b.state.Request(entry)
		if b.state.RequestState(r, b.at()) != access.RequestWaits || r.User != b.bob.id || r.Expires != b.at()+8*3_600_000 {
			t.Fatalf("%s: %+v", name, r)
		}
		for target := range b.state.Targets() {
			for _, login := range target.Logins {
				touch := access.Touch{Last: b.at(), Judged: b.at()}
				if now, then := b.state.Standing(b.bob.id, touch, target, login, b.at()), before.Standing(b.bob.id, touch, target, login, b.at()); now.Purposes.String() != then.Purposes.String() {
					t.Errorf("%s, proposed: bob may %q", name, now.Purposes)
				}
			}
		}
		b.wait(time.Hour / 2)
		d := b.do(b.approve(b.dan, b.dans, entry))
		if len(d.Events) != 2 || d.Actor.User != b.dan.id {
			t.Fatalf("%s, approved: %+v", name, d.Events)
		}
		if change.want != nil && !bytes.Equal(b.encoded(d.Events[1]), b.encoded(change.want)) {
			t.Errorf("%s makes %+v, want %+v", name, d.Events[1], change.want)
		}
		if r, _ = b.state.Request(entry); b.state.RequestState(r, b.at()) != access.RequestApproved {
			t.Errorf("%s, approved: %+v", name, r)
		}
		b.verifies(entry)
	}
}

func (b *board) encoded(e store.Event) []byte {
	b.Helper()
	data, err := (&store.Entry{Event: e}).Encode()
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// verifies: what stands in the ledger proves that dan agreed to the proposal, from
// the three entries alone; and to no other one.
func (b *board) verifies(proposal store.Index) {
	b.Helper()
	read := func(i store.Index) []byte {
		data, err := b.entries[i].Encode()
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
	approved := b.state.Next() - 2
	if err := store.VerifyApproval(read(proposal), read(approved), read(b.dans), b.state.Name()); err != nil {
		b.Errorf("the approval of %d: %v", proposal, err)
	}
	if err := store.VerifyApproval(read(proposal), read(approved), read(b.bobs), b.state.Name()); !errors.Is(err, store.ErrNotApproved) {
		b.Errorf("by bob's own passkey: %v", err)
	}
}

// TestS17ProposalsRefused: who is no second hand, and what can't be made any more.
func TestS17ProposalsRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*board, *access.ApproveRequest)
		want   string
	}{
		{"one's own", func(b *board, c *access.ApproveRequest) { *c = b.approve(b.bob, b.bobs, c.Request) }, "nobody answers their own"},
		{"an approver", func(b *board, c *access.ApproveRequest) { *c = b.approve(b.carol, b.carols, c.Request) }, "there is no request"},
		{"who became one after it", func(b *board, c *access.ApproveRequest) {
			p := b.employ("eve", store.RoleAdministrator)
			*c = b.approve(p, b.passkeyOf(p), c.Request)
		}, "before you became an administrator"},
		{"who became one by a recovery", func(b *board, c *access.ApproveRequest) {
			b.do(b.recover("carol"))
			b.wait(24 * time.Hour)
			b.signIn(&b.bob)
			b.signIn(&b.carol)
			c.Request = b.proposes(access.AddMember{By: b.bob.caller(), Group: "dba", User: "bob", Place: b.place()})
			b.do(b.finish("carol"))
			*c = b.approve(b.carol, b.carols, c.Request)
		}, "before you became an administrator"},
		{"invited anew by who proposed it", func(b *board, c *access.ApproveRequest) {
			invite := access.Invite{Token: b.hash()}
			b.do(access.InviteUser{By: b.bob.caller(), Handle: "dan", Invite: invite})
			b.dan.step++
			enroll := b.enroll(invite, b.dan.step)
			b.do(enroll)
			b.dan.token, b.dan.signIn = enroll.Holder.Token, b.state.Next()-1
			*c = b.approve(b.dan, b.passkeyOf(b.dan), c.Request)
		}, "before you enrolled the factors that you have now"},
		{"with a passkey from after it", func(b *board, c *access.ApproveRequest) {
			b.do(access.ConfirmWithTOTP{By: b.dan.caller(), Step: b.dan.step + 1, Source: "192.0.2.7", Salt: b.random()})
			b.do(access.AddFactor{SignIn: b.dan.signIn, Factor: access.NewFactor{Passkey: &store.Passkey{Credential: []byte("another"), PublicKey: coseKey()}}})
			*c = b.approve(b.dan, b.state.Next()-1, c.Request)
		}, "before you enrolled that factor"},
		{"locked", func(b *board, c *access.ApproveRequest) { b.lock(access.Lockable{User: "dan"}) }, "not signed in"},
		{"signed out", func(b *board, _ *access.ApproveRequest) { b.do(access.SignOut{By: b.dan.caller()}) }, "not signed in"},
		{"in another's session", func(b *board, c *access.ApproveRequest) { c.SignIn = b.bob.signIn }, "proves nothing"},
		{"another's passkey", func(b *board, c *access.ApproveRequest) { c.Assertion.Factor = b.bobs }, "proves nothing"},
		{"another nonce", func(b *board, c *access.ApproveRequest) { c.Nonce = b.hash() }, "proves nothing"},
		{"another proposal's signature", func(b *board, c *access.ApproveRequest) {
			c.Request = b.proposes(access.AddGrant{By: b.bob.caller(), User: "bob", Target: "web1", Logins: []string{"www"}, Place: b.place()})
		}, "proves nothing"},
		{"the same, once more", func(b *board, c *access.ApproveRequest) {
			b.do(access.WithdrawRequest{By: b.bob.caller(), Request: c.Request})
			c.Request = b.proposes(b.own())
		}, "proves nothing"},
		{"twice", func(b *board, c *access.ApproveRequest) {
			b.do(*c)
			*c = b.approve(b.dan, b.dans, c.Request)
		}, "was approved already"},
		{"run out", func(b *board, _ *access.ApproveRequest) { b.wait(access.RequestLife) }, "ran out"},
		{"denied", func(b *board, c *access.ApproveRequest) {
			b.do(access.DenyRequest{By: b.dan.caller(), Request: c.Request, Comment: "why?", Salt: b.random()})
		}, "was denied already"},
		{"withdrawn", func(b *board, c *access.ApproveRequest) {
			b.do(access.WithdrawRequest{By: b.bob.caller(), Request: c.Request})
		}, "was withdrawn already"},
		{"bob was removed", func(b *board, _ *access.ApproveRequest) { b.do(access.RemoveUser{By: local, Handle: "bob"}) }, "there is no request"},
		{"bob is locked", func(b *board, _ *access.ApproveRequest) { b.lock(access.Lockable{User: "bob"}) }, "who proposed it is locked"},
		{"the target went", func(b *board, _ *access.ApproveRequest) { b.do(access.RemoveTarget{By: local, Name: "db1"}) }, "the target is gone"},
		{"the grant's end came", func(b *board, _ *access.ApproveRequest) { b.wait(2 * time.Hour) }, "would have ended at 2026-11-02 13:00"},
		{"of nothing", func(_ *board, c *access.ApproveRequest) { c.Request = 1 }, "there is no request"},
	} {
		b := newBoard(t)
		c := b.approve(b.dan, b.dans, b.proposes(b.own()))
		tc.change(b, &c)
		before := snapshot(t, b.state)
		if r := b.refused(c); !strings.Contains(r.Message, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, r.Message, tc.want)
		}
		if !bytes.Equal(before, snapshot(t, b.state)) {
			t.Errorf("%s: refused, and not without a trace", tc.name)
		}
	}
}

// own is bob's grant to himself for an hour.
func (b *board) own() access.Command {
	return access.AddGrant{By: b.bob.caller(), User: "bob", Target: "db1", Logins: []string{"root"}, Until: store.At(noon.Add(time.Hour)), Place: b.place()}
}

// TestProposalsGoneBy: what has become impossible is refused with the reason.
func TestProposalsGoneBy(t *testing.T) {
	for name, tc := range map[string]struct {
		proposal  string
		meanwhile func(*board)
		want      string
	}{
		"other labels":     {"a label of a target's", func(b *board) { b.do(access.LabelTarget{By: local, Name: "db1", Labels: "env=prod"}) }, "target db1 got other labels since"},
		"no target":        {"a label of a target's", func(b *board) { b.do(access.RemoveTarget{By: local, Name: "db1"}) }, "the target is gone"},
		"no guardrail":     {"the guardrail's end", func(b *board) { b.do(access.RemoveGrant{By: local, Grant: b.rail}) }, "is gone"},
		"no group":         {"a group", func(b *board) { b.do(access.RemoveGroup{By: local, Name: "dba"}) }, "the group is gone"},
		"in the group":     {"a group", func(b *board) { b.do(access.AddMember{By: local, Group: "dba", User: "bob"}) }, "bob belongs to group dba already"},
		"out of the group": {"leaving a group", func(b *board) { b.do(access.RemoveMember{By: local, Group: "out", User: "bob"}) }, "bob does not belong to the group any more"},
		"the grant's group": {"a grant to his group", func(b *board) {
			b.do(access.RemoveGrant{By: local, Grant: b.rail})
			b.do(access.RemoveGroup{By: local, Name: "out"})
		}, "a group that it names is gone"},
	} {
		b := newBoard(t)
		entry := b.proposes(b.changes()[tc.proposal].cmd)
		tc.meanwhile(b)
		if r, _ := b.state.Request(entry); b.state.RequestState(r, b.at()) != access.RequestVoid {
			t.Errorf("%s: %s", name, b.state.RequestState(r, b.at()))
		}
		if r := b.refused(b.approve(b.dan, b.dans, entry)); r.Kind != access.Conflict || !strings.Contains(r.Message, tc.want) {
			t.Errorf("%s: %q, want %q", name, r.Message, tc.want)
		}
		u, _ := b.state.User(b.dan.id)
		if r, _ := b.state.Request(entry); b.state.MayAnswer(u, r, b.at()) {
			t.Errorf("%s: dan may answer it", name)
		}
	}
}

// TestProposalsWait: one of a kind, not too many, and none where several changes are
// made together.
func TestProposalsWait(t *testing.T) {
	b := newBoard(t)
	entry := b.proposes(b.own())
	if r := b.refused(b.own()); r.Kind != access.Conflict || !strings.HasPrefix(r.Message, fmt.Sprintf("proposal %d for exactly that waits already", entry)) {
		t.Errorf("the same once more: %q", r.Message)
	}
	for i := range access.MaxOpenRequests - 1 {
		b.proposes(access.AddGrant{By: b.bob.caller(), User: "bob", Target: "db1", Logins: []string{"root"}, Until: b.at() + store.Millis(i+1)*60_000, Place: b.place()})
	}
	if r := b.refused(access.AddMember{By: b.bob.caller(), Group: "dba", User: "bob", Place: b.place()}); r.Kind != access.Limited {
		t.Errorf("one more: %q", r.Message)
	}
	several := access.ChangeAccess{By: b.dan.caller(), Steps: []access.Command{
		access.AddGroup{By: b.dan.caller(), Name: "ops"}, access.AddMember{By: b.dan.caller(), Group: "ops", User: "dan"},
	}}
	_, err := b.decide(several)
	var r *access.StepsRefusal
	if !errors.As(err, &r) || len(r.Steps) != 1 || r.Steps[1] == nil || !strings.Contains(r.Steps[1].Message, "another administrator has to approve it") {
		t.Errorf("together with others: %v", err)
	}
	if _, ok := b.state.GroupByName("ops"); ok {
		t.Error("a part of it was made")
	}
}

// TestCopiedPasskeyAnswersNothing: where the one factor from before a proposal proves
// nothing any more, its owner does not deny it either.
func TestCopiedPasskeyAnswersNothing(t *testing.T) {
	b := newBoard(t)
	u, _ := b.state.User(b.dan.id)
	totp, _ := u.TOTP()
	b.do(access.RemoveFactor{By: b.dan.caller(), Factor: totp.Entry})
	entry := b.proposes(b.own())
	b.append(b.at(), store.Actor{}, &store.FactorCloned{User: b.dan.id, Factor: b.dans, Counter: 6, Last: 7})
	if r := b.refused(access.DenyRequest{By: b.dan.caller(), Request: entry, Comment: "no", Salt: b.random()}); !strings.Contains(r.Message, "before you enrolled the factors") {
		t.Errorf("%q", r.Message)
	}
}

// TestProposalByTOTP: as with requests, where the company allows it.
func TestProposalByTOTP(t *testing.T) {
	b := newBoard(t)
	entry := b.proposes(b.own())
	c := access.ApproveWithTOTP{By: b.dan.caller(), Request: entry, Step: 2000, Salt: b.random()}
	if r := b.refused(c); !strings.Contains(r.Message, "passkey alone") {
		t.Errorf("not allowed: %q", r.Message)
	}
	b.do(access.ChangeSetting{By: local, Setting: store.SettingApproveWith, Value: store.ApproveWithTOTP})
	b.refused(access.ApproveWithTOTP{By: b.bob.caller(), Request: entry, Step: 2000})
	b.do(c)
	last[*store.GrantAdded](b.company)
}
