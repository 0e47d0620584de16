package access_test

import (
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// grantCommand draws something about grants, guardrails and labels.
func (w *world) grantCommand() access.Command {
	switch rapid.IntRange(0, 4).Draw(w.t, "grant command") {
	case 0, 1:
		return w.addGrant()
	case 2:
		return w.addGuardrail()
	default:
		return access.LabelTarget{
			By: w.by(), Name: w.anyTarget(),
			Labels: one(w, "labels", "env=prod", "env=prod,role=db", "env=dev,role=db", "role=cache", "", "env"),
		}
	}
}

func keysOf[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

// whom draws a user or a group, and what a target or a selector; seldom both or
// neither.
func (w *world) whom() (store.Handle, store.GroupName) {
	switch rapid.IntRange(0, 9).Draw(w.t, "whom") {
	case 0, 1, 2, 3:
		return "", store.GroupName(w.anyGroup())
	case 9:
		return "", ""
	case 8:
		return store.Handle(w.anyHandle()), store.GroupName(w.anyGroup())
	}
	return store.Handle(w.anyHandle()), ""
}

func (w *world) where() (store.TargetName, string) {
	switch rapid.IntRange(0, 9).Draw(w.t, "where") {
	case 0, 1, 2, 3:
		return "", rapid.SampledFrom(keysOf(selectors())).Draw(w.t, "selector")
	case 9:
		return "", ""
	case 8:
		return w.anyTarget(), "*"
	}
	return w.anyTarget(), ""
}

func (w *world) addGrant() access.Command {
	now := w.at()
	c := access.AddGrant{
		By:     w.by(),
		Logins: rapid.SliceOfN(rapid.SampledFrom([]string{"root", "root", "deploy", "root"}), 1, 2).Draw(w.t, "logins"),
		From:   one(w, "from", 0, 0, 0, now, now-1000, now+1000, now+3_600_000),
		Until:  one(w, "until", 0, 0, 0, now, now+1, now+30_000, now+7_200_000),
		For:    one(w, "for", "", "", "shell", "exec; sftp=read-only", "exec=uptime; exec=df -h", "sftp=read-write", "shell; local-forward=10.0.0.5:5432", "direct; local-forward=*:*", "sftp", "god", everything, "direct"),
		Hours:  rapid.SampledFrom(append(keysOf(windows()), "", "", "")).Draw(w.t, "hours"),
		Conditions: store.Conditions{
			Reason:  w.seldom("reason"),
			Passkey: one[uint64](w, "touch", 0, 0, 0, 0, 1, 15, store.MaxPasskeyMinutes, store.MaxPasskeyMinutes+1),
			Longest: one[uint64](w, "longest", 0, 0, 0, 1, 60, store.MaxLongestMinutes+1),
		},
	}
	c.User, c.Group = w.whom()
	c.Target, c.Targets = w.where()
	if w.seldom("approvals") {
		c.Conditions.Approvals, c.Approvers = one[uint64](w, "approvals", 1, 2, 9), store.GroupName(w.anyGroup())
	}
	return c
}

func (w *world) addGuardrail() access.Command {
	now := w.at()
	c := access.AddGuardrail{
		By:     w.by(),
		Logins: one(w, "logins", nil, []string{"root"}, []string{"deploy", "www"}, []string{"*"}),
		Until:  one(w, "until", 0, now+30_000, now+3_600_000, now),
		For:    one(w, "forbid", "", "sftp", "sftp=read-write", "shell; exec", "local-forward", "direct", "local-forward=*:*"),
		Hours:  rapid.SampledFrom(append(keysOf(windows()), "", "")).Draw(w.t, "hours"),
	}
	c.User, c.Group = w.whom()
	c.Target, c.Targets = w.where()
	return c
}

// lookAtReach compares what everybody may do, on every target, with what the model
// reads from the events, and what every session may.
func (w *world) lookAtReach(now store.Millis) {
	w.Helper()
	for _, id := range w.users {
		reaches := map[store.Index][]store.Login{}
		for _, r := range w.state.Reaches(id, now) {
			reaches[r.Target.Entry] = r.Logins
		}
		for target, t := range w.model.targets {
			known, _ := w.state.Target(target)
			for _, login := range t.Logins {
				want := w.model.standing(id, now, now, target, login, now)
				got := w.state.Standing(id, access.Touch{Last: now, Judged: now}, known, login, now)
				if words := sortedWords(got.Purposes.String()); words != want.uses.words() {
					w.Fatalf("%s as %s on %s: %q, the model says %q", id, login, known.Name, words, want.uses.words())
				}
				if may := len(want.uses) > 0 && !w.model.locked(id, target, store.SessionID{}); slices.Contains(reaches[target], login) != may {
					w.Fatalf("%s reaches %s as %v", id, known.Name, reaches[target])
				}
				u, _ := w.state.User(id)
				if may := len(want.uses) > 0 && !w.model.locked(id, target, store.SessionID{}); !u.Bot && w.state.Could(u, known, login, now).May() != may {
					w.Fatalf("%s could log in as %s on %s: %v, the model says %v", id, login, known.Name, !may, may)
				}
				w.lookAhead(got, id, known, login, now)
			}
		}
	}
	for id, s := range w.model.sessions {
		if s.Errand != "" {
			continue
		}
		purposes, changes := w.state.SessionStanding(id, now)
		if got, want := sortedWords(purposes.String()), w.model.inSession(id, now).uses.words(); got != want {
			w.Fatalf("session %s: %q, the model says %q", id, got, want)
		}
		if changes != 0 && changes <= now {
			w.Fatalf("session %s changes at %d, and it is %d", id, changes, now)
		}
		if at := one(w, "later", now+1, now+30_000, now+3_600_000); changes == 0 || at < changes {
			if got, want := w.model.inSession(id, at).uses.words(), w.model.inSession(id, now).uses.words(); got != want {
				w.Fatalf("session %s: %q at %d, and %q at %d, before it changes at %d", id, want, now, got, at, changes)
			}
		}
	}
}

// lookAtRights compares what is said about each target with what the model has.
func (w *world) lookAtRights(now store.Millis) {
	w.Helper()
	for target, t := range w.model.targets {
		want := map[access.Right]bool{}
		for entry, g := range w.model.grants {
			if g.Base != 0 || g.From > now || g.Until != 0 && g.Until <= now {
				continue
			}
			role, c := "grant", g.Conditions
			if g.Forbids {
				role = "guardrail"
			} else if c.Reason || c.Ticket != "" || c.Approvals != 0 {
				role = "request"
			}
			for id := range w.model.users {
				for _, login := range t.Logins {
					if w.model.mine(g, id) && w.model.about(g, target, login) {
						want[access.Right{User: id, Login: login, Entry: entry, Role: role}] = true
					}
				}
			}
		}
		known, _ := w.state.Target(target)
		for r := range w.state.Rights(known, now) {
			if g := w.model.grants[r.Entry]; g == nil || g.Base != 0 {
				continue // a lock, or the answer to a request
			}
			if !want[r] {
				w.Fatalf("%+v on %s, which the model has not", r, known.Name)
			}
			delete(want, r)
		}
		for r := range want {
			w.Fatalf("%+v on %s is missing", r, known.Name)
		}
	}
}

// lookAhead: a standing stays as it is until it says that it may change.
func (w *world) lookAhead(st access.Standing, user store.UserID, t access.Target, login store.Login, now store.Millis) {
	w.Helper()
	if st.Changes != 0 && st.Changes <= now {
		w.Fatalf("changes at %d, and it is %d", st.Changes, now)
	}
	if at := now + 3_599_999; st.Changes == 0 || at < st.Changes {
		want := w.model.standing(user, now, now, t.Entry, login, now).uses.words()
		if got := w.model.standing(user, now, now, t.Entry, login, at).uses.words(); got != want {
			w.Fatalf("%s as %s on %s: %q, and %q at %d, before it changes at %d", user, login, t.Name, want, got, at, st.Changes)
		}
	}
}

// targetNamed returns the target of a name, or 0.
func (m *model) targetNamed(name store.TargetName) store.Index {
	for target, t := range m.targets {
		if t.Name == name {
			return target
		}
	}
	return 0
}

// granted reports whether a grant or guardrail names a group.
func (m *model) granted(name store.GroupName) bool {
	for _, g := range m.grants {
		for _, entry := range []store.Index{g.Group, g.Conditions.Approvers} {
			if group := m.groups[entry]; group != nil && group.name == name {
				return true
			}
		}
	}
	return false
}
