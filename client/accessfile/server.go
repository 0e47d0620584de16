package accessfile

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// FromServer returns what a server has, held to the grammar of files: the text of
// a server that is none is an error. Grants that answer requests are left out.
// They are the requests' business, and a file neither makes nor removes them.
func FromServer(groups []api.Group, targets []api.TargetDetail, grants []api.Grant, bots []api.Bot) (File, error) {
	f := File{Manages: Sections()}
	var errs []error
	for _, b := range bots {
		f.Bots = append(f.Bots, store.Handle(b.Handle))
	}
	slices.Sort(f.Bots)
	for _, g := range groups {
		group, err := groupOf(g)
		f.Groups, errs = append(f.Groups, group), append(errs, about(err, "group %.80q", g.Name))
	}
	for _, t := range targets {
		target, err := targetOf(t)
		f.Targets, errs = append(f.Targets, target), append(errs, about(err, "target %.80q", t.Name))
	}
	requested := map[uint64][]uint64{}
	for _, g := range grants {
		if g.Request != 0 {
			requested[g.Base] = append(requested[g.Base], g.ID)
		}
	}
	for _, g := range grants {
		if g.Request != 0 {
			continue
		}
		rule, err := ruleOf(g, f.Bots)
		rule.Requested = requested[g.ID]
		if g.Forbids {
			forbid, ferr := purposesOf(g.For, nil)
			f.Guardrails, err = append(f.Guardrails, Guardrail{Rule: rule, Forbid: forbid}), errors.Join(err, ferr)
		} else {
			allow, ferr := purposesOf(g.For, store.DefaultPurposes())
			f.Grants, err = append(f.Grants, Grant{Rule: rule, For: allow, Conditions: conditionsOf(g.Conditions)}), errors.Join(err, ferr)
		}
		errs = append(errs, about(err, "grant %d", g.ID))
	}
	for _, p := range f.problems() {
		if p.section == SectionGroups || p.section == SectionTargets {
			errs = append(errs, p.err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return File{}, fmt.Errorf("what the server says is no access file: %w", err)
	}
	f.normal()
	return f, nil
}

// about says what an error is about, if it is one.
func about(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

func groupOf(g api.Group) (Group, error) {
	name, err := store.ParseGroupName(g.Name)
	group := Group{Name: name}
	for _, m := range g.Members {
		handle, herr := store.ParseHandle(m)
		group.Members, err = append(group.Members, handle), errors.Join(err, herr)
	}
	return group, err
}

func targetOf(t api.TargetDetail) (Target, error) {
	name, err := store.ParseTargetName(t.Name)
	if err != nil || t.Labels == "" {
		return Target{Name: name}, err
	}
	labels, err := store.ParseTargetLabels(t.Labels)
	return Target{Name: name, Labels: labels}, err
}

func ruleOf(g api.Grant, bots []store.Handle) (Rule, error) {
	r := Rule{Place: Place{ID: g.ID}, From: momentOf(g.From), Until: momentOf(g.Until)}
	subject := string(SubjectEveryone)
	switch {
	case g.User != "" && g.Group != "" || g.User == "" && g.Group == "" && !g.Forbids:
		return Rule{}, errors.New("want a user or a group")
	case slices.Contains(bots, store.Handle(g.User)):
		subject = string(SubjectBot) + ":" + g.User
	case g.User != "":
		subject = string(SubjectUser) + ":" + g.User
	case g.Group != "":
		subject = string(SubjectGroup) + ":" + g.Group
	}
	var err error
	if r.Subject, err = ParseSubject(subject); err != nil {
		return Rule{}, err
	}
	if (g.Target == "") == (g.Targets == "") {
		return Rule{}, errors.New("want a target or a selector")
	}
	if g.Target != "" {
		name, err := store.ParseTargetName(g.Target)
		if err != nil {
			return Rule{}, err
		}
		r.Targets = []store.TargetName{name}
	} else if r.Select, err = store.ParseSelector(g.Targets); err != nil {
		return Rule{}, err
	}
	for _, l := range g.Logins {
		login, err := store.ParseLogin(l)
		if err != nil {
			return Rule{}, err
		}
		r.Logins = append(r.Logins, login)
	}
	if g.Hours != "" {
		r.Hours, err = store.ParseHours(g.Hours)
	}
	return r, err
}

// momentOf has no moment for a time that is none.
func momentOf(t time.Time) store.Millis {
	if t.IsZero() {
		return 0
	}
	return store.At(t)
}

// purposesOf reads purposes; nothing is what it stands for.
func purposesOf(text string, nothing store.Purposes) (store.Purposes, error) {
	if text == "" {
		return nothing, nil
	}
	return store.ParsePurposes(text)
}

func conditionsOf(c api.Conditions) Conditions {
	return Conditions{
		Reason: c.Reason, Ticket: store.TicketPattern(c.Ticket), Approvals: c.Approvals, Approvers: store.GroupName(c.Approvers),
		Passkey: c.Passkey, Longest: c.Longest,
	}
}

// Export writes what FromServer returned as a file that manages some sections. To
// apply it changes nothing.
func Export(have File, only []Section) ([]byte, error) {
	f := have.merged()
	f.Manages = only
	for _, s := range Sections() {
		if slices.Contains(only, s) {
			continue
		}
		switch s {
		case SectionGroups:
			f.Groups = nil
		case SectionTargets:
			f.Targets = nil
		case SectionGrants:
			f.Grants = nil
		case SectionGuardrails:
			f.Guardrails = nil
		}
	}
	return Write(f)
}
