package server

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// request describes what is asked for and how it was answered.
func (v *view) request() {
	switch e := v.e.Event.(type) {
	case *store.RequestMade:
		v.requestMade(e)
	case *store.RequestApproved:
		v.fields["request"], v.fields["sign_in"], v.fields["factor"], v.fields["kind"] = uint64(e.Request), uint64(e.SignIn), uint64(e.Factor), string(e.Kind)
		v.comment(e.Comment)
		// Who reads an approval must see which of the two it is: what anybody can
		// verify, or the server's word.
		v.fields["verifiable"] = e.Assertion != nil
		with := "with a passkey"
		if e.Assertion == nil {
			with = "with a code, which nobody can verify"
		}
		v.say("%s approved %s %s", v.r.actor(v.ctx, v.e.Actor), v.asked(e.Request, e.User), with)
	case *store.RequestDenied:
		v.fields["request"] = uint64(e.Request)
		v.comment(e.Comment)
		v.say("%s denied %s", v.r.actor(v.ctx, v.e.Actor), v.asked(e.Request, e.User))
	case *store.RequestWithdrawn:
		v.fields["request"] = uint64(e.Request)
		v.say("%s withdrew %s", v.r.handle(v.ctx, e.User), v.asked(e.Request, store.UserID{}))
	case *store.ChangeProposed:
		v.fields["change"], v.fields["change_type"] = v.r.change(v.ctx, e, v.e.Index), string(e.Change().EventType())
		v.fields["expires"], v.fields["source"] = stamp(e.Expires), v.r.text(v.ctx, e.User, e.Source)
		v.hash()
		v.say("%s proposes, in their own favour: %s", v.r.handle(v.ctx, e.User), v.fields["change"])
	}
}

// asked names what an answer is to: a request, or a proposal and what it is of.
func (v *view) asked(entry store.Index, user store.UserID) string {
	of := ""
	if !user.IsZero() {
		of = " of " + v.r.handle(v.ctx, user)
	}
	if e, _, err := v.r.n.ledger.Entry(v.ctx, entry); err == nil {
		if p, ok := e.Event.(*store.ChangeProposed); ok {
			return fmt.Sprintf("proposal %d%s (%s)", entry, of, v.r.change(v.ctx, p, entry))
		}
	}
	return fmt.Sprintf("request %d%s", entry, of)
}

// hash is what approvals are made over.
func (v *view) hash() {
	if data, err := v.e.Encode(); err == nil {
		v.fields["hash"] = fmt.Sprintf("%x", store.RequestHash(data))
	}
}

func (v *view) requestMade(e *store.RequestMade) {
	v.fields["login"], v.fields["lasts_seconds"], v.fields["expires"] = string(e.Login), int64(e.Lasts/1000), stamp(e.Expires)
	v.fields["grant"], v.fields["source"] = uint64(e.Base), v.r.text(v.ctx, e.User, e.Source)
	if len(e.For) > 0 {
		v.fields["for"] = e.For.String()
	}
	for name, c := range map[string]store.Commitment{"reason": e.Reason, "ticket": e.Ticket} {
		if text := v.r.title(v.ctx, e.User, c); text != "" {
			v.fields[name] = text
		}
	}
	v.hash()
	v.say("%s requests to log in to %s as %s%s for %s", v.r.handle(v.ctx, e.User), v.target(e.Target), e.Login, forText(e.For), e.Lasts.Length())
}

func (v *view) comment(c store.Commitment) {
	if text := v.r.title(v.ctx, v.e.Actor.User, c); text != "" {
		v.fields["comment"] = text
	}
}
