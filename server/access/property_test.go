package access_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestWorlds lets companies do things at random, allowed and forbidden, in any
// order, and looks after each that
//
//   - no entry stands that a plain reading of the rules forbids, and nothing is
//     refused that it allows (model_test.go);
//   - every event encodes, decodes and applies;
//   - deciding changed nothing;
//   - the fold over the stored bytes, with texts and without, and a state that was
//     saved and opened in between, are the same and decide the same.
func TestWorlds(t *testing.T) {
	worlds, allowed, refused := rounds(2000, 1_000_000), map[string]int{}, map[string]int{}
	check(t, worlds, func(t *rapid.T) {
		w := newWorld(t)
		for range rapid.IntRange(10, 50).Draw(t, "steps") {
			cmd, ok := w.step()
			if ok {
				allowed[fmt.Sprintf("%T", cmd)]++
			} else {
				refused[fmt.Sprintf("%T", cmd)]++
			}
		}
	})
	for cmd, n := range refused {
		t.Logf("%d worlds, %s: %d allowed, %d refused", worlds, cmd, allowed[cmd], n)
		if allowed[cmd] == 0 && cmd != "access.RefuseSession" {
			t.Errorf("%s was never allowed: the worlds are not what they should be", cmd)
		}
	}
}

// check is rapid.Check with a number of rounds.
func check(t *testing.T, n int, property func(*rapid.T)) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set(strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := checks.Value.Set(before); err != nil {
			t.Error(err)
		}
	}()
	rapid.Check(t, property)
}

// A world is a company and the same company in other forms.
type world struct {
	*company
	t     *rapid.T
	model *model
	saved []byte       // the state's snapshot
	bare  access.State // without texts
	twin  access.State // saved and opened now and then

	// What commands may name: all that there ever was.
	users       []store.UserID
	tokens      []store.Hash
	signIns     []store.Index
	invitations []store.Hash
	joins       []store.Hash
	grants      []store.Index
	sessions    []store.SessionID
	factors     []store.Index
	requests    []store.Index
	proposals   []store.Index

	directs map[bool]int // how many direct certificates were issued, and refused
}

func newWorld(t *rapid.T) *world {
	w := &world{company: found(t), t: t, bare: access.New()}
	// Beside the administrator there are a target and somebody who may reach it,
	// so that short worlds are about something.
	carol := w.employ("carol", rapid.SampledFrom(store.Roles()).Draw(t, "role"))
	w.target("db1", "root", "deploy")
	w.grant(carol, "db1", 0, 0, "root")
	w.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: "direct"})
	w.do(access.AddGroup{By: local, Name: "dba"})
	w.do(access.AddMember{By: local, Group: "dba", User: "carol"})
	w.do(access.AddFactor{SignIn: carol.signIn, Factor: access.NewFactor{
		Passkey: &store.Passkey{Credential: []byte("credential"), PublicKey: []byte("a key")},
	}})
	w.do(w.vouched(&carol, "1"))
	ci := w.bot("ci")
	w.do(access.AddGrant{By: local, User: "ci", Target: "db1", Logins: []string{"deploy"}})
	w.signInBot(&ci)
	w.tokens, w.signIns = []store.Hash{{}}, []store.Index{0}
	w.twin, w.model, w.saved = w.state, newModel(w.company), snapshot(w, w.state)
	for _, e := range w.entries {
		w.know(e)
		w.bare = w.apply(w.bare, e, noTexts)
	}
	return w
}

func (w *world) apply(s access.State, e *store.Entry, texts access.Texts) access.State {
	w.Helper()
	s, err := access.Apply(s, e, texts)
	if err != nil {
		w.Fatalf("applying: %v", err)
	}
	return s
}

// know makes what an entry brings something that commands can name.
func (w *world) know(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.UserAdded:
		w.users = append(w.users, v.User)
	case *store.BotAdded:
		w.users = append(w.users, v.User)
	case *store.JoinCreated:
		w.joins = append(w.joins, v.Token)
	case *store.InvitationCreated:
		w.invitations = append(w.invitations, v.Token)
	case *store.FactorEnrolled:
		w.factors = append(w.factors, e.Index)
	case *store.SignInSucceeded:
		w.tokens, w.signIns = append(w.tokens, v.Token), append(w.signIns, e.Index)
	case *store.GrantAdded:
		w.grants = append(w.grants, e.Index)
	case *store.RequestMade:
		w.requests = append(w.requests, e.Index)
	case *store.ChangeProposed:
		w.proposals = append(w.proposals, e.Index)
	case *store.SessionStarted:
		w.sessions = append(w.sessions, v.Session)
	}
}

