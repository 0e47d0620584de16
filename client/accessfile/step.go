package accessfile

import (
	"slices"

	"github.com/vaultpam/vaultpam/server/api"
)

// A Step is a change as a server takes it: one group, one membership, one target's
// labels, one grant.
type Step struct {
	Change int // its place in the plan
	Do     api.AccessChange
	phase  phase
}

// A phase is a place in the order of steps.
type phase int

const (
	groupsCome     phase = iota // without members
	guardrailsCome              // what narrows begins
	guardedJoin                 // groups that guardrails are against
	grantsGo
	membersLeave
	labelsChange // what narrows for some and widens for others
	membersJoin  // what widens begins
	grantsCome
	guardedLeave
	guardrailsGo
	groupsGo
)

// Steps returns the steps of a plan in an order in which each can be taken when
// those before it were.
//
// Whoever takes all of them at once opens nothing in between. Where they are too
// many for that, and are taken in several parts, this holds after each part, also
// where the process dies there: nobody reaches what they neither could reach before
// nor will in the end. What only narrows is first: guardrails come, people join the
// groups that guardrails are against, grants go, people leave the other groups. So
// whoever reaches something then could before, and each target's labels may change:
// what it allows was allowed before or will be in the end. Then it is as in the
// end, but narrower, and what only widens is last: people join groups, grants come,
// people leave the groups that guardrails are against, guardrails go. The one
// exception is somebody who joins or leaves a group that guardrails and grants that
// stay are both about, while something else changes for them too. Another run of
// the same file takes the steps that are left.
func Steps(plan []Change) []Step {
	var all []Step
	for i, c := range plan {
		add := func(p phase, do api.AccessChange) { all = append(all, Step{Change: i, Do: do, phase: p}) }
		switch item := itemOf(c).(type) {
		case Group:
			groupSteps(c, item, add)
		case Target:
			add(labelsChange, api.AccessChange{Do: api.VerbLabel, Target: string(item.Name), Labels: item.Labels.String()})
		case Grant:
			ruleStep(c, grantsGo, grantsCome, wireGrant(item), add)
		case Guardrail:
			ruleStep(c, guardrailsGo, guardrailsCome, wireGuardrail(item), add)
		}
	}
	slices.SortStableFunc(all, func(a, b Step) int { return int(a.phase - b.phase) })
	return all
}

// itemOf is what a change is about.
func itemOf(c Change) Item {
	if c.Want != nil {
		return c.Want
	}
	return c.Have
}

func groupSteps(c Change, g Group, add func(phase, api.AccessChange)) {
	switch c.Action {
	case Remove:
		add(groupsGo, api.AccessChange{Do: api.VerbRemoveGroup, Group: string(g.Name)})
		return // and with it who belonged to it
	case Add:
		add(groupsCome, api.AccessChange{Do: api.VerbAddGroup, Group: string(g.Name)})
	}
	come, leave := c.members()
	leaves, joins := membersLeave, membersJoin
	if c.guarded {
		leaves, joins = guardedLeave, guardedJoin
	}
	for _, h := range leave {
		add(leaves, api.AccessChange{Do: api.VerbRemoveMember, Group: string(g.Name), Handle: string(h)})
	}
	for _, h := range come {
		add(joins, api.AccessChange{Do: api.VerbAddMember, Group: string(g.Name), Handle: string(h)})
	}
}

func ruleStep(c Change, goes, comes phase, grant api.Grant, add func(phase, api.AccessChange)) {
	if c.Action == Remove {
		add(goes, api.AccessChange{Do: api.VerbRemoveGrant, ID: c.Have.Stands().ID})
		return
	}
	add(comes, api.AccessChange{Do: api.VerbAddGrant, Grant: &grant})
}

// Held returns the steps that may not be taken because of others that the server
// refuses, so that what is taken opens nothing that the whole would not: where
// something that narrows is refused, what would widen waits with it, and so a
// guardrail goes only where what replaces it is there. A step that widens holds
// nothing: without it less is open.
func Held(steps []Step, refused map[int]bool) map[int]bool {
	first := groupsGo // the first phase that waits
	for i, s := range steps {
		if refused[i] && guardrailsCome <= s.phase && s.phase <= labelsChange {
			first = min(first, max(s.phase+1, labelsChange))
		}
	}
	held := map[int]bool{}
	for i, s := range steps {
		if !refused[i] && first <= s.phase && s.phase < groupsGo {
			held[i] = true
		}
	}
	return held
}

func wireGrant(g Grant) api.Grant {
	w := wireRule(g.Rule)
	w.For = g.For.String()
	c := g.Conditions
	w.Conditions = api.Conditions{
		Reason: c.Reason, Ticket: string(c.Ticket), Approvals: c.Approvals, Approvers: string(c.Approvers), Passkey: c.Passkey, Longest: c.Longest,
	}
	return w
}

func wireGuardrail(g Guardrail) api.Grant {
	w := wireRule(g.Rule)
	w.Forbids, w.For = true, g.Forbid.String()
	return w
}

// wireRule is an atom; the server has no other rules.
func wireRule(r Rule) api.Grant {
	w := api.Grant{Targets: r.Select.String(), Logins: []string{}, Hours: r.Hours.String()}
	for _, t := range r.Targets {
		w.Target = string(t)
	}
	for _, l := range r.Logins {
		w.Logins = append(w.Logins, string(l))
	}
	switch r.Subject.Kind {
	case SubjectUser, SubjectBot:
		w.User = r.Subject.Name
	case SubjectGroup:
		w.Group = r.Subject.Name
	}
	if r.From != 0 {
		w.From = r.From.Time()
	}
	if r.Until != 0 {
		w.Until = r.Until.Time()
	}
	return w
}
