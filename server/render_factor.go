package server

import (
	"context"
	"encoding/hex"
	"fmt"

	"golang.org/x/crypto/ssh"

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
		if e.Kind == store.FactorKey {
			v.botKey(e)
			return
		}
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
		if bot, err := v.r.n.ledger.Bot(v.ctx, e.User); err == nil && bot {
			v.say("key %d was taken from %s", e.Factor, v.r.handle(v.ctx, e.User))
		}
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

// botKey describes a bot's new key.
func (v *view) botKey(e *store.FactorEnrolled) {
	if e.Join != 0 {
		v.fields["join"] = uint64(e.Join)
	}
	who := v.r.handle(v.ctx, e.User)
	if key, err := ssh.ParsePublicKey(e.Key); err == nil {
		v.fields["key"], v.fields["fingerprint"] = authorized(key), ssh.FingerprintSHA256(key)
	}
	v.say("a key was named for %s", who)
	if e.Join != 0 {
		v.say("%s joined with a key", who)
	}
	if name := v.r.title(v.ctx, e.User, e.Name); name != "" {
		v.fields["factor_name"] = name
		v.summary += fmt.Sprintf(", %q", name)
	}
}
