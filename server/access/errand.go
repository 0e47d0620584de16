package access

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// StartErrand begins a session of the server's own on a target: to look which
// other ways into it there are, or to take back what shut them. It takes an
// administrator; looking, the timetable may want too. There is one at a time on
// a target.
type StartErrand struct {
	By      Caller
	Errand  store.Errand
	Target  store.TargetName
	Login   string          // "" chooses: root, where the target has it
	Session store.SessionID // random
}

func (c StartErrand) decide(s State, now store.Millis) (Decision, error) {
	actor, err := c.actor(s, now)
	if err != nil {
		return Decision{}, err
	}
	t, ok := s.TargetByName(c.Target)
	if !ok {
		return Decision{}, noTarget(c.Target)
	}
	login, err := t.errandLogin(c.Login)
	if err != nil {
		return Decision{}, err
	}
	if l, ok := s.LockOfTarget(t.Entry); ok {
		return Decision{}, s.lockedOut(l)
	}
	if s.taken(c.Session) {
		return Decision{}, &Refusal{Kind: Conflict, Message: "the session's ID is taken", Hint: "try again"}
	}
	if _, running := s.sessions.get(t.Errand); running {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("target %s is being looked at already", t.Name), Hint: "try again in a minute"}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.SessionStarted{
		Session: c.Session, Target: t.Entry, Login: login, Way: store.WayErrand, Errand: c.Errand,
	}}}, nil
}

func (c StartErrand) actor(s State, now store.Millis) (store.Actor, error) {
	if c.By.Timetable && c.Errand == store.ErrandCheck {
		return store.Actor{}, nil
	}
	return s.administrator(c.By, now)
}

// errandLogin is the login that the server uses: the one that is asked for, else
// root, else the first.
func (t Target) errandLogin(wanted string) (store.Login, error) {
	if wanted == "" {
		if slices.Contains(t.Logins, "root") {
			return "root", nil
		}
		return t.Logins[0], nil
	}
	if l := store.Login(wanted); slices.Contains(t.Logins, l) {
		return l, nil
	}
	return "", &Refusal{Kind: Invalid, Message: fmt.Sprintf("target %s has no login %.64q", t.Name, wanted), Hint: fmt.Sprintf("its logins are %s", join(t.Logins))}
}

// RecordCheck makes what a look at a target found an entry. Session is the
// errand that looked, which is over. Before is the text that BeforeOf, the
// commitment of the last report, opens, or empty where it has been lost: every
// door is new then.
type RecordCheck struct {
	Target   store.Index
	Session  store.SessionID
	Report   store.DoorReport
	Closed   bool
	Before   string
	BeforeOf store.Commitment
	Salt     [32]byte // random
}

func (c RecordCheck) decide(s State, _ store.Millis) (Decision, error) {
	t, ok := s.targets.get(c.Target)
	if !ok {
		return Decision{}, &Refusal{Kind: NotFound, Message: "the target has been removed", Hint: "vaultpam admin target ls"}
	}
	if _, running := s.sessions.get(c.Session); running || t.Errand != c.Session || t.Check.Session == c.Session || t.Check.Report != c.BeforeOf {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("target %s has been looked at again meanwhile", t.Name), Hint: "try again"}
	}
	text, err := c.Report.Text()
	if err != nil {
		return Decision{}, invalid(err)
	}
	after, err := store.ParseDoorReport(text)
	if err != nil {
		return Decision{}, invalid(err)
	}
	before, err := store.ParseDoorReport(c.Before)
	if err != nil {
		before = store.DoorReport{}
	}
	report := store.Opening{Field: store.FieldDoors, Salt: c.Salt, Text: text}
	e := &store.TargetChecked{
		Target: t.Entry, Session: c.Session, Closed: c.Closed, Report: report.Commit(),
		Doors: uint64(len(after.Doors)), Unread: uint64(len(after.Unread)),
	}
	if t.Check.Entry != 0 { // the first look is no change
		e.New, e.Gone = missing(after.Doors, before.Doors), missing(before.Doors, after.Doors)
	}
	return Decision{Events: []store.Event{e}, Openings: []store.Opening{report}}, nil
}