// step does one thing and reports what, and whether it was allowed.
func (w *world) step() (access.Command, bool) {
	pause := rapid.SampledFrom(pauses()).Draw(w.t, "pause")
	if w.seldom("long pause") {
		pause = rapid.SampledFrom([]time.Duration{signInLife, access.InvitationLife}).Draw(w.t, "pause")
	}
	w.wait(pause)
	if pause < 0 { // the clock is wrong for a moment
		defer w.wait(-pause)
	}
	if rapid.IntRange(0, 7).Draw(w.t, "save") == 5 {
		var err error
		if w.twin, err = access.OpenSnapshot(snapshot(w, w.twin), w.text); err != nil {
			w.Fatalf("opening: %v", err)
		}
	}
	cmd := w.command()
	size := len(w.entries)
	twin, at, twinErr := access.Decide(w.twin, cmd, w.now)
	base := w.state
	d, err := w.decide(cmd)
	w.compare(cmd, d, err, twin, twinErr)
	w.expect(cmd, at, err)
	for _, e := range w.entries[size:] {
		w.model.see(e)
		w.know(e)
		w.bare = w.apply(w.bare, e, noTexts)
		w.twin = w.apply(w.twin, e, w.text)
	}
	if size == len(w.entries) {
		// Nothing was appended: what was decided on is as it was.
		if !bytes.Equal(w.saved, snapshot(w, w.state)) || !bytes.Equal(w.saved, snapshot(w, w.twin)) {
			w.Fatalf("deciding %+v changed the state", cmd)
		}
		return cmd, err == nil
	}
	// The state that was decided on is still what it was, beside its successor.
	if !bytes.Equal(w.saved, snapshot(w, base)) {
		w.Fatalf("applying %+v changed the state before it", cmd)
	}
	w.saved = snapshot(w, w.state)
	if !bytes.Equal(w.saved, snapshot(w, w.bare)) || !bytes.Equal(w.saved, snapshot(w, w.twin)) {
		w.Fatalf("after %+v the states differ", cmd)
	}
	w.lookAround()
	return cmd, err == nil
}

// compare holds the decisions of the state and of its twin against each other.
func (w *world) compare(cmd access.Command, d access.Decision, err error, twin access.Decision, twinErr error) {
	w.Helper()
	var r *access.Refusal
	if err != nil && (!errors.As(err, &r) || r.Kind == 0 || r.Message == "") {
		w.Fatalf("%+v: error %v, want a refusal", cmd, err)
	}
	if (err == nil) != (twinErr == nil) || err != nil && err.Error() != twinErr.Error() {
		w.Fatalf("%+v: error %v, after a snapshot %v", cmd, err, twinErr)
	}
	if len(d.Events) != len(twin.Events) || d.Actor != twin.Actor || (d.Certificate == nil) != (twin.Certificate == nil) {
		w.Fatalf("%+v: %+v, after a snapshot %+v", cmd, d, twin)
	}
	for i := range d.Events {
		e := store.Entry{Event: d.Events[i]}
		x := store.Entry{Event: twin.Events[i]}
		a, aErr := e.Encode()
		b, bErr := x.Encode()
		if aErr != nil || bErr != nil || !bytes.Equal(a, b) {
			w.Fatalf("%+v: %+v, after a snapshot %+v", cmd, d.Events[i], twin.Events[i])
		}
	}
	if d.Certificate != nil && d.Certificate.Hash() != twin.Certificate.Hash() {
		w.Fatalf("%+v: another certificate after a snapshot", cmd)
	}
}

