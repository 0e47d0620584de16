package access_test

import (
	"slices"
	"strings"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const issuer = "https://login.example.eu"

// endSSO draws a sign-out, mostly of the last who came by the provider's word.
func (w *world) endSSO(account access.Identity, sid store.Hash) access.Command {
	for _, entry := range slices.Backward(w.signIns) {
		x := w.model.signIns[entry]
		if x == nil || x.sso == 0 || w.seldom("another session") {
			continue
		}
		_, account.Subject, _ = strings.Cut(w.model.links[x.user].text, "\n")
		sid = x.sid
		break
	}
	if sid != (store.Hash{}) && rapid.Bool().Draw(w.t, "no subject") {
		account.Subject = ""
	}
	return access.EndSSO{Identity: account, SID: sid}
}

// ssoCommand draws what the company's provider brings about.
func (w *world) ssoCommand() access.Command {
	account := access.Identity{Issuer: issuer, Subject: one(w, "subject", "1", "1", "2", "3")}
	sid := access.SIDHash(issuer, one(w, "sid", "", "", "a", "b"))
	switch rapid.IntRange(0, 5).Draw(w.t, "sso command") {
	case 0:
		return access.LinkSSO{By: w.by(), User: store.Handle(w.anyHandle()), Identity: account, Salt: w.random()}
	case 1:
		return w.endSSO(account, sid)
	}
	c := access.SignInWithSSO{
		Identity: account, SID: sid, User: w.anyUser(), LinkSalt: w.random(), Holder: holder(w.newToken()),
		Groups: access.GroupSync{
			Managed: rapid.SliceOfN(rapid.SampledFrom([]store.GroupName{"dba", "ops", "nothing"}), 0, 3).Draw(w.t, "managed"),
			Wanted:  rapid.SliceOfN(rapid.SampledFrom([]store.GroupName{"dba", "ops", "on-call"}), 0, 2).Draw(w.t, "wanted"),
		},
	}
	if owner, ok := w.state.UserBySSO(account); ok && !w.seldom("another user") {
		c.User = owner.ID
	}
	switch one(w, "second factor", "totp", "totp", "provider", "none") {
	case "totp":
		c.Step = w.stepOf()
	case "provider":
		c.Counts = true
	}
	return c
}
