package access_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestGrantWorlds compares what the rules answer with a slow, obvious reading of
// the same entries, in companies where many grants and guardrails overlap: for
// everybody, every target, login and running session, now and hours or days later.
// The state comes from entry to entry and from a snapshot.
func TestGrantWorlds(t *testing.T) {
	base := found(t)
	people := []person{base.employ("bob"), base.employ("carol")}
	for _, name := range []string{"db1", "web1"} {
		base.target(name, "root", "deploy")
	}
	for _, group := range []string{"dba", "ops", "leads"} {
		base.do(access.AddGroup{By: local, Name: group})
	}
	var leads []approver
	for _, name := range []string{"erin", "frank"} {
		p := base.employ(name, store.RoleApprover)
		leads = append(leads, approver{p, base.passkeyOf(p)})
	}
	var board []approver
	for _, name := range []string{"gina", "hugo", "ida"} {
		p := base.employ(name, store.RoleAdministrator)
		board = append(board, approver{p, base.passkeyOf(p)})
	}
	base.do(access.AddMember{By: local, Group: "ops", User: "gina"})
	for _, name := range []store.Handle{"erin", "frank"} {
		base.do(access.AddMember{By: local, Group: "leads", User: name})
	}
	base.do(access.AddMember{By: local, Group: "dba", User: "carol"})
	for i, group := range []store.GroupName{"dba", "ops"} {
		base.do(access.AddGrant{
			By: local, Group: group, Targets: "*", Logins: []string{"root"}, For: "shell; sftp=read-only; direct", Approvers: "leads",
			Conditions: store.Conditions{Reason: true, Approvals: uint64(i + 1)},
		})
	}
	for i, p := range people { // both work already: bob by a narrow grant, carol by a wide one
		c := access.AddGrant{By: local, User: p.handle, Target: "db1", Logins: []string{"root"}}
		if i == 0 {
			c.For, c.Conditions.Longest = "shell; exec=uptime", 60
		}
		base.do(c)
		start := base.start(p, "db1", "root")
		start.Certificate = start.SignIn // the model reads it there
		base.do(start)
	}
	answers, asked, proposed, directs := map[bool]int{}, map[access.RequestState]int{}, map[access.RequestState]int{}, map[bool]int{}
	check(t, rounds(10_000, 1_000_000), func(t *rapid.T) {
		w := grantWorld(t, base)
		w.directs = directs
		for range rapid.IntRange(4, 16).Draw(t, "steps") {
			w.grantStep(people, leads, board)
		}
		for _, later := range []time.Duration{0, one(w, "later", time.Minute, 5*time.Hour, 26*time.Hour, 61*time.Hour)} {
			w.wait(later)
			w.lookAtReach(w.at())
			w.lookAtRights(w.at())
			w.lookAtProposals(w.at())
		}
		for r := range w.state.Requests() {
			if r.Change != nil {
				proposed[w.state.RequestState(r, w.at())]++
				continue
			}
			asked[w.state.RequestState(r, w.at())]++
		}
		for id, s := range w.model.sessions {
			answers[len(w.model.inSession(id, w.at()).uses) > 0]++
			if _, ends := w.state.SessionEnds(id, w.at()); ends != w.model.over(id, w.at()) {
				t.Fatalf("session %s of %+v ends: %v", id, s, ends)
			}
		}
	})
	if t.Logf("%d direct certificates, %d refused", directs[true], directs[false]); directs[true] == 0 || directs[false] == 0 {
		t.Error("all direct certificates were issued, or none: the worlds are not what they should be")
	}
	t.Logf("of the requests there are %v, of the proposals %v", asked, proposed)
	for _, state := range []access.RequestState{access.RequestWaits, access.RequestApproved, access.RequestDenied, access.RequestWithdrawn, access.RequestRanOut, access.RequestVoid} {
		if asked[state] == 0 || proposed[state] == 0 {
			t.Errorf("no request or no proposal is %q: the worlds are not what they should be", state)
		}
	}
	if t.Logf("%d sessions went on, %d ended", answers[true], answers[false]); answers[true] == 0 || answers[false] == 0 {
		t.Error("all sessions went on, or all ended: the worlds are not what they should be")
	}
}

// grantWorld returns a company like another one, with a life of its own from here.
func grantWorld(t *rapid.T, like *company) *world {
	c := *like
	c.TB, c.entries, c.texts = t, slices.Clip(c.entries), maps.Clone(c.texts)
	w := &world{company: &c, t: t}
	w.model = newModel(w.company)
	for _, e := range w.entries {
		w.know(e)
	}
	return w
}

// grantStep does one thing that decides who may do what.
func (w *world) grantStep(people []person, leads, board []approver) {
	w.Helper()
	group, p := one[store.GroupName](w, "group", "dba", "ops", "dba", "ops", "leads"), rapid.SampledFrom(append(people, leads[0].person, leads[1].person)).Draw(w.t, "who")
	var cmd access.Command
	switch rapid.IntRange(0, 29).Draw(w.t, "step") {
	case 0, 1, 2, 3:
		c := w.addGrant().(access.AddGrant)
		c.By, cmd = local, c
	case 4, 5:
		c := w.addGuardrail().(access.AddGuardrail)
		c.By, cmd = local, c
	case 6:
		cmd = access.LabelTarget{By: local, Name: w.anyTarget(), Labels: one(w, "labels", "env=prod", "env=prod,role=db", "env=dev,role=db", "role=cache", "")}
	case 7:
		cmd = access.AddMember{By: local, Group: group, User: p.handle}
	case 8:
		cmd = access.RemoveMember{By: local, Group: group, User: p.handle}
	case 9:
		cmd = access.RemoveGrant{By: local, Grant: known(w, "grant", w.grants, 0)}
	case 10, 11, 12, 13, 14, 15:
		cmd = w.requestCommand(people, leads)
	case 16, 17, 18, 19, 20, 21:
		cmd = w.changeCommand(board)
	case 22, 23:
		// What is rare by chance: everything that going past the relay takes.
		cmd = access.AddGrant{
			By: local, User: p.handle, Targets: one(w, "direct targets", "*", "env=prod"), Logins: []string{"root"}, For: everything,
			Until:      one(w, "direct until", 0, w.at()+30_000, w.at()+90_500),
			Hours:      rapid.SampledFrom(append(keysOf(windows()), "", "", "")).Draw(w.t, "direct hours"),
			Conditions: store.Conditions{Longest: one[uint64](w, "direct longest", 0, 0, 60)},
		}
	case 24, 25, 26:
		cmd = w.direct(p, one[store.TargetName](w, "target", "db1", "web1"), one[store.Login](w, "login", "root", "root", "deploy"))
	default:
		start := w.start(p, one[store.TargetName](w, "target", "db1", "web1"), one[store.Login](w, "login", "root", "deploy"))
		start.Certificate = start.SignIn // the model reads it there
		cmd = start
	}
	size, at := len(w.entries), w.at()
	_, err := w.decide(cmd)
	w.expect(cmd, at, err)
	if _, ok := cmd.(access.IssueDirectCertificate); ok {
		w.directs[err == nil]++
	}
	for _, e := range w.entries[size:] {
		w.model.see(e)
		w.know(e)
	}
	if w.seldom("restart") {
		opened, err := access.OpenSnapshot(snapshot(w, w.state), w.text)
		if err != nil || !bytes.Equal(snapshot(w, opened), snapshot(w, w.state)) {
			w.Fatalf("opening a snapshot: %v", err)
		}
		w.state = opened
	}
}
