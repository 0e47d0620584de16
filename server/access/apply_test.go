package access_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// strange is an event that no program of today wrote.
type strange struct{ store.Event }

func (strange) EventType() store.EventType { return "lock.changed" }

// TestApplyRefuses: an entry that does not follow stops the fold, and changes
// nothing.
func TestApplyRefuses(t *testing.T) {
	c := found(t)
	p := c.employ("carol")
	target := c.target("db1", "root")
	grant := c.grant(p, "db1", 0, 0, "root")
	session := c.session(p, "db1", "root")
	c.employ("bob", store.RoleAdministrator)
	c.do(access.BeginRecovery{By: local, Handle: "carol", Pause: access.MinRecoverPause})
	begun := c.state.Next() - 1
	group := c.group("dba", p)
	c.lock(access.Lockable{Target: "db1"})
	c.do(access.StartReview{By: local, Owner: "bob", Due: c.at() + 3_600_000, Revokes: true})
	review := c.state.Next() - 1
	next, now := c.state.Next(), c.state.Time()
	fine := &store.RulesActivated{Rules: access.Rules}
	for name, e := range map[string]*store.Entry{
		"an index too early":       {Index: next - 1, Time: now, Event: fine},
		"an index too late":        {Index: next + 1, Time: now, Event: fine},
		"a time before the last":   {Index: next, Time: now - 1, Event: fine},
		"a second birth":           {Index: next, Time: now, Event: &store.LedgerCreated{}},
		"an unknown event":         {Index: next, Time: now, Event: strange{}},
		"a user twice":             {Index: next, Time: now, Event: &store.UserAdded{User: p.id}},
		"removal of nobody":        {Index: next, Time: now, Event: &store.UserRemoved{}},
		"invitation of nobody":     {Index: next, Time: now, Event: &store.InvitationCreated{}},
		"factor of nobody":         {Index: next, Time: now, Event: &store.FactorEnrolled{}},
		"sign-in of nobody":        {Index: next, Time: now, Event: &store.SignInSucceeded{}},
		"end of no sign-in":        {Index: next, Time: now, Event: &store.SignInEnded{User: p.id, SignIn: grant}},
		"a link of nobody":         {Index: next, Time: now, Event: &store.SSOLinked{User: store.UserID{1}}},
		"sign-in by no link":       {Index: next, Time: now, Event: &store.SignInSucceeded{User: p.id, Factor: 3, Kind: store.FactorSSO, SSO: 3}},
		"a group twice":            {Index: next, Time: now, Event: &store.GroupAdded{Name: "dba"}},
		"a new name of no group":   {Index: next, Time: now, Event: &store.GroupRenamed{Group: grant, Name: "ops"}},
		"a new name that is taken": {Index: next, Time: now, Event: &store.GroupRenamed{Group: group, Name: "dba"}},
		"removal of no group":      {Index: next, Time: now, Event: &store.GroupRemoved{Group: grant}},
		"member of no group":       {Index: next, Time: now, Event: &store.MemberAdded{Group: grant, User: p.id}},
		"nobody as member":         {Index: next, Time: now, Event: &store.MemberAdded{Group: group, User: store.UserID{1}}},
		"a member twice":           {Index: next, Time: now, Event: &store.MemberAdded{Group: group, User: p.id}},
		"removal of no member":     {Index: next, Time: now, Event: &store.MemberRemoved{Group: group}},
		"a target twice":           {Index: next, Time: now, Event: &store.TargetAdded{Name: "db1"}},
		"removal of no target":     {Index: next, Time: now, Event: &store.TargetRemoved{Target: grant}},
		"grant to nobody":          {Index: next, Time: now, Event: &store.GrantAdded{Target: target}},
		"grant for no target":      {Index: next, Time: now, Event: &store.GrantAdded{User: p.id, Target: grant}},
		"removal of no grant":      {Index: next, Time: now, Event: &store.GrantRemoved{Grant: target}},
		"a session twice":          {Index: next, Time: now, Event: &store.SessionStarted{Session: session}},
		"the end of no session":    {Index: next, Time: now, Event: &store.SessionEnded{}},
		"address of nobody":        {Index: next, Time: now, Event: &store.UserContact{}},
		"recovery of nobody":       {Index: next, Time: now, Event: &store.RecoveryBegun{}},
		"a recovery twice":         {Index: next, Time: now, Event: &store.RecoveryBegun{User: p.id}},
		"the stop of no recovery":  {Index: next, Time: now, Event: &store.RecoveryStopped{User: p.id, Begun: grant}},
		"a recovery too early":     {Index: next, Time: now, Event: &store.RecoveryFinished{User: p.id, Begun: begun}},
		"the end of no recovery":   {Index: next, Time: now + 3_600_000, Event: &store.RecoveryFinished{User: p.id, Begun: grant}},
		"somebody else's recovery": {Index: next, Time: now + 3_600_000, Event: &store.RecoveryFinished{User: c.userID(), Begun: begun}},
		"lock of nobody":           {Index: next, Time: now, Event: &store.LockAdded{User: store.UserID{1}}},
		"lock of no target":        {Index: next, Time: now, Event: &store.LockAdded{Target: grant}},
		"lock of no session":       {Index: next, Time: now, Event: &store.LockAdded{Session: store.SessionID{1}}},
		"lock of no certificate":   {Index: next, Time: now, Event: &store.LockAdded{Serial: 4711}},
		"a lock twice":             {Index: next, Time: now, Event: &store.LockAdded{Target: target}},
		"removal of no lock":       {Index: next, Time: now, Event: &store.LockRemoved{Lock: grant}},
		"a request by no grant":    {Index: next, Time: now, Event: &store.RequestMade{User: p.id, Target: target, Login: "root", Base: grant}},
		"the answer to nothing":    {Index: next, Time: now, Event: &store.RequestApproved{User: p.id, Target: target, Request: grant}},
		"the end of no request":    {Index: next, Time: now, Event: &store.RequestDenied{User: p.id, Target: target, Request: grant}},
		"no request taken back":    {Index: next, Time: now, Event: &store.RequestWithdrawn{User: p.id, Target: target, Request: grant}},
		"a grant for no request":   {Index: next, Time: now, Event: &store.GrantAdded{User: p.id, Target: target, Logins: []store.Login{"root"}, Request: 1, Base: grant}},
		"a review of nobody":       {Index: next, Time: now, Event: &store.ReviewStarted{Owner: store.UserID{1}, Due: now + 1, Grants: []store.Index{grant}}},
		"a review of no grant":     {Index: next, Time: now, Event: &store.ReviewStarted{Owner: p.id, Due: now + 1, Grants: []store.Index{target}}},
		"an answer in no review":   {Index: next, Time: now, Event: &store.ReviewAnswered{Review: grant, Grant: grant, Answer: store.AnswerKeep}},
		"an answer for no grant":   {Index: next, Time: now, Event: &store.ReviewAnswered{Review: review, Grant: target, Answer: store.AnswerKeep}},
		"revoked by no review":     {Index: next, Time: now, Event: &store.GrantRemoved{Grant: grant, Review: grant}},
		"revoked without answer":   {Index: next, Time: now, Event: &store.GrantRemoved{Grant: grant, Review: review}},
		"a reminder of no review":  {Index: next, Time: now, Event: &store.ReviewReminded{Owner: p.id, Review: grant}},
		"the end of no review":     {Index: next, Time: now, Event: &store.ReviewEnded{Owner: p.id, Review: grant, Why: store.ReviewDue}},
		"nothing before the birth": {Index: 0, Time: now, Event: fine},
	} {
		s := c.state
		if e.Index == 0 {
			s = access.New()
		}
		after, err := access.Apply(s, e, c.text)
		if !errors.Is(err, access.ErrApply) {
			t.Errorf("%s: error %v, want ErrApply", name, err)
		}
		if !bytes.Equal(snapshot(t, after), snapshot(t, s)) {
			t.Errorf("%s changed the state", name)
		}
	}
	_, err := access.Apply(c.state, &store.Entry{Index: next, Time: now, Event: strange{}}, c.text)
	if !errors.Is(err, store.ErrUnknownEvent) {
		t.Errorf("an unknown event: error %v, want ErrUnknownEvent", err)
	}
	if _, err := access.Apply(c.state, &store.Entry{Index: next, Time: now, Event: fine}, c.text); err != nil {
		t.Errorf("what follows: %v", err)
	}
}

// TestS40BadBirth: a ledger whose CA keys can't be read is not begun.
func TestS40BadBirth(t *testing.T) {
	good := keys().subject.Marshal()
	for name, e := range map[string]*store.LedgerCreated{
		"user CA":   {TargetCA: good},
		"target CA": {UserCA: good, TargetCA: good[:10]},
	} {
		if _, err := access.Apply(access.New(), &store.Entry{Event: e}, noTexts); !errors.Is(err, access.ErrApply) {
			t.Errorf("%s: error %v, want ErrApply", name, err)
		}
	}
}
