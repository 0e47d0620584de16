package access

import (
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// allowing goes through the grants that let somebody in, now or later.
func (f *finder) allowing(look func(Grant)) {
	for g := range f.Grants() {
		if !g.Forbids && !g.requested() && (g.Until == 0 || f.now < g.Until) {
			look(g)
		}
	}
}

// sayGrant adds a finding that taking a grant away mends.
func (f *finder) sayGrant(g Grant, sentence string, more ...store.Index) {
	f.say(fmt.Sprintf("vaultpam admin grant rm %d", g.Entry), sentence, append(more, g.Entry)...)
}

// whom and where are how a finding names what a grant is about.
func (f *finder) whom(g Grant) string {
	if g.Group != 0 {
		group, _ := f.groups.get(g.Group)
		return fmt.Sprintf("group %s", group.Name)
	}
	u, _ := f.users.get(g.User)
	return called(u)
}

func (f *finder) where(g Grant) string {
	if g.Target == 0 {
		return fmt.Sprintf("targets %s", g.Targets)
	}
	t, _ := f.targets.get(g.Target)
	return string(t.Name)
}

func (f *finder) selfGranted() {
	f.allowing(func(g Grant) {
		_, member := f.Member(g.Group, g.By)
		if g.By.IsZero() || g.Request != 0 || g.By != g.User && !member {
			return
		}
		u, _ := f.users.get(g.By)
		f.sayGrant(g, fmt.Sprintf("%s gave access to themselves: grant %d, to %s as %s", called(u), g.Entry, f.where(g), join(g.Logins)))
	})
}

func (f *finder) rootWithoutConditions() {
	f.allowing(func(g Grant) {
		if slices.Contains(g.Logins, "root") && g.Request == 0 && g.Until == 0 && g.Hours.IsZero() && g.Conditions.Passkey == 0 {
			f.sayGrant(g, fmt.Sprintf("%s may log in as root on %s at any time, without end and without a touch: grant %d", f.whom(g), f.where(g), g.Entry))
		}
	})
}

func (f *finder) everyTarget() {
	f.allowing(func(g Grant) {
		if g.Targets.All() {
			f.sayGrant(g, fmt.Sprintf("%s may log in as %s on every target, also on those that are not registered yet: grant %d", f.whom(g), join(g.Logins), g.Entry))
		}
	})
}

func (f *finder) pastTheRelay() {
	if f.directForbidden() {
		return
	}
	f.allowing(func(g Grant) {
		if isDirect := func(u store.Use) bool { return u.Purpose == store.PurposeDirect }; slices.ContainsFunc(g.For, isDirect) {
			f.sayGrant(g, fmt.Sprintf("%s may go to %s past the relay, where nothing is recorded and no lock ends a session: grant %d", f.whom(g), f.where(g), g.Entry))
		}
	})
}

// directForbidden reports whether a guardrail keeps everybody from going past the
// relay, everywhere and at any time.
func (f *finder) directForbidden() bool {
	for g := range f.GrantsOf(store.UserID{}) {
		direct := len(g.For) == 0 || slices.ContainsFunc(g.For, func(u store.Use) bool { return u.Purpose == store.PurposeDirect })
		if g.Forbids && g.User.IsZero() && g.Group == 0 && direct && g.Targets.All() && len(g.Logins) == 0 && g.Hours.IsZero() && g.live(f.now) {
			return true
		}
	}
	return false
}

// unusedGrants leaves out what answers a request, which ends by itself, and whom
// nobody has seen for as long, which is a finding of its own.
func (f *finder) unusedGrants() {
	for g := range f.Grants() {
		last := max(g.Added, g.From, g.Last.Time)
		if g.Forbids || g.Request != 0 || g.Until != 0 && g.Until <= f.now || !f.since(last, findUnused) {
			continue
		}
		if u, ok := f.users.get(g.User); ok && f.idle(u) {
			continue
		}
		f.sayGrant(g, fmt.Sprintf("nobody logged in by grant %d, of %s to %s as %s, for %s", g.Entry, f.whom(g), f.where(g), join(g.Logins), f.days(last)))
	}
}

func (f *finder) approvedByCode() {
	f.allowing(func(g Grant) {
		if len(g.ByCode) > 0 {
			f.sayGrant(g, fmt.Sprintf("%s has access to %s as %s by an approval with a code, which nobody can verify: grant %d", f.whom(g), f.where(g), join(g.Logins), g.Entry),
				slices.Clone(g.ByCode)...)
		}
	})
}

// byCode returns the approvals of a request that were given by a code.
func (r Request) byCode() []store.Index {
	var all []store.Index
	for _, a := range r.Approvals {
		if a.Kind == store.FactorTOTP {
			all = append(all, a.Entry)
		}
	}
	return all
}

func (f *finder) idleGuardrails() {
	hits := f.hits()
	for g := range f.Grants() {
		if !g.Forbids {
			continue
		}
		switch {
		case g.Until != 0 && g.Until <= f.now:
			f.sayGrant(g, fmt.Sprintf("guardrail %d forbids nothing any more: it ended at %s", g.Entry, second(g.Until)))
		case g.Group != 0 && !f.peopled(g.Group):
			f.sayGrant(g, fmt.Sprintf("guardrail %d forbids nothing: nobody belongs to %s", g.Entry, f.whom(g)))
		case !hits(g):
			what := "no target fits " + g.Targets.String()
			if len(g.Logins) > 0 {
				what = fmt.Sprintf("there is no login %s on %s", join(g.Logins), f.where(g))
			}
			f.sayGrant(g, fmt.Sprintf("guardrail %d forbids nothing: %s", g.Entry, what))
		}
	}
}

func (f *finder) peopled(group store.Index) bool {
	for range f.Members(group) {
		return true
	}
	return false
}

// hits returns what says whether a guardrail is about some login of some target.
// Guardrails that choose the same are looked at once: there may be many of them and
// many targets.
func (f *finder) hits() func(Grant) bool {
	type choice struct {
		targets string
		logins  string
	}
	known := map[choice]bool{}
	hit := func(g Grant, t Target) bool {
		return slices.ContainsFunc(t.Logins, func(l store.Login) bool { return g.covers(t, l) })
	}
	return func(g Grant) bool {
		if g.Target != 0 {
			t, ok := f.targets.get(g.Target)
			return ok && hit(g, t)
		}
		c := choice{g.Targets.String(), join(g.Logins)}
		if _, ok := known[c]; !ok {
			known[c] = false
			for t := range f.Targets() {
				if hit(g, t) {
					known[c] = true
					break
				}
			}
		}
		return known[c]
	}
}