// expect says what must have been allowed, as far as the model knows.
func (w *world) expect(cmd access.Command, at store.Millis, err error) {
	w.Helper()
	var r *access.Refusal
	if errors.As(err, &r) && r.Kind == access.Clock {
		return
	}
	want := err == nil
	if wanted, known := w.expectRecovery(cmd, at); known {
		want = wanted
	}
	if wanted, known := w.expectLock(cmd, at); known {
		want = wanted
	}
	if wanted, known := w.expectBot(cmd, at); known {
		want = wanted
	}
	if wanted, known := w.expectDirect(cmd, at); known {
		want = wanted
	}
	switch c := cmd.(type) {
	case access.StartSession:
		want = w.model.mayStart(c, at)
	case access.IssueTargetCertificate:
		want = !w.model.over(c.Session, at)
	case access.IssueUserCertificate:
		want = w.model.caller(c.By, at)
	case access.SignOut:
		want = w.model.caller(c.By, at)
		if x := w.model.signIns[c.SignIn]; want && c.SignIn != 0 {
			want = x != nil && x.user == w.model.byToken(c.By, at).user && w.model.signedIn(x.user, c.SignIn, at)
		}
	case access.EndSession:
		want = w.model.sessions[c.Session] != nil
	case access.SignInWithRecoveryCode:
		if u := w.model.users[c.User]; !slices.Contains(w.tokens, c.Holder.Token) { // an old token is another question
			want = u != nil && !w.model.locked(c.User, 0, store.SessionID{}) && u.set != nil && u.set.Codes == c.Codes && 1 <= c.Number && c.Number <= 10 && !u.used[c.Number]
		}
	case access.CreateRecoveryCodes:
		x := w.model.byToken(c.By, at)
		want = x != nil && !w.model.users[x.user].bot && (c.Step == 0 && x.fresh(at) || w.model.totp(x.user) && c.Step > w.model.users[x.user].lastStep)
	case access.SignInWithPasskey:
		if !slices.Contains(w.tokens, c.Holder.Token) {
			want = w.model.mayAssert(c.Assertion) && !w.model.locked(c.Assertion.User, 0, store.SessionID{})
		}
	case access.ConfirmWithPasskey:
		x := w.model.signIns[c.SignIn]
		want = x != nil && w.model.signedIn(c.Assertion.User, c.SignIn, at) && w.model.mayAssert(c.Assertion)
	case access.ConfirmWithTOTP:
		x := w.model.byToken(c.By, at)
		want = x != nil && w.model.totp(x.user) && c.Step > w.model.users[x.user].lastStep
	case access.AddFactor:
		x := w.model.signIns[c.SignIn]
		want = x != nil && w.model.signedIn(x.user, c.SignIn, at) && x.fresh(at) && w.model.enrollable(c.Factor)
	case access.RemoveFactor:
		x := w.model.byToken(c.By, at)
		want = x != nil && x.fresh(at) && w.model.users[x.user].factors[c.Factor] != nil && w.model.left(w.model.users[x.user], c.Factor)
	case access.NameFactor:
		x := w.model.byToken(c.By, at)
		want = x != nil && !w.model.users[x.user].bot && w.model.users[x.user].factors[c.Factor] != nil
	case access.RenewFactor:
		if x := w.model.byToken(c.By, at); !slices.Contains(w.invitations, c.Invite.Token) && c.Invite.Token != (store.Hash{}) {
			want = x != nil && x.kind == store.FactorRecovery && at < x.opened+900_000
		}
	case access.LinkSSO:
		if u, ok := w.state.UserByHandle(c.User); c.By.Local {
			want = ok && !w.model.users[u.ID].bot && w.model.linkedTo(c.Identity.Issuer+"\n"+c.Identity.Subject) == store.UserID{}
		}
	case access.SignInWithSSO:
		if !slices.Contains(w.tokens, c.Holder.Token) {
			want = w.maySSO(c)
		}
	case access.EndSSO:
		want = false
		for entry, x := range w.model.signIns {
			owner := w.model.linkedTo(c.Identity.Issuer + "\n" + c.Identity.Subject)
			want = want || x.sso != 0 && w.model.signedIn(x.user, entry, at) && (c.Identity.Subject == "" || owner == x.user) &&
				(c.SID == store.Hash{} || c.SID == x.sid) && (c.Identity.Subject != "" || c.SID != store.Hash{})
		}
	case access.AddGroup:
		if c.By.Local {
			_, err := store.ParseGroupName(c.Name)
			want = err == nil && w.model.groupNamed(store.GroupName(c.Name)) == nil
		}
	case access.RenameGroup:
		if c.By.Local {
			want = w.model.groupNamed(c.Group) != nil && c.Name != "-" && w.model.groupNamed(store.GroupName(c.Name)) == nil
		}
	case access.RemoveGroup:
		if c.By.Local {
			want = w.model.groupNamed(c.Name) != nil && !w.model.granted(c.Name)
		}
	case access.AddMember:
		if u, ok := w.state.UserByHandle(c.User); c.By.Local {
			g := w.model.groupNamed(c.Group)
			want = ok && g != nil && !g.members[u.ID]
		}
	case access.RemoveMember:
		if u, ok := w.state.UserByHandle(c.User); c.By.Local {
			g := w.model.groupNamed(c.Group)
			want = ok && g != nil && g.members[u.ID]
		}
	case access.RemoveGrant:
		if c.By.Local {
			want = w.model.grants[c.Grant] != nil
		}
	case access.MakeRequest:
		want = w.mayRequest(c, at)
	case access.ApproveRequest:
		want = w.mayApprove(c, at)
	case access.DenyRequest:
		x := w.model.byToken(c.By, at)
		want = x != nil && w.model.mayAnswer(x.user, c.Request, at)
		if wanted, known := w.expectChange(c, at); known {
			want = wanted
		}
	case access.WithdrawRequest:
		x := w.model.byToken(c.By, at)
		want = x != nil && w.model.waits(c.Request, at) && w.model.requests[c.Request].made.User == x.user
		if wanted, known := w.expectChange(c, at); known {
			want = wanted
		}
	case access.LabelTarget:
		if c.By.Local {
			want = w.model.targetNamed(c.Name) != 0 && c.Labels != "env"
		}
	}
	if want != (err == nil) {
		w.Fatalf("%+v: error %v, allowed should be %v", cmd, err, want)
	}
}

