package access

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// StartSession begins a session of the user whose certificate's entry is named.
// The caller has checked the certificate itself, and that its entry and it are
// the same.
type StartSession struct {
	Certificate store.Index
	SignIn      store.Index // from the certificate's entry
	User        store.UserID
	Target      store.TargetName
	Login       store.Login
	Way         store.Way
	Session     store.SessionID // random
	Source      string          // address that the user came from
	Salt        [32]byte
}

func (c StartSession) decide(s State, now store.Millis) (Decision, error) {
	if s.taken(c.Session) {
		return Decision{}, &Refusal{Kind: Conflict, Message: "the session's ID is taken", Hint: "try again"}
	}
	st, t, err := s.mayStart(c.User, c.SignIn, c.Target, c.Login, now)
	if l, ok := s.lockOf(store.UserID{}, 0, c.Certificate, store.SessionID{}); ok {
		err = s.lockedSession(l)
	}
	var refused *Refusal
	if errors.As(err, &refused) {
		return s.noteRefusal(c, refused, now), refused
	} else if err != nil {
		return Decision{}, err
	}
	source := store.Opening{Owner: c.User, Field: store.FieldSource, Salt: c.Salt, Text: c.Source}
	g := st.longest()
	x, _ := s.signIns.get(c.SignIn)
	return Decision{
		Actor: store.Actor{User: c.User},
		Events: []store.Event{&store.SessionStarted{
			Session: c.Session, User: c.User, Target: t.Entry, Login: c.Login, Certificate: c.Certificate,
			Grant: g.Entry, Way: c.Way, Source: source.Commit(), Ends: ends(st.Grants, now), Touched: x.Touched, Also: st.others(g),
		}},
		Openings: []store.Opening{source},
	}, nil
}

// noteRefusal makes a refusal an entry, unless the same one was a minute ago or
// less. What a known user typed that is no target's name is not kept.
func (s State) noteRefusal(c StartSession, r *Refusal, now store.Millis) Decision {
	if _, ok := s.users.get(c.User); !ok {
		return Decision{}
	}
	t, _ := s.TargetByName(c.Target)
	e := &store.SessionRefused{User: c.User, Target: t.Entry, Reason: r.Reason}
	if slices.Contains(t.Logins, c.Login) {
		e.Login = c.Login
	}
	last, ok := s.refusals.get(refusal{e.User, e.Target, e.Login, e.Reason})
	if ok && now-last < refusalWindow {
		return Decision{}
	}
	return Decision{Actor: store.Actor{User: c.User}, Events: []store.Event{e}}
}

// mayStart returns what a session may do that would start now, or the refusal.
func (s State) mayStart(user store.UserID, signIn store.Index, name store.TargetName, login store.Login, now store.Millis) (Standing, Target, error) {
	u, ok := s.users.get(user)
	if !ok {
		return Standing{}, Target{}, refuse(store.RefusedNotActive, "ask an administrator", "this user has been removed")
	}
	if l, ok := s.LockOfUser(user); ok {
		return Standing{}, Target{}, s.lockedSession(l)
	}
	x, ok := s.signIns.get(signIn)
	if !ok || x.User != user || x.over(now) {
		hint := "vaultpam login"
		if u.Bot {
			hint = "vaultpam cert --bot"
		}
		return Standing{}, Target{}, refuse(store.RefusedNoSignIn, hint, "the sign-in that %s's certificate came from has ended", u.Handle)
	}
	t, ok := s.TargetByName(name)
	if !ok {
		return Standing{}, Target{}, NoSuchTarget(u, name)
	}
	st := s.Standing(user, Touch{x.Touched, now}, t, login, now)
	if l, ok := s.LockOfTarget(t.Entry); ok && (len(st.Purposes) > 0 || st.touch.Entry != 0) {
		return Standing{}, t, s.lockedSession(l) // nobody else is told that there is such a target
	}
	if len(st.Purposes) == 0 {
		return Standing{}, t, s.refusal(st, u, t, login, now)
	}
	return st, t, nil
}

// NoSuchTarget is the refusal for a target that is not registered. It reads as the
// one for a target that somebody has no grant for.
func NoSuchTarget(u User, name store.TargetName) *Refusal {
	return refuse(store.RefusedNoTarget, "vaultpam targets", "there is no target %s that %s may reach", name, u.Handle)
}

