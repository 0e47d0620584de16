package access_test

import (
	"maps"
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A model says what must never happen, and what must be possible, from the
// events alone. It shares no code with the state that it is held against: plain
// maps and loops, and nothing is found by more than its own name.
type model struct {
	company   *company
	users     map[store.UserID]*modelUser
	signIns   map[store.Index]*modelSignIn
	targets   map[store.Index]*store.TargetAdded
	grants    map[store.Index]*store.GrantAdded
	sessions  map[store.SessionID]*store.SessionStarted
	refused   map[store.SessionRefused]store.Millis
	errands   []*store.SessionStarted
	checks    map[store.Index]*store.TargetChecked
	selfGrant bool
	serial    store.Serial // the last
	recovery  *modelRecovery
}

type modelUser struct {
	admin    bool
	lastStep uint64
	set      *store.RecoveryCreated // of recovery codes
	setEntry store.Index
	used     map[uint64]bool // of the set, by number
	enrolled bool
	handle   store.Commitment
	contact  store.Commitment
}

type modelSignIn struct {
	user    store.UserID
	token   store.Hash
	kind    store.FactorKind
	opened  store.Millis
	expires store.Millis
}

func newModel(c *company) *model {
	m := &model{
		company: c,
		users:   map[store.UserID]*modelUser{}, signIns: map[store.Index]*modelSignIn{},
		targets: map[store.Index]*store.TargetAdded{}, grants: map[store.Index]*store.GrantAdded{},
		sessions: map[store.SessionID]*store.SessionStarted{}, refused: map[store.SessionRefused]store.Millis{},
		checks: map[store.Index]*store.TargetChecked{},
	}
	for _, e := range c.entries {
		m.see(e)
	}
	return m
}

// see judges an entry against those before it, and takes it in.
func (m *model) see(e *store.Entry) {
	m.company.Helper()
	m.judge(e)
	m.seeRecovery(e)
	switch v := e.Event.(type) {
	case *store.SettingChanged:
		m.selfGrant = v.Value == store.SelfGrantAllowed
	case *store.UserAdded:
		m.users[v.User] = &modelUser{admin: slices.Contains(v.Roles, store.RoleAdministrator), handle: v.Handle}
	case *store.UserRemoved:
		delete(m.users, v.User)
		if m.recovery != nil && m.recovery.user == v.User {
			m.recovery = nil
		}
		// The worlds use an ID again; whoever has it then starts with nothing.
		maps.DeleteFunc(m.signIns, func(_ store.Index, x *modelSignIn) bool { return x.user == v.User })
		maps.DeleteFunc(m.grants, func(_ store.Index, g *store.GrantAdded) bool { return g.User == v.User })
	case *store.FactorEnrolled:
		m.users[v.User].lastStep = v.Step
		m.users[v.User].enrolled = true
		m.users[v.User].set = nil
		maps.DeleteFunc(m.signIns, func(_ store.Index, x *modelSignIn) bool { return x.user == v.User })
	case *store.SignInSucceeded:
		if u := m.users[v.User]; v.Kind == store.FactorRecovery {
			u.used[v.Code] = true
		} else {
			u.lastStep = v.Step
		}
		m.signIns[e.Index] = &modelSignIn{v.User, v.Token, v.Kind, e.Time, v.Expires}
	case *store.RecoveryCreated:
		u := m.users[v.User]
		u.set, u.setEntry, u.used = v, e.Index, map[uint64]bool{}
		u.lastStep = max(u.lastStep, v.Step)
	case *store.SignInEnded:
		delete(m.signIns, v.SignIn)
	case *store.TargetAdded:
		m.targets[e.Index] = v
	case *store.TargetRemoved:
		delete(m.targets, v.Target)
	case *store.TargetChecked:
		m.checks[v.Target] = v
	case *store.GrantAdded:
		m.grants[e.Index] = v
	case *store.GrantRemoved:
		delete(m.grants, v.Grant)
	case *store.SessionStarted:
		m.sessions[v.Session] = v
		if v.Errand != "" {
			m.errands = append(m.errands, v)
		}
	case *store.SessionRefused:
		m.refused[*v] = e.Time
	case *store.SessionEnded:
		delete(m.sessions, v.Session)
	}
}

// judge fails the test for an entry that no rule may have allowed.
func (m *model) judge(e *store.Entry) {
	m.company.Helper()
	bad := func(why string) {
		m.company.Helper()
		m.company.Fatalf("entry %d, %+v: %s", e.Index, e.Event, why)
	}
	m.judgeAdministrator(e, bad)
	switch v := e.Event.(type) {
	case *store.InvitationCreated:
		if !m.mayAdminister(e) && !(v.User == e.Actor.User && m.mayRenew(v.User, e.Time)) {
			bad("neither by an administrator nor with a recovery code")
		}
	case *store.RecoveryCreated:
		m.judgeRecovery(e, v, bad)
	case *store.UserAdded, *store.UserRemoved, *store.TargetAdded, *store.TargetRemoved, *store.GrantRemoved:
		if !m.mayAdminister(e) {
			bad("not by an administrator")
		}
	case *store.SettingChanged:
		if !e.Actor.Local {
			bad("not from the server's own machine")
		}
	case *store.GrantAdded:
		if !m.mayAdminister(e) {
			bad("not by an administrator")
		}
		if v.User == e.Actor.User && !m.selfGrant {
			bad("to oneself")
		}
	case *store.SignInSucceeded:
		_, enrolled := m.company.entries[e.Index-2].Event.(*store.FactorEnrolled)
		u := m.users[v.User]
		if u == nil || v.Kind == store.FactorTOTP && !enrolled && v.Step <= u.lastStep {
			bad("with a step that was used")
		}
		if v.Kind == store.FactorRecovery && (u.set == nil || v.Factor != u.setEntry || u.used[v.Code] || v.Code > 10) {
			bad("with a recovery code that was used, or is of no set that counts")
		}
	case *store.CertificateIssued:
		if serial := m.company.state.SerialOf(e.Index); serial <= m.serial {
			bad("with a serial that is not beyond all before it")
		} else {
			m.serial = serial
		}
		if v.Kind == store.CertificateUser && !m.signedIn(v.User, v.SignIn, e.Time) {
			bad("without a sign-in")
		}
		if v.Kind == store.CertificateUser && v.Expires > m.signIns[v.SignIn].expires {
			bad("beyond the sign-in")
		}
		if v.Kind == store.CertificateTarget && m.over(v.Session, e.Time) {
			bad("for a session that is over")
		}
	case *store.TargetChecked:
		m.judgeCheck(v, bad)
	case *store.TargetClosed, *store.TargetReopened:
		if !m.mayAdminister(e) {
			bad("not by an administrator")
		}
		if closed, ok := v.(*store.TargetClosed); ok && !m.saw(closed.Target, closed.Session, true) {
			bad("not seen by the last check")
		}
		if open, ok := v.(*store.TargetReopened); ok && !m.saw(open.Target, open.Session, false) {
			bad("not seen by the last check")
		}
	case *store.SessionStarted:
		if v.Errand != "" {
			m.judgeErrand(e, v, bad)
			return
		}
		if !m.signedIn(v.User, m.signInOf(v), e.Time) || !m.covers(v.Grant, v.User, v.Target, v.Login, e.Time) {
			bad("without a sign-in or a grant")
		}
	case *store.SessionRefused:
		if last, ok := m.refused[*v]; ok && e.Time-last < 60_000 {
			bad("twice in a minute")
		}
	}
}

// judgeRecovery: new codes come with a factor, or to somebody who is signed in
// and shows a code that was not used.
func (m *model) judgeRecovery(e *store.Entry, v *store.RecoveryCreated, bad func(string)) {
	m.company.Helper()
	if f, ok := m.company.entries[e.Index-1].Event.(*store.FactorEnrolled); ok && f.User == v.User && v.Step == 0 {
		return
	}
	here := false
	for entry, x := range m.signIns {
		here = here || x.user == v.User && m.signedIn(x.user, entry, e.Time)
	}
	if e.Actor.User != v.User || !here || v.Step <= m.users[v.User].lastStep {
		bad("not by their owner with an authenticator")
	}
}

// mayRenew reports whether somebody has just shown a recovery code.
func (m *model) mayRenew(user store.UserID, now store.Millis) bool {
	for entry, x := range m.signIns {
		if x.user == user && x.kind == store.FactorRecovery && m.signedIn(user, entry, now) && now < x.opened+900_000 {
			return true
		}
	}
	return false
}

// byToken returns the sign-in that a token stands for, or nil.
func (m *model) byToken(token store.Hash, now store.Millis) *modelSignIn {
	for entry, x := range m.signIns {
		if x.token == token && m.signedIn(x.user, entry, now) {
			return x
		}
	}
	return nil
}

func (m *model) judgeErrand(e *store.Entry, v *store.SessionStarted, bad func(string)) {
	m.company.Helper()
	if nobody := e.Actor == (store.Actor{}); !m.mayAdminister(e) && (!nobody || v.Errand != store.ErrandCheck) {
		bad("not by an administrator, and no check of the timetable's")
	}
	if t := m.targets[v.Target]; t == nil || !slices.Contains(t.Logins, v.Login) {
		bad("on no target, or as no login of it")
	}
	for _, x := range m.sessions {
		if x.Errand != "" && x.Target == v.Target {
			bad("beside another one")
		}
	}
}

// judgeCheck reads the reports and counts for itself.
func (m *model) judgeCheck(v *store.TargetChecked, bad func(string)) {
	m.company.Helper()
	var last *store.SessionStarted
	for _, x := range m.errands {
		if x.Target == v.Target {
			last = x
		}
	}
	if m.targets[v.Target] == nil || last == nil || last.Session != v.Session || m.sessions[v.Session] != nil {
		bad("not of the target's last errand, or before its end")
	}
	lines := func(c store.Commitment, kind string) map[string]bool {
		set := map[string]bool{}
		text, _ := m.company.text(c)
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, kind) {
				set[strings.TrimSpace(line)] = true
			}
		}
		return set
	}
	now := lines(v.Report, "door")
	before := now // of the first check nothing is new
	if last := m.checks[v.Target]; last != nil {
		before = lines(last.Report, "door")
	}
	fresh, gone := 0, 0
	for line := range now {
		if !before[line] {
			fresh++
		}
	}
	for line := range before {
		if !now[line] {
			gone++
		}
	}
	if v.Doors != uint64(len(now)) || v.New != uint64(fresh) || v.Gone != uint64(gone) || v.Unread != uint64(len(lines(v.Report, "unread"))) {
		bad("with other counts than its report")
	}
}

