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

// An office has carol, who may request root on db1, and two who approve it.
type office struct {
	*company
	carol, bob, dan person
	bobs, dans      store.Index // their passkeys
	db1, base       store.Index
}

func newOffice(t testing.TB, approvals uint64, change func(*access.AddGrant)) *office {
	t.Helper()
	o := &office{company: found(t)}
	o.tireless()
	o.db1 = o.target("db1", "root", "deploy")
	for _, g := range []string{"dba", "leads"} {
		o.do(access.AddGroup{By: local, Name: g})
	}
	o.carol = o.employ("carol", store.RoleEngineer, store.RoleApprover)
	o.bob, o.dan = o.employ("bob", store.RoleApprover), o.employ("dan", store.RoleApprover)
	o.bobs, o.dans = o.passkeyOf(o.bob), o.passkeyOf(o.dan)
	o.member("dba", o.carol)
	for _, p := range []person{o.carol, o.bob, o.dan} {
		o.member("leads", p)
	}
	g := access.AddGrant{
		By: local, Group: "dba", Targets: "*", Logins: []string{"root"}, For: "shell; exec; sftp=read-only",
		Conditions: store.Conditions{Reason: true, Ticket: "INC-[0-9]+", Approvals: approvals, Passkey: 15, Longest: 120},
	}
	if approvals > 0 {
		g.Approvers = "leads"
	}
	if change != nil {
		change(&g)
	}
	o.do(g)
	o.base = o.state.Next() - 1
	return o
}

func (o *office) member(group store.GroupName, p person) {
	o.Helper()
	o.do(access.AddMember{By: local, Group: group, User: p.handle})
}

// ask makes carol's request and returns its entry.
func (o *office) ask() store.Index {
	o.Helper()
	entry := o.state.Next()
	o.do(o.request(o.carol))
	return entry
}

func (o *office) became(entry store.Index) access.RequestState {
	r, _ := o.state.Request(entry)
	return o.state.RequestState(r, o.at())
}

// may is what carol may do as root on db1, with a fresh touch.
func (o *office) may(now store.Millis) string {
	t, _ := o.state.Target(o.db1)
	return o.state.Standing(o.carol.id, access.Touch{Last: now, Judged: now}, t, "root", now).Purposes.String()
}

// TestRequestIsApproved: a request opens nothing; the last approval opens exactly
// what was requested, from then on.
func TestRequestIsApproved(t *testing.T) {
	o := newOffice(t, 2, nil)
	entry := o.ask()
	if o.may(o.at()) != "" || o.became(entry) != access.RequestWaits {
		t.Fatalf("a request %s opens %q", o.became(entry), o.may(o.at()))
	}
	o.wait(time.Hour)
	o.do(o.approve(o.bob, o.bobs, entry))
	if o.may(o.at()) != "" || o.became(entry) != access.RequestWaits {
		t.Fatal("one approval of two is enough")
	}
	o.wait(time.Hour)
	o.do(o.approve(o.dan, o.dans, entry))
	if o.became(entry) != access.RequestApproved || o.may(o.at()) != "shell; exec; sftp=read-only" {
		t.Fatalf("approved by both: %s, %q", o.became(entry), o.may(o.at()))
	}
	g := last[*store.GrantAdded](o.company)
	want := store.GrantAdded{From: o.at(), Until: o.at() + 3_600_000, Request: entry, Base: o.base, Conditions: store.Conditions{Passkey: 15, Longest: 120}}
	if g.From != want.From || g.Until != want.Until || g.Request != entry || g.Base != o.base || g.Conditions != want.Conditions ||
		g.User != o.carol.id || g.Target != o.db1 || len(g.Logins) != 1 || g.Logins[0] != "root" {
		t.Errorf("the grant is %+v", g)
	}
	if o.may(o.at()+3_599_999) == "" || o.may(o.at()+3_600_000) != "" {
		t.Error("it does not last an hour from the last approval")
	}
	// What it stands on takes it along.
	for name, end := range map[string]access.Command{
		"the grant is removed":    access.RemoveGrant{By: local, Grant: o.base},
		"carol leaves the group":  access.RemoveMember{By: local, Group: "dba", User: "carol"},
		"a guardrail forbids all": access.AddGuardrail{By: local, Targets: "*"},
	} {
		c := *o.company
		gone := &office{company: &c, carol: o.carol, db1: o.db1}
		gone.do(end)
		if got := gone.may(gone.at()); got != "" {
			t.Errorf("%s, and carol still may %q", name, got)
		}
	}
}