// missing counts what is in one list and not in the other.
func missing(in, from []store.Door) uint64 {
	known := make(map[store.Door]bool, len(from))
	for _, d := range from {
		known[d] = true
	}
	n := uint64(0)
	for _, d := range in {
		if !known[d] {
			n++
		}
	}
	return n
}

// RecordClosed says that a target's other ways in have been shut by a login with
// an emergency certificate of this serial. The last check, of Session, must have
// come in afterwards and have seen it so.
type RecordClosed struct {
	By        Caller
	Target    store.TargetName
	Session   store.SessionID
	Emergency store.Serial
}

func (c RecordClosed) decide(s State, now store.Millis) (Decision, error) {
	actor, t, err := s.looked(c.By, now, c.Target, c.Session)
	if err != nil {
		return Decision{}, err
	}
	if !t.Check.Closed {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("the other ways into %s are not shut", t.Name)}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.TargetClosed{Target: t.Entry, Session: c.Session, Emergency: c.Emergency}}}, nil
}

// RecordReopened says that what shut a target's other ways in was taken back, as
// the last check, of Session, has seen.
type RecordReopened struct {
	By      Caller
	Target  store.TargetName
	Session store.SessionID
}

func (c RecordReopened) decide(s State, now store.Millis) (Decision, error) {
	actor, t, err := s.looked(c.By, now, c.Target, c.Session)
	if err != nil {
		return Decision{}, err
	}
	if t.Check.Closed {
		return Decision{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("the other ways into %s are still shut", t.Name)}
	}
	return Decision{Actor: actor, Events: []store.Event{&store.TargetReopened{Target: t.Entry, Session: c.Session}}}, nil
}

// looked returns the administrator and the target whose last check is that of a
// session.
func (s State) looked(by Caller, now store.Millis, name store.TargetName, session store.SessionID) (store.Actor, Target, error) {
	actor, err := s.administrator(by, now)
	if err != nil {
		return store.Actor{}, Target{}, err
	}
	t, ok := s.TargetByName(name)
	if !ok {
		return store.Actor{}, Target{}, noTarget(name)
	}
	if t.Check.Session != session || session.IsZero() {
		return store.Actor{}, Target{}, &Refusal{Kind: Conflict, Message: fmt.Sprintf("target %s has been looked at again meanwhile", t.Name), Hint: "try again"}
	}
	return actor, t, nil
}

func (a *applier) errandStarted(e *store.SessionStarted) error {
	if e.Errand == "" {
		return nil
	}
	t, ok := a.targets.get(e.Target)
	if !ok {
		return errors.New("no such target")
	}
	t.Errand = e.Session
	a.targets = a.targets.set(t.Entry, t)
	return nil
}

// errandEnded marks a look as missed until its report is there, so that one that
// never comes shows.
func (a *applier) errandEnded(x Session) {
	t, ok := a.targets.get(x.Target)
	if !ok || x.Errand == "" || x.Errand == store.ErrandReopen {
		return
	}
	t.Check.Missed = a.entry.Time
	a.targets = a.targets.set(t.Entry, t)
}

func (a *applier) targetChecked(e *store.TargetChecked) error {
	t, ok := a.targets.get(e.Target)
	if !ok {
		return errors.New("no such target")
	}
	if t.Errand != e.Session {
		return errors.New("the session is not the target's last errand")
	}
	t.Check = Check{
		Entry: a.entry.Index, Time: a.entry.Time, Session: e.Session, Doors: e.Doors,
		New: e.New, Gone: e.Gone, Unread: e.Unread, Closed: e.Closed, Report: e.Report,
	}
	a.targets = a.targets.set(t.Entry, t)
	a.release(t.Entry, a.entry.Index)
	return nil
}

func (a *applier) mustHaveLooked(target store.Index, session store.SessionID) error {
	t, ok := a.targets.get(target)
	if !ok {
		return errors.New("no such target")
	}
	if t.Check.Session != session {
		return errors.New("the session is not that of the target's last check")
	}
	return nil
}