// WantsTouch reports whether a session of a sign-in would start but for a touch of a
// passkey. An empty login asks for any that the target has.
func (s State) WantsTouch(x SignIn, name store.TargetName, login store.Login, now store.Millis) bool {
	t, _ := s.TargetByName(name)
	logins := []store.Login{login}
	if login == "" {
		logins = t.Logins
	}
	return slices.ContainsFunc(logins, func(l store.Login) bool {
		_, _, err := s.mayStart(x.User, x.Entry, name, l, now)
		var r *Refusal
		return errors.As(err, &r) && r.Reason == store.RefusedTouch
	})
}

func minutes(n uint64) string {
	if n == 1 {
		return "a minute"
	}
	return fmt.Sprintf("%d minutes", n)
}

func refuse(reason store.Refusal, hint, format string, args ...any) *Refusal {
	return &Refusal{Kind: Forbidden, Reason: reason, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// RefuseSession notes that a certificate was shown that the ledger does not
// hold, under the name of the user it speaks of.
type RefuseSession struct {
	User   store.UserID
	Reason store.Refusal
}

func (c RefuseSession) decide(s State, now store.Millis) (Decision, error) {
	r := refuse(c.Reason, "vaultpam login", "this certificate is not one that the ledger holds")
	d := s.noteRefusal(StartSession{User: c.User}, r, now)
	d.Actor = store.Actor{} // whoever showed it is not the user it names
	return d, r
}

// SessionEnds reports whether a session has to end now, and why: because a lock
// fell, its grant ended or was removed, or its user or target was.
func (s State) SessionEnds(id store.SessionID, now store.Millis) (store.EndReason, bool) {
	x, ok := s.sessions.get(id)
	if !ok {
		return store.EndedInterrupted, true
	}
	if _, locked := s.lockOn(x); locked {
		return store.EndedByLock, true
	}
	if x.Errand != "" {
		_, there := s.targets.get(x.Target)
		return store.EndedByGrant, !there
	}
	st, reason := s.standingOf(x, now)
	return reason, len(st.Purposes) == 0
}

// EndSession closes a session with what was recorded of it.
type EndSession struct {
	Session  store.SessionID
	Reason   store.EndReason
	Duration int64 // milliseconds
	In, Out  uint64
	// Files begins with the one whose hash stands for all the others.
	Files []store.RecordingFile
}

// MaxFiles is how many files of a recording one entry names. Who opens more
// channels in a session must not be able to keep its end out of the ledger; the
// first file names them all.
const MaxFiles = 256

func (c EndSession) decide(s State, _ store.Millis) (Decision, error) {
	x, ok := s.sessions.get(c.Session)
	if !ok {
		return Decision{}, &Refusal{Kind: NotFound, Message: fmt.Sprintf("session %s is not open", c.Session)}
	}
	return Decision{Events: []store.Event{&store.SessionEnded{
		Session: x.ID, User: x.User, Target: x.Target, Started: x.Entry, Reason: c.Reason,
		Duration: c.Duration, In: c.In, Out: c.Out, Files: c.Files[:min(len(c.Files), MaxFiles)],
	}}}, nil
}

// A Reach is a target that a user may reach now.
type Reach struct {
	Target Target
	Logins []store.Login
	Until  store.Millis // when the first of its grants ends; 0: none does
}

// Reaches returns the targets that a user may reach at a moment, by name. A touch
// that is missing is no hindrance: it comes with the connection.
func (s State) Reaches(user store.UserID, now store.Millis) []Reach {
	if _, locked := s.LockOfUser(user); locked {
		return nil
	}
	named, chosen := s.aimsOf(user)
	var reaches []Reach
	for t := range s.Targets() {
		if !named[t.Entry] && !slices.ContainsFunc(chosen, func(g store.Selector) bool { return g.Allows(t.Labels) }) {
			continue
		}
		if _, locked := s.LockOfTarget(t.Entry); locked {
			continue
		}
		r := Reach{Target: t}
		for _, l := range t.Logins {
			st := s.Standing(user, Touch{now, now}, t, l, now)
			if len(st.Purposes) == 0 {
				continue
			}
			r.Logins = append(r.Logins, l)
			for _, g := range st.Grants {
				if g.Until != 0 && (r.Until == 0 || g.Until < r.Until) {
					r.Until = g.Until
				}
			}
		}
		if len(r.Logins) > 0 {
			reaches = append(reaches, r)
		}
	}
	return reaches
}

// aimsOf returns the targets that a user's grants name, and the selectors by which
// others choose.
func (s State) aimsOf(user store.UserID) (named map[store.Index]bool, chosen []store.Selector) {
	named = map[store.Index]bool{}
	for g := range s.GrantsOf(user) {
		switch {
		case g.Forbids:
		case g.Target != 0:
			named[g.Target] = true
		default:
			chosen = append(chosen, g.Targets)
		}
	}
	return named, chosen
}