// TestApprovalsProveThemselves: from the entries, to whoever reads them.
func TestApprovalsProveThemselves(t *testing.T) {
	o := newOffice(t, 1, nil)
	entry := o.ask()
	approved := o.state.Next()
	o.do(o.approve(o.bob, o.bobs, entry))
	bytesOf := func(i store.Index) []byte {
		data, err := o.entries[i].Encode()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if err := store.VerifyApproval(bytesOf(entry), bytesOf(approved), bytesOf(o.bobs), o.state.Name()); err != nil {
		t.Error(err)
	}
	if err := store.VerifyApproval(bytesOf(entry), bytesOf(approved), bytesOf(o.dans), o.state.Name()); !errors.Is(err, store.ErrNotApproved) {
		t.Errorf("with another's passkey: %v", err)
	}
}

// TestRequestWithoutApproval: where nobody has to agree, the words are enough.
func TestRequestWithoutApproval(t *testing.T) {
	o := newOffice(t, 0, nil)
	entry := o.ask()
	if o.became(entry) != access.RequestApproved || o.may(o.at()) == "" {
		t.Errorf("the request is %s and opens %q", o.became(entry), o.may(o.at()))
	}
	if r := o.refused(o.request(o.carol)); r.Kind != access.Conflict || !strings.Contains(r.Message, "already") {
		t.Errorf("a second one: %s", r.Message)
	}
}

// TestRequestsRefused: what can't be requested, each with its sentence.
func TestRequestsRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*office, *access.MakeRequest)
		want   string
	}{
		{"longer than the grant lets a session last", func(_ *office, c *access.MakeRequest) { c.Lasts = 121 * time.Minute }, "at most 2h"},
		{"no time", func(_ *office, c *access.MakeRequest) { c.Lasts = 0 }, "from a minute"},
		{"overflowing", func(_ *office, c *access.MakeRequest) { c.Lasts = 1<<63 - 1 }, "from a minute"},
		{"another login", func(_ *office, c *access.MakeRequest) { c.Login = "deploy" }, "nothing that carol can request as deploy on db1"},
		{"another target", func(_ *office, c *access.MakeRequest) { c.Target = "db2" }, "nothing that carol can request as root on db2"},
		{"a login that is none", func(_ *office, c *access.MakeRequest) { c.Login = "-o" }, "login"},
		{"more purposes", func(_ *office, c *access.MakeRequest) { c.For = "shell; direct" }, "only shell; exec; sftp=read-only"},
		{"writing", func(_ *office, c *access.MakeRequest) { c.For = "sftp=read-write" }, "only shell; exec; sftp=read-only"},
		{"no purposes that there are", func(_ *office, c *access.MakeRequest) { c.For = "god" }, "god"},
		{"no reason", func(_ *office, c *access.MakeRequest) { c.Reason = "" }, "wants a reason"},
		{"two lines of reason", func(_ *office, c *access.MakeRequest) { c.Reason = "a\nb" }, "can't be shown"},
		{"no ticket", func(_ *office, c *access.MakeRequest) { c.Ticket = "" }, "ticket like INC-[0-9]+"},
		{"another ticket", func(_ *office, c *access.MakeRequest) { c.Ticket = "see INC-1" }, "ticket like INC-[0-9]+"},
		{"waiting for ever", func(_ *office, c *access.MakeRequest) { c.Waits = 8 * 24 * time.Hour }, "7 days"},
		{"without a nonce", func(_ *office, c *access.MakeRequest) { c.Nonce = store.Hash{} }, "nonce"},
		{"by nobody", func(_ *office, c *access.MakeRequest) { c.By = access.Caller{} }, "not signed in"},
		{"from the server's own machine", func(_ *office, c *access.MakeRequest) { c.By = local }, "not signed in"},
		{"by somebody else", func(o *office, c *access.MakeRequest) { c.By = o.bob.caller() }, "nothing that bob can request"},
		{"twice", func(o *office, _ *access.MakeRequest) { o.ask() }, "waits already"},
		{"what is forbidden", func(o *office, _ *access.MakeRequest) { o.do(access.AddGuardrail{By: local, Targets: "*"}) }, "forbidden to carol by guardrail"},
		{"what is there", func(o *office, _ *access.MakeRequest) { o.grant(o.carol, "db1", 0, 0, "root") }, "already"},
		{"after leaving the group", func(o *office, _ *access.MakeRequest) {
			o.do(access.RemoveMember{By: local, Group: "dba", User: "carol"})
		}, "nothing that carol can request"},
		{"after the grant went", func(o *office, _ *access.MakeRequest) { o.do(access.RemoveGrant{By: local, Grant: o.base}) }, "nothing that carol can request"},
	} {
		o := newOffice(t, 1, nil)
		c := o.request(o.carol)
		tc.change(o, &c)
		if r := o.refused(c); !strings.Contains(r.Message, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, r.Message, tc.want)
		}
	}
	o := newOffice(t, 1, func(g *access.AddGrant) { g.Hours = "Sat 00:00-24:00 UTC" })
	if r := o.refused(o.request(o.carol)); !strings.Contains(r.Message, "Sat") {
		t.Errorf("out of hours: %q", r.Message)
	}
	o = newOffice(t, 1, func(g *access.AddGrant) { g.Until = store.At(noon.Add(30 * time.Minute)) })
	o.do(o.approve(o.bob, o.bobs, o.ask()))
	if g := last[*store.GrantAdded](o.company); g.Until != store.At(noon.Add(30*time.Minute)) {
		t.Errorf("it ends at %d, after the grant that it stands on", g.Until)
	}
}

