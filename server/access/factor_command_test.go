package access_test

import (
	"crypto/sha256"
	"fmt"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// caller draws somebody who signed in at some time, seldom with another's key.
func (w *world) caller() access.Caller {
	c := byToken(known(w, "token", w.tokens, w.hash()))
	if w.seldom("foreign key") {
		c.Key = sha256.Sum256([]byte("foreign"))
	}
	return c
}

// factorCommand draws a wish that is about factors.
func (w *world) factorCommand() access.Command {
	switch rapid.IntRange(0, 7).Draw(w.t, "about factors") {
	case 0, 1:
		return access.SignInWithPasskey{Assertion: w.assertion(w.anyUser()), Holder: holder(w.newToken())}
	case 2:
		signIn := known(w, "sign-in", w.signIns, 1<<40)
		user := w.anyUser()
		if x := w.model.signIns[signIn]; x != nil && !w.seldom("foreign passkey") {
			user = x.user
		}
		return access.ConfirmWithPasskey{SignIn: signIn, Assertion: w.assertion(user), Source: "192.0.2.1", Salt: w.random()}
	case 3:
		return access.ConfirmWithTOTP{By: w.caller(), Step: w.stepOf(), Source: "192.0.2.1", Salt: w.random()}
	case 4, 5:
		return access.AddFactor{SignIn: known(w, "sign-in", w.signIns, 1<<40), Factor: w.newFactor()}
	case 6:
		return w.removeFactor()
	default:
		return access.NameFactor{By: w.caller(), Factor: known(w, "factor", w.factors, 1<<40), Name: "blue key", Salt: w.random()}
	}
}

// removeFactor draws somebody who takes a factor away, mostly one of their own, and
// where there is anybody who may.
func (w *world) removeFactor() access.Command {
	c := access.RemoveFactor{By: w.caller(), Factor: known(w, "factor", w.factors, 1<<40)}
	if w.seldom("foreign factor") {
		return c
	}
	now := max(w.at(), w.state.Time())
	for _, token := range w.tokens {
		x := w.model.byToken(byToken(token), now)
		if x == nil || len(w.model.users[x.user].factors) < 2 {
			continue
		}
		c.By = byToken(token)
		for _, entry := range w.factors { // in their order, so that a run can be repeated
			if w.model.users[x.user].factors[entry] != nil {
				c.Factor = entry
			}
		}
	}
	return c
}

// assertion draws what a passkey of a user's said, mostly.
func (w *world) assertion(user store.UserID) access.Assertion {
	a := access.Assertion{User: user, Factor: known(w, "factor", w.factors, 1<<40)}
	u := w.model.users[user]
	if u == nil || w.seldom("foreign factor") {
		return a
	}
	for _, entry := range w.factors { // in their order, so that a run can be repeated
		if f := u.factors[entry]; f != nil && f.credential != "" {
			a.Factor = entry
			a.Counter = f.counter + one[uint64](w, "counts on", 1, 1, 1, 2, 0)
			if w.seldom("counts back") {
				a.Counter = one[uint64](w, "back to", 0, f.counter/2)
			}
		}
	}
	return a
}

func (w *world) newFactor() access.NewFactor {
	if rapid.Bool().Draw(w.t, "totp") {
		return access.NewFactor{Step: w.stepOf(), Name: "phone", Salt: w.random()}
	}
	credential := fmt.Sprintf("credential %d", len(w.entries))
	if w.seldom("a known credential") {
		credential = fmt.Sprintf("credential %d", rapid.IntRange(0, len(w.entries)).Draw(w.t, "which"))
	}
	return access.NewFactor{Passkey: &store.Passkey{
		Credential: []byte(credential), PublicKey: []byte("a key"), Counter: one[uint64](w, "counter", 0, 1, 7),
	}}
}

func (w *world) enrol() access.Command {
	c := access.Enroll{Invitation: known(w, "invitation", w.invitations, w.hash()), Codes: w.hash(), Factor: w.newFactor()}
	if rapid.Bool().Draw(w.t, "and signs in") {
		h := holder(w.newToken())
		c.Holder = &h
	}
	return c
}
