package server

import (
	"context"
	"encoding/hex"

	"github.com/vaultpam/vaultpam/store"
)

// title is the text of a commitment that may be none.
func (r *reader) title(ctx context.Context, owner store.UserID, c store.Commitment) string {
	if c == (store.Commitment{}) {
		return ""
	}
	return r.text(ctx, owner, c)
}

func (v *view) factor() {
	switch e := v.e.Event.(type) {
	case *store.FactorEnrolled:
		v.fields["factor"] = string(e.Kind)
		if e.Invitation != 0 {
			v.fields["invitation"] = uint64(e.Invitation)
		} else {
			v.fields["sign_in"] = uint64(e.SignIn)
		}
		v.say("%s enrolled a %s factor", v.r.handle(v.ctx, e.User), e.Kind)
		if name := v.r.title(v.ctx, e.User, e.Name); name != "" {
			v.fields["factor_name"] = name
			v.say("%s enrolled a %s factor, %q", v.r.handle(v.ctx, e.User), e.Kind, name)
		}
		if p := e.Passkey; p != nil {
			v.fields["credential"], v.fields["public_key"] = hex.EncodeToString(p.Credential), hex.EncodeToString(p.PublicKey)
			v.fields["model"], v.fields["flags"], v.fields["counter"] = p.AAGUID.String(), p.Flags, p.Counter
		}
	case *store.FactorNamed:
		v.fields["factor"], v.fields["factor_name"] = uint64(e.Factor), v.r.text(v.ctx, e.User, e.Name)
		v.say("%s calls factor %d %q", v.r.handle(v.ctx, e.User), e.Factor, v.fields["factor_name"])
	case *store.FactorRemoved:
		v.fields["factor"] = uint64(e.Factor)
		v.say("%s removed factor %d", v.r.handle(v.ctx, e.User), e.Factor)
	case *store.FactorCloned:
		v.fields["factor"], v.fields["counter"], v.fields["last_counter"] = uint64(e.Factor), e.Counter, e.Last
		v.say("there is a copy of factor %d of %s: its counter was %d after %d, and it is not accepted any more",
			e.Factor, v.r.handle(v.ctx, e.User), e.Counter, e.Last)
	case *store.SignInConfirmed:
		v.fields["sign_in"], v.fields["factor"], v.fields["kind"] = uint64(e.SignIn), uint64(e.Factor), string(e.Kind)
		v.fields["source"] = v.r.text(v.ctx, e.User, e.Source)
		v.say("%s confirmed to be there with %s from %s", v.r.handle(v.ctx, e.User), e.Kind, v.fields["source"])
	}
}
