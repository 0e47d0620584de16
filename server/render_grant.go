package server

import (
	"fmt"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

func (v *view) grant() {
	switch e := v.e.Event.(type) {
	case *store.GrantAdded:
		v.grantFields(e)
		what := v.grantTargets(e)
		if e.Forbids {
			v.say("%s may not %s %s%s", v.grantSubject(e), guardrailText(e), what, v.grantTerms(e))
			return
		}
		v.say("%s may log in to %s as %s%s%s", v.grantSubject(e), what, strings.Join(texts(e.Logins), ", "), forText(e.For), v.grantTerms(e))
	case *store.GrantRemoved:
		v.fields["grant"] = uint64(e.Grant)
		v.say("grant %d%s was removed", e.Grant, v.grantOf(e.User, e.Target))
		if e.Review == 0 {
			return
		}
		v.fields["review"] = uint64(e.Review)
		v.say("grant %d%s was revoked in review %d", e.Grant, v.grantOf(e.User, e.Target), e.Review)
		if v.e.Actor == (store.Actor{}) {
			v.say("grant %d%s was revoked by review %d, in which nobody answered for it", e.Grant, v.grantOf(e.User, e.Target), e.Review)
		}
	}
}

// grantFields are the grant's terms by name; what does not stand in it is left out.
func (v *view) grantFields(e *store.GrantAdded) {
	v.fields["logins"], v.fields["from"], v.fields["until"] = texts(e.Logins), stamp(e.From), stamp(e.Until)
	c := e.Conditions
	for name, text := range map[string]string{
		"targets": e.Targets.String(), "for": e.For.String(), "hours": e.Hours.String(), "ticket": string(c.Ticket),
	} {
		if text != "" {
			v.fields[name] = text
		}
	}
	for name, n := range map[string]uint64{
		"request": uint64(e.Request), "base": uint64(e.Base), "approvals": c.Approvals, "passkey_minutes": c.Passkey, "longest_minutes": c.Longest,
	} {
		if n != 0 {
			v.fields[name] = n
		}
	}
	if e.Group != 0 {
		v.fields["group"] = v.r.group(v.ctx, e.Group, v.e.Index)
	}
	if c.Approvers != 0 {
		v.fields["approvers"] = v.r.group(v.ctx, c.Approvers, v.e.Index)
	}
	if e.Forbids {
		v.fields["forbids"] = true
	}
	if c.Reason {
		v.fields["reason"] = true
	}
}

func (v *view) grantSubject(e *store.GrantAdded) string {
	switch {
	case !e.User.IsZero():
		return v.r.handle(v.ctx, e.User)
	case e.Group != 0:
		return "group " + v.r.group(v.ctx, e.Group, v.e.Index)
	}
	return "everybody"
}

func (v *view) grantTargets(e *store.GrantAdded) string {
	switch {
	case e.Target != 0:
		return v.target(e.Target)
	case e.Targets.All():
		return "every target"
	}
	return fmt.Sprintf("targets with %s", e.Targets)
}

func guardrailText(e *store.GrantAdded) string {
	as := ""
	if len(e.Logins) > 0 {
		as = " as " + strings.Join(texts(e.Logins), ", ")
	}
	if len(e.For) == 0 {
		return "log in" + as + " to"
	}
	return fmt.Sprintf("use %s%s on", e.For, as)
}

func forText(p store.Purposes) string {
	if len(p) == 0 {
		return ""
	}
	return fmt.Sprintf(" for %s", p)
}

// grantTerms are the times and conditions of a grant, each led by what joins it to
// the words before.
func (v *view) grantTerms(e *store.GrantAdded) string {
	var s strings.Builder
	if e.From != 0 {
		s.WriteString(" from " + e.From.Time().Format("2006-01-02 15:04 MST"))
	}
	s.WriteString(until(e.Until))
	if !e.Hours.IsZero() {
		fmt.Fprintf(&s, ", %s", e.Hours)
	}
	c := e.Conditions
	if c.Reason {
		s.WriteString(", with a reason")
	}
	if c.Ticket != "" {
		fmt.Fprintf(&s, ", with a ticket like %s", c.Ticket)
	}
	if c.Approvals != 0 {
		fmt.Fprintf(&s, ", approved by %d of group %s", c.Approvals, v.r.group(v.ctx, c.Approvers, v.e.Index))
	}
	if c.Passkey != 0 {
		fmt.Fprintf(&s, ", with a touch in the %d minutes before", c.Passkey)
	}
	if c.Longest != 0 {
		fmt.Fprintf(&s, ", for sessions of %d minutes at most", c.Longest)
	}
	if e.Request != 0 {
		fmt.Fprintf(&s, ", as request %d asked by grant %d", e.Request, e.Base)
	}
	return s.String()
}