// TestS17ApprovalsRefused: who may not answer, and what is no answer.
func TestS17ApprovalsRefused(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*office, *access.ApproveRequest)
		want   string
	}{
		{"one's own", func(o *office, c *access.ApproveRequest) {
			*c = o.approve(o.carol, o.passkeyOf(o.carol), c.Request)
		}, "nobody answers their own"},
		{"no approver", func(o *office, c *access.ApproveRequest) {
			p := o.employ("eve", store.RoleEngineer, store.RoleAdministrator, store.RoleAuditor)
			o.member("leads", p)
			*c = o.approve(p, o.passkeyOf(p), c.Request)
		}, "takes the role approver"},
		{"of another group", func(o *office, c *access.ApproveRequest) {
			p := o.employ("eve", store.RoleApprover)
			*c = o.approve(p, o.passkeyOf(p), c.Request)
		}, "no request"},
		{"left the group", func(o *office, _ *access.ApproveRequest) {
			o.do(access.RemoveMember{By: local, Group: "leads", User: "bob"})
		}, "no request"},
		{"removed", func(o *office, _ *access.ApproveRequest) { o.do(access.RemoveUser{By: local, Handle: "bob"}) }, "not signed in"},
		{"signed out", func(o *office, _ *access.ApproveRequest) { o.do(access.SignOut{By: o.bob.caller()}) }, "not signed in"},
		{"in another's session", func(o *office, c *access.ApproveRequest) { c.SignIn = o.dan.signIn }, "proves nothing"},
		{"another's passkey", func(o *office, c *access.ApproveRequest) { c.Assertion.Factor = o.dans }, "proves nothing"},
		{"another nonce", func(o *office, c *access.ApproveRequest) { c.Nonce = o.hash() }, "proves nothing"},
		{"another request's signature", func(o *office, c *access.ApproveRequest) {
			o.do(access.WithdrawRequest{By: o.carol.caller(), Request: c.Request})
			c.Request = o.ask() // the same wish, once more
		}, "proves nothing"},
		{"a signature of nothing", func(_ *office, c *access.ApproveRequest) { c.Signed.Signature = []byte{1} }, "proves nothing"},
		{"no signature", func(_ *office, c *access.ApproveRequest) { c.Signed = store.Assertion{} }, "proves nothing"},
		{"another counter", func(_ *office, c *access.ApproveRequest) { c.Assertion.Counter = 7 }, "proves nothing"},
		{"twice", func(o *office, c *access.ApproveRequest) {
			o.do(*c)
			*c = o.approve(o.bob, o.bobs, c.Request)
		}, "already"},
		{"run out", func(o *office, _ *access.ApproveRequest) { o.wait(access.RequestLife) }, "ran out"},
		{"denied", func(o *office, c *access.ApproveRequest) {
			o.do(access.DenyRequest{By: o.dan.caller(), Request: c.Request, Comment: "not now", Salt: o.random()})
		}, "denied"},
		{"withdrawn", func(o *office, c *access.ApproveRequest) {
			o.do(access.WithdrawRequest{By: o.carol.caller(), Request: c.Request})
		}, "withdrawn"},
		{"the grant went", func(o *office, _ *access.ApproveRequest) { o.do(access.RemoveGrant{By: local, Grant: o.base}) }, "no request"},
		{"the target went", func(o *office, _ *access.ApproveRequest) { o.do(access.RemoveTarget{By: local, Name: "db1"}) }, "can't be requested any more"},
		{"carol left", func(o *office, _ *access.ApproveRequest) {
			o.do(access.RemoveMember{By: local, Group: "dba", User: "carol"})
		}, "can't be requested any more"},
		{"carol was removed", func(o *office, _ *access.ApproveRequest) { o.do(access.RemoveUser{By: local, Handle: "carol"}) }, "no request"},
		{"a guardrail", func(o *office, _ *access.ApproveRequest) {
			o.do(access.AddGuardrail{By: local, Targets: "*", Logins: []string{"root"}})
		}, "guardrail"},
		{"of nothing", func(_ *office, c *access.ApproveRequest) { c.Request = 1 }, "no request"},
		{"two lines of comment", func(_ *office, c *access.ApproveRequest) { c.Comment = "a\nb" }, "can't be shown"},
	} {
		o := newOffice(t, 2, nil)
		c := o.approve(o.bob, o.bobs, o.ask())
		tc.change(o, &c)
		before := snapshot(t, o.state)
		if r := o.refused(c); !strings.Contains(r.Message, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, r.Message, tc.want)
		}
		if !bytes.Equal(before, snapshot(t, o.state)) {
			t.Errorf("%s: refused, and not without a trace", tc.name)
		}
	}
}