// lookAround compares what the state answers with what the model knows.
func (w *world) lookAround() {
	w.Helper()
	now := max(w.at(), w.state.Time()) // as Decide has it
	w.lookAtPeople(now)
	for _, id := range w.sessions {
		if _, ends := w.state.SessionEnds(id, now); ends != w.model.over(id, now) {
			w.Fatalf("session %s ends: %v", id, ends)
		}
	}
	for _, token := range w.tokens {
		if _, _, err := w.state.Caller(byToken(token), now); (err == nil) != w.model.caller(byToken(token), now) {
			w.Fatalf("caller %x: error %v", token, err)
		}
	}
	w.lookAtGroups()
	w.lookAtReach(now)
	w.lookAtLocks()
	w.lookAtProposals(now)
}

// maySSO reports whether the provider's word and what was shown with it sign in.
func (w *world) maySSO(c access.SignInWithSSO) bool {
	owner := w.model.linkedTo(c.Identity.Issuer + "\n" + c.Identity.Subject)
	linked := owner != store.UserID{}
	if !linked {
		owner = c.User
	}
	u := w.model.users[owner]
	switch {
	case u == nil || u.bot || !linked && w.model.links[owner].entry != 0 || w.model.locked(owner, 0, store.SessionID{}):
		return false
	case c.Assertion != nil:
		return c.Assertion.User == owner && w.model.mayAssert(*c.Assertion)
	case c.Step != 0:
		return w.model.totp(owner) && c.Step > u.lastStep
	}
	return c.Counts && linked
}

// lookAtGroups: the state has the groups and members that the model has, both ways.
func (w *world) lookAtGroups() {
	w.Helper()
	groups := 0
	for g := range w.state.Groups() {
		groups++
		known := w.model.groups[g.Entry]
		if known == nil || known.name != g.Name {
			w.Fatalf("group %+v, the model has %+v", g, known)
		}
		members := 0
		for u := range w.state.Members(g.Entry) {
			members++
			if _, in := w.state.Member(g.Entry, u.ID); !in || !known.members[u.ID] || !slices.Contains(slices.Collect(w.state.GroupsOf(u.ID)), g) {
				w.Fatalf("%s in group %s", u.Handle, g.Name)
			}
		}
		if members != len(known.members) {
			w.Fatalf("group %s has %d members, the model %d", g.Name, members, len(known.members))
		}
	}
	if groups != len(w.model.groups) {
		w.Fatalf("%d groups, the model has %d", groups, len(w.model.groups))
	}
	for _, id := range w.users {
		for g := range w.state.GroupsOf(id) {
			if known := w.model.groups[g.Entry]; known == nil || !known.members[id] {
				w.Fatalf("%s in group %s", id, g.Name)
			}
		}
	}
}

func pauses() []time.Duration {
	return []time.Duration{
		0, 0, 0, 0, 0, time.Millisecond, -time.Second, 30 * time.Second, time.Minute, -3 * time.Second, time.Hour,
		5 * time.Minute, time.Second, time.Millisecond, 0, 0, 0, 0,
	}
}