// saw reports whether the last check of a target was that session and found it
// closed or not.
func (m *model) saw(target store.Index, session store.SessionID, closed bool) bool {
	c := m.checks[target]
	return m.targets[target] != nil && c != nil && c.Session == session && c.Closed == closed
}

// signInOf is what the world below writes into StartSession.Certificate.
func (m *model) signInOf(v *store.SessionStarted) store.Index { return v.Certificate }

// mayAdminister reports whether the entry's actor could administer then.
func (m *model) mayAdminister(e *store.Entry) bool {
	if e.Actor.Local {
		return true
	}
	if u := m.users[e.Actor.User]; u == nil || !u.admin {
		return false
	}
	for entry, x := range m.signIns {
		if x.user == e.Actor.User && m.signedIn(x.user, entry, e.Time) {
			return true
		}
	}
	return false
}

func (m *model) signedIn(user store.UserID, signIn store.Index, now store.Millis) bool {
	x := m.signIns[signIn]
	return x != nil && x.user == user && now < x.expires && m.users[user] != nil
}

func (m *model) covers(grant store.Index, user store.UserID, target store.Index, login store.Login, now store.Millis) bool {
	g := m.grants[grant]
	return g != nil && g.User == user && g.Target == target && slices.Contains(g.Logins, login) &&
		m.users[user] != nil && m.targets[target] != nil && g.From <= now && (g.Until == 0 || now < g.Until)
}

// mayStart reports whether some grant allows the session.
func (m *model) mayStart(c access.StartSession, now store.Millis) bool {
	if !m.signedIn(c.User, c.SignIn, now) {
		return false
	}
	for target, t := range m.targets {
		for grant := range m.grants {
			if t.Name == c.Target && m.covers(grant, c.User, target, c.Login, now) {
				return true
			}
		}
	}
	return false
}

// over reports whether a session has ended or must.
func (m *model) over(id store.SessionID, now store.Millis) bool {
	s := m.sessions[id]
	if s != nil && s.Errand != "" {
		return m.targets[s.Target] == nil
	}
	return s == nil || !m.covers(s.Grant, s.User, s.Target, s.Login, now)
}

// caller reports whether a token stands for somebody.
func (m *model) caller(token store.Hash, now store.Millis) bool {
	for entry, x := range m.signIns {
		if x.token == token && m.signedIn(x.user, entry, now) {
			return true
		}
	}
	return false
}
