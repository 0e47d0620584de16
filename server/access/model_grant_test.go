package access_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // the model's clocks on the wall

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// What the worlds' grants say, and beside each text what it means, in Go and not
// in the words of the code that is held against it.

// selectors are what grants and guardrails choose targets by.
var selectors = sync.OnceValue(func() map[string]func(labels map[string]string) (allows, forbids bool) {
	both := func(is bool) (bool, bool) { return is, is }
	return map[string]func(map[string]string) (bool, bool){
		"*":        func(map[string]string) (bool, bool) { return true, true },
		"env=prod": func(l map[string]string) (bool, bool) { return both(l["env"] == "prod") },
		"env!=prod": func(l map[string]string) (bool, bool) {
			return l["env"] != "" && l["env"] != "prod", l["env"] != "prod"
		},
		"!env":               func(l map[string]string) (bool, bool) { return both(l["env"] == "") },
		"role in (cache,db)": func(l map[string]string) (bool, bool) { return both(l["role"] == "cache" || l["role"] == "db") },
		"env=prod,role=db":   func(l map[string]string) (bool, bool) { return both(l["env"] == "prod" && l["role"] == "db") },
	}
})

// windows are weekly hours: days, from and to in minutes of the day, in a zone.
var windows = sync.OnceValue(func() map[string]func(time.Time) bool {
	open := func(zone string, days []time.Weekday, from, to int) func(time.Time) bool {
		place, err := time.LoadLocation(zone)
		if err != nil {
			panic(err) // the database is linked in
		}
		return func(at time.Time) bool {
			at = at.In(place)
			minute := at.Hour()*60 + at.Minute()
			return slices.Contains(days, at.Weekday()) && from <= minute && minute < to
		}
	}
	return map[string]func(time.Time) bool{
		"": func(time.Time) bool { return true },
		"Mon-Fri 08:00-18:00 Europe/Berlin": open("Europe/Berlin",
			[]time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}, 8*60, 18*60),
		"Sat-Sun 10:00-16:00 America/New_York": open("America/New_York", []time.Weekday{time.Saturday, time.Sunday}, 10*60, 16*60),
	}
})

// A modelUses says by purpose within which limits; {"": true} is within none.
type modelUses map[string]map[string]bool

func readUses(text string) modelUses {
	uses := modelUses{}
	for item := range strings.SplitSeq(text, "; ") {
		name, limit, _ := strings.Cut(item, "=")
		if uses[name] == nil {
			uses[name] = map[string]bool{}
		}
		uses[name][limit] = true
	}
	return uses
}