// TestApprovalsThatCount: at the last approval, those count whose makers are still
// approvers and have been since.
func TestApprovalsThatCount(t *testing.T) {
	for name, tc := range map[string]struct {
		meanwhile func(*office)
		approved  bool
	}{
		"nothing happens": {func(*office) {}, true},
		"bob leaves":      {func(o *office) { o.do(access.RemoveMember{By: local, Group: "leads", User: "bob"}) }, false},
		"bob leaves and comes back": {func(o *office) {
			o.do(access.RemoveMember{By: local, Group: "leads", User: "bob"})
			o.member("leads", o.bob)
		}, false},
		"bob is removed": {func(o *office) { o.do(access.RemoveUser{By: local, Handle: "bob"}) }, false},
		"bob is locked": {func(o *office) {
			o.do(access.AddLock{By: local, What: access.Lockable{User: "bob"}, Why: "a stolen laptop", Salt: o.random()})
		}, false},
		"bob signs out": {func(o *office) { o.do(access.SignOut{By: o.bob.caller()}) }, true},
	} {
		o := newOffice(t, 2, nil)
		entry := o.ask()
		o.do(o.approve(o.bob, o.bobs, entry))
		tc.meanwhile(o)
		o.do(o.approve(o.dan, o.dans, entry))
		if got := o.became(entry) == access.RequestApproved; got != tc.approved {
			t.Errorf("%s: the request is %s", name, o.became(entry))
		}
	}
	// Who came back may approve again.
	o := newOffice(t, 2, nil)
	entry := o.ask()
	o.do(o.approve(o.bob, o.bobs, entry))
	o.do(access.RemoveMember{By: local, Group: "leads", User: "bob"})
	o.member("leads", o.bob)
	o.do(o.approve(o.dan, o.dans, entry))
	o.do(o.approve(o.bob, o.bobs, entry))
	if o.became(entry) != access.RequestApproved {
		t.Errorf("the request is %s", o.became(entry))
	}
}

