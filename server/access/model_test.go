package access_test

import (
	"maps"
	"slices"
	"strings"
	"time"

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
	requests  map[store.Index]*modelRequest
	proposals map[store.Index]*modelProposal
	labelled  map[store.Index]store.Index // the entry that gave a target its labels
	labels    map[store.Index]map[string]string
	sessions  map[store.SessionID]*store.SessionStarted
	begun     map[store.SessionID]store.Millis
	refused   map[store.SessionRefused]store.Millis
	errands   []*store.SessionStarted
	checks    map[store.Index]*store.TargetChecked
	groups    map[store.Index]*modelGroup
	links     map[store.UserID]modelLink
	selfGrant bool
	life      store.Millis // of sign-in sessions
	idle      store.Millis
	botLife   store.Millis
	serial    store.Serial // the last
	recovery  *modelRecovery
	locks     map[store.Index]*store.LockAdded
	onward    map[store.SessionID][]store.Serial // of target certificates
	invited   map[store.Hash]store.UserID
	answers   []modelName                     // which names hosts were set up for
	made      []modelName                     // and certificates made
	looks     map[store.Index]store.SessionID // the last look of each target that counts
	renamed   map[store.Index]store.Index
	started   map[store.SessionID]store.Index
}

type modelUser struct {
	admin      bool
	adminSince store.Index
	approver   bool
	lastStep   uint64
	factors    map[store.Index]*modelFactor
	set        *store.RecoveryCreated // of recovery codes
	setEntry   store.Index
	used       map[uint64]bool // of the set, by number
	handle     store.Commitment
	contact    store.Commitment

	bot       bool
	join      *store.JoinCreated // a bot's open token
	joinEntry store.Index
}

type modelLink struct {
	entry store.Index
	text  string
}

type modelGroup struct {
	name    store.GroupName
	members map[store.UserID]bool
	since   map[store.UserID]store.Index
}

type modelFactor struct {
	credential string // empty for TOTP and keys
	key        string // a bot's
	counter    uint64
	cloned     bool
}

type modelSignIn struct {
	user    store.UserID
	token   store.Hash
	key     store.ClientKey
	kind    store.FactorKind
	factor  store.Index
	opened  store.Millis
	expires store.Millis
	used    store.Millis
	idle    store.Millis
	sso     store.Index
	sid     store.Hash

	confirmed, touched store.Millis // 0: never
}