// words is the text that means the same, whatever the order of the other.
func (u modelUses) words() string {
	var all []string
	for name, limits := range u {
		switch {
		case limits[""]:
			all = append(all, name)
		case name == "sftp" && limits["read-write"]:
			all = append(all, "sftp=read-write")
		default:
			for limit := range limits {
				all = append(all, name+"="+limit)
			}
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

func sortedWords(text string) string {
	all := strings.Split(text, "; ")
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// A modelStanding is what somebody may do, and by which grants.
type modelStanding struct {
	uses   modelUses
	grants []store.Index
}

// mine reports whether a grant or guardrail is about a user.
func (m *model) mine(g *store.GrantAdded, user store.UserID) bool {
	switch {
	case g.Group != 0:
		return m.groups[g.Group].members[user]
	case g.User == (store.UserID{}):
		return g.Forbids
	}
	return g.User == user
}

// about reports whether a grant or guardrail is about a login of a target.
func (m *model) about(g *store.GrantAdded, target store.Index, login store.Login) bool {
	here := g.Target == target
	if g.Target == 0 {
		allows, forbids := selectors()[g.Targets.String()](m.labels[target])
		here = g.Forbids && forbids || !g.Forbids && allows
	}
	return here && (slices.Contains(g.Logins, login) || g.Forbids && len(g.Logins) == 0)
}

func (m *model) live(g *store.GrantAdded, now store.Millis) bool {
	return g.From <= now && (g.Until == 0 || now < g.Until) && windows()[g.Hours.String()](now.Time())
}

// standing looks at every grant that there is.
func (m *model) standing(user store.UserID, touched, judged store.Millis, target store.Index, login store.Login, now store.Millis) modelStanding {
	st := modelStanding{uses: modelUses{}}
	if m.users[user] == nil || m.targets[target] == nil {
		return st
	}
	for entry, g := range m.grants {
		c := g.Conditions
		switch {
		case g.Forbids, !m.mine(g, user), !m.about(g, target, login), !m.live(g, now):
		case c.Passkey != 0 && (touched == 0 || judged-touched >= store.Millis(c.Passkey)*60_000):
		case g.Base != 0 && !m.requestable(user, g.Base, target, login):
		case g.Request == 0 && (c.Reason || c.Approvals != 0 || c.Ticket != ""):
		default:
			st.grants = append(st.grants, entry)
			text := g.For.String()
			if text == "" {
				text = "shell; exec; no-tty; sftp=read-write"
			}
			for name, limits := range readUses(text) {
				if st.uses[name] == nil {
					st.uses[name] = map[string]bool{}
				}
				maps.Copy(st.uses[name], limits)
			}
		}
	}
	for _, g := range m.grants {
		if !g.Forbids || !m.mine(g, user) || !m.about(g, target, login) || !m.live(g, now) {
			continue
		}
		if len(g.For) == 0 {
			st.uses = modelUses{}
			break
		}
		for name, limits := range readUses(g.For.String()) {
			if limits["read-write"] && st.uses[name]["read-write"] {
				st.uses[name] = map[string]bool{"read-only": true}
			} else if !limits["read-write"] {
				delete(st.uses, name)
			}
		}
	}
	return st
}

// mayStart reports whether some grant allows the session.
func (m *model) mayStart(c access.StartSession, now store.Millis) bool {
	if !m.signedIn(c.User, c.SignIn, now) {
		return false
	}
	for target, t := range m.targets {
		if t.Name == c.Target && !m.locked(c.User, target, c.Session, m.company.state.SerialOf(c.Certificate)) && len(m.standing(c.User, m.signIns[c.SignIn].touched, now, target, c.Login, now).uses) > 0 {
			return true
		}
	}
	return false
}

// inSession is what a session may do now.
func (m *model) inSession(id store.SessionID, now store.Millis) modelStanding {
	s := m.sessions[id]
	if m.lockedSession(s) {
		return modelStanding{}
	}
	st := m.standing(s.User, s.Touched, m.begun[id], s.Target, s.Login, now)
	longest := store.Millis(0)
	for _, entry := range st.grants {
		c := m.grants[entry].Conditions
		if c.Longest == 0 {
			return st
		}
		longest = max(longest, store.Millis(c.Longest)*60_000)
	}
	if now-m.begun[id] >= longest {
		return modelStanding{}
	}
	return st
}

// over reports whether a session has ended or must.
func (m *model) over(id store.SessionID, now store.Millis) bool {
	s := m.sessions[id]
	if s != nil && m.lockedSession(s) {
		return true
	}
	if s != nil && s.Errand != "" {
		return m.targets[s.Target] == nil
	}
	return s == nil || len(m.inSession(id, now).uses) == 0
}

// seeGrant takes in what is about grants.
func (m *model) seeGrant(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.UserRemoved:
		maps.DeleteFunc(m.grants, func(_ store.Index, g *store.GrantAdded) bool { return g.User == v.User })
	case *store.TargetRemoved:
		maps.DeleteFunc(m.grants, func(_ store.Index, g *store.GrantAdded) bool { return g.Target == v.Target })
	case *store.TargetLabelled:
		m.labels[v.Target] = map[string]string{}
		for _, l := range v.Labels {
			m.labels[v.Target][l.Key] = l.Value
		}
	case *store.GrantAdded:
		m.grants[e.Index] = v
	case *store.GrantRemoved:
		delete(m.grants, v.Grant)
		maps.DeleteFunc(m.grants, func(_ store.Index, g *store.GrantAdded) bool { return g.Base == v.Grant })
	case *store.SessionStarted:
		m.begun[v.Session] = e.Time
	}
}

// judgeGrant says what must not be about grants.
func (m *model) judgeGrant(e *store.Entry, bad func(string)) {
	switch v := e.Event.(type) {
	case *store.GrantAdded:
		if v.Request != 0 {
			m.judgeAnswer(e, v, bad)
			return
		}
		if !m.mayAdminister(e) {
			bad("not by an administrator")
		}
		if !v.Forbids && !e.Actor.Local && m.mine(v, e.Actor.User) && !m.selfGrant && !m.agreedTo(e) {
			bad("to oneself")
		}
	case *store.RequestMade:
		m.judgeRequest(e, v, bad)
	case *store.RequestApproved:
		if m.proposals[v.Request] == nil {
			m.judgeApproval(e, v, bad)
		}
	case *store.RequestDenied:
		if m.proposals[v.Request] == nil && !m.mayAnswer(e.Actor.User, v.Request, e.Time) {
			bad("by nobody who may answer it")
		}
	case *store.RequestWithdrawn:
		if m.proposals[v.Request] != nil {
			return
		}
		if e.Actor.User != v.User || !m.waits(v.Request, e.Time) || m.requests[v.Request].made.User != v.User {
			bad("not by who made it, or too late")
		}
	case *store.GrantRemoved, *store.TargetLabelled:
		if !m.mayAdminister(e) {
			bad("not by an administrator")
		}
	case *store.SessionStarted:
		x := m.signIns[m.signInOf(v)]
		if !m.signedIn(v.User, m.signInOf(v), e.Time) || v.Touched != x.touched {
			bad("without a sign-in, or with a touch that was not there")
		}
		if st := m.standing(v.User, v.Touched, e.Time, v.Target, v.Login, e.Time); len(st.uses) == 0 || !slices.Contains(st.grants, v.Grant) {
			bad("without a grant, or its touch")
		} else if by := append([]store.Index{v.Grant}, v.Also...); !sameGrants(by, st.grants) {
			bad(fmt.Sprintf("by the grants %v, and it is allowed by %v", by, st.grants))
		}
	}
}

// sameGrants reports whether two lists are of the same grants, each once.
func sameGrants(a, b []store.Index) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b) && len(slices.Compact(a)) == len(b)
}

// reach is every grant that is about a user and some login, whenever, and of some
// guardrails every one that is not.
func (m *model) reach(user store.UserID, guardrails map[store.Index]*store.GrantAdded) map[[3]string]bool {
	all := map[[3]string]bool{}
	for target, t := range m.targets {
		for _, login := range t.Logins {
			allowed := false
			for entry, g := range m.grants {
				if !g.Forbids && m.mine(g, user) && m.about(g, target, login) {
					all[place(target, login, entry)], allowed = true, true
				}
			}
			for entry, g := range guardrails {
				if allowed && (m.grants[entry] == nil || !m.mine(g, user) || !m.about(g, target, login)) {
					all[place(target, login, entry)] = true
				}
			}
		}
	}
	return all
}

func place(target store.Index, login store.Login, entry store.Index) [3]string {
	return [3]string{fmt.Sprint(target), string(login), fmt.Sprint(entry)}
}

// watchReach returns a function that says, once an entry was taken in, that an
// administrator reaches more by what they did themselves.
func (m *model) watchReach(e *store.Entry) func() {
	switch e.Event.(type) {
	case *store.TargetLabelled, *store.GrantRemoved, *store.MemberRemoved:
	default:
		return func() {}
	}
	if e.Actor.Local || m.selfGrant || m.agreedTo(e) || m.ssoSignIn(e) != nil { // the provider says who is in which group
		return func() {}
	}
	guardrails := maps.Clone(m.grants)
	maps.DeleteFunc(guardrails, func(_ store.Index, g *store.GrantAdded) bool { return !g.Forbids })
	before := m.reach(e.Actor.User, guardrails)
	return func() {
		m.company.Helper()
		for where := range m.reach(e.Actor.User, guardrails) {
			if !before[where] {
				m.company.Fatalf("entry %d, %+v: its actor reaches %v by it", e.Index, e.Event, where)
			}
		}
	}
}