// TestApprovalByTOTP: where the company allows it, and then each code once.
func TestApprovalByTOTP(t *testing.T) {
	o := newOffice(t, 1, nil)
	entry := o.ask()
	c := access.ApproveWithTOTP{By: o.bob.caller(), Request: entry, Step: 2000, Comment: "fine", Salt: o.random()}
	if r := o.refused(c); !strings.Contains(r.Message, "passkey alone") {
		t.Errorf("not allowed: %q", r.Message)
	}
	o.do(access.ChangeSetting{By: local, Setting: store.SettingApproveWith, Value: store.ApproveWithTOTP})
	o.refused(access.ApproveWithTOTP{By: o.bob.caller(), Request: entry, Step: o.bob.step})
	o.refused(access.ApproveWithTOTP{By: o.carol.caller(), Request: entry, Step: 2000})
	o.do(c)
	if o.became(entry) != access.RequestApproved {
		t.Errorf("the request is %s", o.became(entry))
	}
	o.refused(access.ConfirmWithTOTP{By: o.bob.caller(), Step: 2000, Source: "192.0.2.1"})
}

// TestRequestsAreBounded: nobody has more than a few that wait, and those that ended
// are forgotten.
func TestRequestsAreBounded(t *testing.T) {
	o := newOffice(t, 1, nil)
	for i := range access.MaxOpenRequests {
		name := "web" + string(rune('a'+i))
		o.target(name, "root")
		c := o.request(o.carol)
		c.Target = store.TargetName(name)
		o.do(c)
	}
	if r := o.refused(o.request(o.carol)); r.Kind != access.Limited {
		t.Errorf("one more: %q", r.Message)
	}
	o.wait(access.RequestLife + 24*time.Hour)
	o.signIn(&o.carol)
	o.ask()
	n := 0
	for range o.state.Requests() {
		n++
	}
	if n != 1 {
		t.Errorf("%d requests are remembered", n)
	}
}

// TestRefusalNamesTheRequest: who is refused for want of a request reads the command
// that makes it.
func TestRefusalNamesTheRequest(t *testing.T) {
	o := newOffice(t, 1, nil)
	r := o.refused(o.start(o.carol, "db1", "root"))
	if r.Reason != store.RefusedRequest || r.Hint != `vaultpam request db1 --login root --for 1h --reason "WHY" --ticket TICKET` {
		t.Errorf("%s: %q", r.Reason, r.Hint)
	}
}

// TestRefusalNamesWhatWaits: who has asked already reads that it waits, from the
// relay and from explain, and gets no second request.
func TestRefusalNamesWhatWaits(t *testing.T) {
	o := newOffice(t, 2, nil)
	entry := o.ask()
	target, _ := o.state.Target(o.db1)
	says := func(want string) {
		t.Helper()
		r := o.refused(o.start(o.carol, "db1", "root"))
		u, _ := o.state.User(o.carol.id)
		if r.Reason != store.RefusedRequest || r.Message != want || !strings.HasPrefix(r.Hint, "vaultpam requests") {
			t.Errorf("%s: %q, %q", r.Reason, r.Message, r.Hint)
		}
		if got := o.state.Sentence(o.state.Could(u, target, "root", o.at())); got != "no: "+want {
			t.Errorf("explain says %q", got)
		}
	}
	says(fmt.Sprintf("carol's request %d for root on db1 waits for 2 more people to approve it, until 2026-11-02 20:00 UTC", entry))
	o.do(o.approve(o.bob, o.bobs, entry))
	says(fmt.Sprintf("carol's request %d for root on db1 waits for one more person to approve it, until 2026-11-02 20:00 UTC", entry))
	if r := o.refused(o.request(o.carol)); r.Kind != access.Conflict || r.Message != fmt.Sprintf("your request %d for root on db1 waits already, until 2026-11-02 20:00 UTC", entry) {
		t.Errorf("a second one: %q", r.Message)
	}
	o.wait(access.RequestLife)
	if r := o.refused(o.start(o.carol, "db1", "root")); !strings.HasPrefix(r.Hint, "vaultpam request db1") {
		t.Errorf("after it ran out: %q, %q", r.Message, r.Hint)
	}
}