func newModel(c *company) *model {
	m := &model{
		company: c,
		users:   map[store.UserID]*modelUser{}, signIns: map[store.Index]*modelSignIn{},
		targets: map[store.Index]*store.TargetAdded{}, grants: map[store.Index]*store.GrantAdded{}, requests: map[store.Index]*modelRequest{},
		proposals: map[store.Index]*modelProposal{}, labelled: map[store.Index]store.Index{},
		labels: map[store.Index]map[string]string{}, begun: map[store.SessionID]store.Millis{},
		sessions: map[store.SessionID]*store.SessionStarted{}, refused: map[store.SessionRefused]store.Millis{},
		checks: map[store.Index]*store.TargetChecked{},
		groups: map[store.Index]*modelGroup{}, links: map[store.UserID]modelLink{},
		locks: map[store.Index]*store.LockAdded{}, onward: map[store.SessionID][]store.Serial{}, invited: map[store.Hash]store.UserID{},
		looks: map[store.Index]store.SessionID{}, renamed: map[store.Index]store.Index{}, started: map[store.SessionID]store.Index{},
		life: 10 * 3_600_000, idle: 4 * 3_600_000, botLife: 3_600_000,
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
	defer m.watchReach(e)()
	m.seeNames(e)
	m.seeRecovery(e)
	m.seeGrant(e)
	m.seeLock(e)
	m.seeBot(e)
	m.seeRequest(e)
	m.seeChange(e)
	switch v := e.Event.(type) {
	case *store.SettingChanged:
		m.set(v)
	case *store.UserAdded:
		m.users[v.User] = &modelUser{
			admin: slices.Contains(v.Roles, store.RoleAdministrator), adminSince: e.Index, approver: slices.Contains(v.Roles, store.RoleApprover), factors: map[store.Index]*modelFactor{}, handle: v.Handle,
		}
	case *store.UserRemoved:
		delete(m.users, v.User)
		if m.recovery != nil && m.recovery.user == v.User {
			m.recovery = nil
		}
		// The worlds use an ID again; whoever has it then starts with nothing.
		maps.DeleteFunc(m.signIns, func(_ store.Index, x *modelSignIn) bool { return x.user == v.User })
		for _, g := range m.groups {
			delete(g.members, v.User)
		}
		delete(m.links, v.User)
	case *store.FactorEnrolled:
		m.enrolled(e.Index, v)
	case *store.FactorRemoved:
		maps.DeleteFunc(m.signIns, func(_ store.Index, x *modelSignIn) bool {
			return x.user == v.User && m.users[v.User].bot && x.factor == v.Factor
		})
		delete(m.users[v.User].factors, v.Factor)
	case *store.FactorCloned:
		m.users[v.User].factors[v.Factor].cloned = true
	case *store.SignInSucceeded:
		x := &modelSignIn{
			user: v.User, token: v.Token, key: v.Key, kind: v.Kind, factor: v.Factor, opened: e.Time, expires: v.Expires, used: e.Time, idle: m.idle,
			sso: v.SSO, sid: v.SID,
		}
		m.signIns[e.Index] = x
		if v.Kind == store.FactorKey {
			x.idle = v.Expires - e.Time
			return // which proves that nobody is there
		}
		if v.Kind == store.FactorSSO {
			return // which proves nothing but the sign-in
		}
		if v.Kind == store.FactorRecovery {
			m.users[v.User].used[v.Code] = true
			return
		}
		m.proved(x, v.Factor, v.Step, v.Counter, e.Time)
	case *store.SignInConfirmed:
		m.signIns[v.SignIn].used = e.Time
		m.proved(m.signIns[v.SignIn], v.Factor, v.Step, v.Counter, e.Time)
	case *store.CertificateIssued:
		if x := m.signIns[v.SignIn]; x != nil {
			x.used = e.Time
		}
	case *store.RecoveryCreated:
		u := m.users[v.User]
		u.set, u.setEntry, u.used = v, e.Index, map[uint64]bool{}
		u.lastStep = max(u.lastStep, v.Step)
	case *store.SignInEnded:
		delete(m.signIns, v.SignIn)
	case *store.SSOLinked:
		text, _ := m.company.text(v.Identity)
		m.links[v.User] = modelLink{e.Index, text}
		maps.DeleteFunc(m.signIns, func(_ store.Index, x *modelSignIn) bool { return x.user == v.User && x.sso != 0 })
	case *store.GroupAdded:
		m.groups[e.Index] = &modelGroup{name: v.Name, members: map[store.UserID]bool{}, since: map[store.UserID]store.Index{}}
	case *store.GroupRenamed:
		m.groups[v.Group].name = v.Name
	case *store.GroupRemoved:
		delete(m.groups, v.Group)
	case *store.MemberAdded:
		m.groups[v.Group].members[v.User], m.groups[v.Group].since[v.User] = true, e.Index
	case *store.MemberRemoved:
		delete(m.groups[v.Group].members, v.User)
	case *store.TargetAdded:
		m.targets[e.Index] = v
	case *store.TargetRemoved:
		delete(m.targets, v.Target)
	case *store.TargetChecked:
		m.checks[v.Target] = v
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

func (m *model) set(v *store.SettingChanged) {
	length, _ := time.ParseDuration(v.Value)
	switch v.Setting {
	case store.SettingSelfGrant:
		m.selfGrant = v.Value == store.SelfGrantAllowed
	case store.SettingSignInLife:
		m.life = store.Millis(length.Milliseconds())
	case store.SettingSignInIdle:
		m.idle = store.Millis(length.Milliseconds())
	case store.SettingBotSignInLife:
		m.botLife = store.Millis(length.Milliseconds())
	}
}

func (m *model) enrolled(entry store.Index, v *store.FactorEnrolled) {
	u := m.users[v.User]
	if v.Kind == store.FactorKey {
		u.factors[entry] = &modelFactor{key: string(v.Key)}
		if v.Join != 0 {
			u.join = nil
		}
		return
	}
	if v.Invitation != 0 {
		u.factors, u.lastStep, u.set = map[store.Index]*modelFactor{}, 0, nil
		maps.DeleteFunc(m.signIns, func(_ store.Index, x *modelSignIn) bool { return x.user == v.User })
	}
	if v.Passkey != nil {
		u.factors[entry] = &modelFactor{credential: string(v.Passkey.Credential), counter: v.Passkey.Counter}
		return
	}
	maps.DeleteFunc(u.factors, func(_ store.Index, f *modelFactor) bool { return f.credential == "" })
	u.factors[entry], u.lastStep = &modelFactor{}, v.Step
}

// proved takes in that somebody showed a factor.
func (m *model) proved(x *modelSignIn, factor store.Index, step, counter uint64, now store.Millis) {
	u := m.users[x.user]
	u.lastStep = max(u.lastStep, step)
	x.confirmed = now
	if f := u.factors[factor]; f.credential != "" {
		f.counter, x.touched = counter, now
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
	if v, ok := e.Event.(*store.SessionStarted); !ok || v.Errand == "" {
		m.judgeGrant(e, bad)
	}
	m.judgeLock(e, bad)
	m.judgeBot(e, bad)
	m.judgeChange(e, bad)
	m.judgeNames(e, bad)
	switch v := e.Event.(type) {
	case *store.InvitationCreated:
		if !m.mayAdminister(e) && !(v.User == e.Actor.User && m.mayRenew(v.User, e.Time)) {
			bad("neither by an administrator nor with a recovery code")
		}
	case *store.RecoveryCreated:
		m.judgeRecovery(e, v, bad)
	case *store.SSOLinked:
		x := m.ssoSignIn(e)
		if !m.mayAdminister(e) && (x == nil || x.User != v.User || x.SSO != e.Index || x.Kind == store.FactorSSO || m.links[v.User].entry != 0) {
			bad("neither by an administrator nor with a factor of one's own")
		}
		if text, _ := m.company.text(v.Identity); m.linkedTo(text) != (store.UserID{}) {
			bad("of an account that is somebody's")
		}
	case *store.GroupAdded, *store.GroupRenamed, *store.GroupRemoved, *store.MemberAdded, *store.MemberRemoved:
		m.judgeGroup(e, bad)
	case *store.UserAdded, *store.UserRemoved, *store.TargetAdded, *store.TargetRemoved:
		if !m.mayAdminister(e) {
			bad("not by an administrator")
		}
	case *store.SettingChanged:
		if !e.Actor.Local {
			bad("not from the server's own machine")
		}
	case *store.SignInSucceeded:
		_, enrolled := m.company.entries[e.Index-2].Event.(*store.FactorEnrolled)
		u := m.users[v.User]
		if u == nil || v.Kind == store.FactorTOTP && !enrolled && v.Step <= u.lastStep {
			bad("with a step that was used")
		}
		if v.Kind == store.FactorPasskey && !enrolled && !m.mayAssert(access.Assertion{User: v.User, Factor: v.Factor, Counter: v.Counter}) {
			bad("with a passkey that proves nothing")
		}
		if v.SSO != 0 && m.links[v.User].entry != v.SSO || v.Kind == store.FactorSSO && v.Factor != v.SSO {
			bad("by another account than the linked one")
		}
		life := m.life
		if u.bot {
			life = m.botLife
		}
		if v.Key.IsZero() || v.Expires != e.Time+life {
			bad("without a key, or for how long")
		}
		if v.Kind == store.FactorRecovery && (u.set == nil || v.Factor != u.setEntry || u.used[v.Code] || v.Code > 10) {
			bad("with a recovery code that was used, or is of no set that counts")
		}
	case *store.SignInConfirmed:
		f := m.users[v.User].factors[v.Factor]
		if !m.signedIn(v.User, v.SignIn, e.Time) || f == nil || f.credential == "" && v.Step <= m.users[v.User].lastStep ||
			f.credential != "" && !m.mayAssert(access.Assertion{User: v.User, Factor: v.Factor, Counter: v.Counter}) {
			bad("with nothing that proves it")
		}
	case *store.FactorEnrolled:
		x := m.signIns[v.SignIn]
		if v.Kind != store.FactorKey && v.Invitation == 0 && (!m.signedIn(v.User, v.SignIn, e.Time) || !x.fresh(e.Time)) {
			bad("without a fresh proof")
		}
	case *store.FactorRemoved:
		if u := m.users[v.User]; u.factors[v.Factor] == nil || !u.bot && !m.left(u, v.Factor) {
			bad("which is not there, or is the last")
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
		if v.Direct {
			m.judgeDirect(e, v, bad)
			return
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
	here, fresh := false, false
	for entry, x := range m.signIns {
		if x.user == v.User && m.signedIn(x.user, entry, e.Time) {
			here, fresh = true, fresh || x.fresh(e.Time)
		}
	}
	if e.Actor.User != v.User || !here || v.Step <= m.users[v.User].lastStep && (v.Step != 0 || !fresh) {
		bad("not by their owner with an authenticator")
	}
}

// judgeGroup: an administrator changes groups; no two have one name; somebody is
// in one once; and nobody adds themselves.
func (m *model) judgeGroup(e *store.Entry, bad func(string)) {
	m.company.Helper()
	x := m.ssoSignIn(e)
	if !m.mayAdminister(e) && x == nil {
		bad("neither by an administrator nor by the provider's word")
	}
	switch v := e.Event.(type) {
	case *store.GroupAdded:
		if m.groupNamed(v.Name) != nil {
			bad("with a name that is taken")
		}
	case *store.GroupRenamed:
		if m.groups[v.Group] == nil || m.groupNamed(v.Name) != nil {
			bad("with a name that is taken, or of no group")
		}
	case *store.MemberAdded:
		if m.users[v.User] == nil || m.groups[v.Group].members[v.User] {
			bad("of nobody, or twice")
		}
		if v.User == e.Actor.User && !m.selfGrant && x == nil && !m.agreedTo(e) || x != nil && x.User != v.User {
			bad("of oneself")
		}
	case *store.MemberRemoved:
		if !m.groups[v.Group].members[v.User] {
			bad("of somebody who is not in it")
		}
	}
}

// ssoSignIn returns the sign-in with the provider's word that an entry belongs to, or
// nil: those that go with one stand right before it.
func (m *model) ssoSignIn(e *store.Entry) *store.SignInSucceeded {
	for _, next := range m.company.entries[e.Index+1:] {
		switch v := next.Event.(type) {
		case *store.MemberAdded, *store.MemberRemoved:
			continue
		case *store.SignInSucceeded:
			if v.SSO != 0 && v.User == e.Actor.User && next.Actor == e.Actor {
				return v
			}
		}
		return nil
	}
	return nil
}

// linkedTo returns whose account that is.
func (m *model) linkedTo(text string) store.UserID {
	for id, l := range m.links {
		if l.text == text {
			return id
		}
	}
	return store.UserID{}
}

// groupNamed returns the group of a name, or nil.
func (m *model) groupNamed(name store.GroupName) *modelGroup {
	for _, g := range m.groups {
		if g.name == name {
			return g
		}
	}
	return nil
}

// mayAssert reports whether a passkey that said this proves something.
func (m *model) mayAssert(a access.Assertion) bool {
	u := m.users[a.User]
	if u == nil {
		return false
	}
	f := u.factors[a.Factor]
	return f != nil && f.credential != "" && !f.cloned && (a.Counter > f.counter || a.Counter == 0 && f.counter == 0)
}

// totp reports whether a user has a TOTP factor.
func (m *model) totp(user store.UserID) bool {
	for _, f := range m.users[user].factors {
		if f.credential == "" && f.key == "" {
			return true
		}
	}
	return false
}

// left reports whether without a factor there is another that proves something.
func (m *model) left(u *modelUser, without store.Index) bool {
	for entry, f := range u.factors {
		if entry != without && !f.cloned {
			return true
		}
	}
	return false
}

// enrollable reports whether a credential is one that nobody has.
func (m *model) enrollable(f access.NewFactor) bool {
	for _, u := range m.users {
		for _, other := range u.factors {
			if f.Passkey != nil && other.credential == string(f.Passkey.Credential) {
				return false
			}
		}
	}
	return true
}

func (x *modelSignIn) fresh(now store.Millis) bool {
	return x.confirmed != 0 && now < x.confirmed+300_000
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
func (m *model) byToken(c access.Caller, now store.Millis) *modelSignIn {
	for entry, x := range m.signIns {
		if x.token == c.Token && x.key == c.Key && m.signedIn(x.user, entry, now) {
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
	return x != nil && x.user == user && now < x.expires && now < x.used+x.idle && m.users[user] != nil
}

// caller reports whether a caller is somebody.
func (m *model) caller(c access.Caller, now store.Millis) bool { return m.byToken(c, now) != nil }
