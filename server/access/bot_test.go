package access_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestBotLife: a bot signs in with its key, gets a certificate that says what it is
// and links to the sign-in, starts a session by a grant like anybody's, and has
// nothing once it is removed.
func TestBotLife(t *testing.T) {
	c := found(t)
	c.target("db1", "deploy")
	ci := c.bot("ci")
	c.grant(ci.as(), "db1", 0, 0, "deploy")
	c.signInBot(&ci)
	if e := last[*store.SignInSucceeded](c); e.Kind != store.FactorKey || e.Factor != ci.factor || e.Expires != c.at()+3_600_000 {
		t.Errorf("sign-in %+v", e)
	}
	cert := sign(t, c, c.do(access.IssueUserCertificate{By: ci.caller(), Key: keys().subject, Nonce: c.random()}))
	if e := last[*store.CertificateIssued](c); e.User != ci.id || e.SignIn != ci.signIn {
		t.Errorf("certificate %+v, want it to link to sign-in %d", e, ci.signIn)
	}
	id, err := ca.ParseKeyID(cert.KeyId)
	if diff := cmp.Diff(ca.BotKeyID("ci", ci.signIn), id); diff != "" || err != nil || !strings.HasPrefix(cert.KeyId, "vaultpam:bot:ci:") {
		t.Errorf("key ID %q, error %v:\n%s", cert.KeyId, err, diff)
	}
	session := c.session(ci.as(), "db1", "deploy")
	c.do(access.RemoveBot{By: local, Handle: "ci"})
	if _, ends := c.state.SessionEnds(session, c.at()); !ends {
		t.Error("the session of a removed bot goes on")
	}
	if _, _, err := c.state.Caller(ci.caller(), c.at()); err == nil {
		t.Error("a removed bot is signed in")
	}
	c.refused(access.SignInWithKey{User: ci.id, Key: ci.key.Marshal(), Holder: c.holder()})
	if again := c.bot("ci"); again.id == ci.id {
		t.Error("the bot of the same name is the same")
	}
}

// TestBotSignInLife: a bot's sign-in has a life of its own, and people's idleness is
// not its concern.
func TestBotSignInLife(t *testing.T) {
	c := found(t)
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSignInIdle, Value: "5m"})
	ci := c.bot("ci")
	c.signInBot(&ci)
	c.wait(time.Hour - time.Millisecond)
	if _, _, err := c.state.Caller(ci.caller(), c.at()); err != nil {
		t.Errorf("before its end: %v", err)
	}
	c.wait(time.Millisecond)
	if _, _, err := c.state.Caller(ci.caller(), c.at()); err == nil {
		t.Error("an hour later it goes on")
	}
	c.do(access.ChangeSetting{By: local, Setting: store.SettingBotSignInLife, Value: "10m"})
	c.signInBot(&ci)
	if e := last[*store.SignInSucceeded](c); e.Expires != c.at()+600_000 {
		t.Errorf("%+v, want 10 minutes", e)
	}
	carol := c.employ("carol")
	if e := last[*store.SignInSucceeded](c); e.User != carol.id || e.Expires != c.at()+store.Millis(signInLife/time.Millisecond) {
		t.Errorf("%+v: a person's life is another", e)
	}
}

// TestBotSignInsAreBounded: a bot that signs in without end is held back, until those
// that it has end, and ends no other's.
func TestBotSignInsAreBounded(t *testing.T) {
	c := found(t)
	ci, other := c.bot("ci"), c.bot("ansible")
	for range access.MaxBotSignIns {
		c.signInBot(&ci)
	}
	if r := c.refused(access.SignInWithKey{User: ci.id, Key: ci.key.Marshal(), Holder: c.holder()}); r.Kind != access.Limited || r.Hint == "" {
		t.Errorf("%+v", r)
	}
	c.signInBot(&other)
	c.do(access.SignOut{By: ci.caller()})
	c.signInBot(&ci)
	c.wait(time.Hour)
	c.signInBot(&ci)
	if open := c.state.SignInsOf(ci.id, c.at()); len(open) != 1 {
		t.Errorf("%d are open", len(open))
	}
}

// TestJoinToken: it enrols one key, once, until it ends or another takes its place.
func TestJoinToken(t *testing.T) {
	token := func(c *company) access.JoinToken {
		j := access.JoinToken{Token: c.hash()}
		c.do(access.AddBot{By: local, ID: c.userID(), Handle: "ci", Salt: c.random(), Join: &j})
		return j
	}
	key := func(i int) access.BotKey { return access.BotKey{Key: botKeys()[i]} }
	for name, spoil := range map[string]func(*company, *access.JoinToken){
		"used":      func(c *company, j *access.JoinToken) { c.do(access.JoinBot{Token: j.Token, Key: key(1)}) },
		"expired":   func(c *company, _ *access.JoinToken) { c.wait(access.DefaultJoinLife) },
		"unknown":   func(c *company, j *access.JoinToken) { j.Token = c.hash() },
		"none":      func(_ *company, j *access.JoinToken) { j.Token = store.Hash{} },
		"of no bot": func(c *company, _ *access.JoinToken) { c.do(access.RemoveBot{By: local, Handle: "ci"}) },
		"replaced": func(c *company, _ *access.JoinToken) {
			c.do(access.CreateJoin{By: local, Handle: "ci", Join: access.JoinToken{Token: c.hash()}})
		},
		"a person's": func(c *company, j *access.JoinToken) { j.Token = c.invitationOf("carol") },
	} {
		t.Run(name, func(t *testing.T) {
			c := found(t)
			j := token(c)
			spoil(c, &j)
			if r := c.refused(access.JoinBot{Token: j.Token, Key: key(0)}); r != access.ErrJoin {
				t.Errorf("%v, want ErrJoin", r)
			}
		})
	}
	c := found(t)
	j := token(c)
	bot, _ := c.state.UserByHandle("ci")
	// The same token is no invitation of a person's.
	c.refused(access.Enroll{Invitation: j.Token, Codes: c.hash(), Factor: access.NewFactor{Step: 1}})
	if _, _, ok := c.state.Invited(j.Token, c.at()); ok {
		t.Error("a join token invites")
	}
	if expires, ok := c.state.Join(bot.ID, c.at()); !ok || expires != c.at()+24*3_600_000 || !c.state.Joins(j.Token, c.at()) {
		t.Errorf("a token until %d, %v", expires, ok)
	}
	c.wait(access.DefaultJoinLife - time.Millisecond)
	c.do(access.JoinBot{Token: j.Token, Key: key(0)})
	if e := last[*store.FactorEnrolled](c); e.User != bot.ID || e.Join == 0 || !bytes.Equal(e.Key, botKeys()[0].Marshal()) || c.entries[len(c.entries)-1].Actor.User != bot.ID {
		t.Errorf("%+v by %+v", e, c.entries[len(c.entries)-1].Actor)
	}
	if _, ok := c.state.Join(bot.ID, c.at()); ok || c.state.Joins(j.Token, c.at()) {
		t.Error("a used token is still open")
	}
	// Another one adds a key beside it.
	next := access.JoinToken{Token: c.hash(), Life: access.MinJoinLife}
	c.do(access.CreateJoin{By: local, Handle: "ci", Join: next})
	c.do(access.JoinBot{Token: next.Token, Key: key(1)})
	if bot, _ = c.state.UserByHandle("ci"); len(bot.Factors) != 2 || !bot.Bot || len(bot.Roles) != 0 {
		t.Errorf("%+v, want two keys and no role", bot)
	}
}

// invitationOf is the token that a new person is invited with.
func (c *company) invitationOf(handle string) store.Hash {
	c.Helper()
	i := access.Invite{Token: c.hash()}
	c.do(access.AddUser{By: local, ID: c.userID(), Handle: handle, Salt: c.random(), Invite: i})
	return i.Token
}

// TestS38BotIsNoPerson: what takes a person is refused to a bot that is signed in,
// whatever it has: it administers nothing, proves nobody to be there, and changes
// neither its keys nor anything else of its account.
func TestS38BotIsNoPerson(t *testing.T) {
	c := found(t)
	c.employ("carol")
	c.target("db1", "root")
	ci := c.bot("ci")
	c.signInBot(&ci)
	by := ci.caller()
	for name, cmd := range map[string]access.Command{
		"add a user":         access.AddUser{By: by, ID: c.userID(), Handle: "eve", Salt: c.random(), Roles: store.Roles(), Invite: access.Invite{Token: c.hash()}},
		"remove a user":      access.RemoveUser{By: by, Handle: "carol"},
		"add a bot":          access.AddBot{By: by, ID: c.userID(), Handle: "ci2", Salt: c.random(), Key: &access.BotKey{Key: botKeys()[1]}},
		"a token of its own": access.CreateJoin{By: by, Handle: "ci", Join: access.JoinToken{Token: c.hash()}},
		"a key of its own":   access.AddBotKey{By: by, Handle: "ci", Key: access.BotKey{Key: botKeys()[1]}},
		"remove its key":     access.RemoveBotKey{By: by, Handle: "ci", Factor: ci.factor},
		"remove itself":      access.RemoveBot{By: by, Handle: "ci"},
		"grant itself":       access.AddGrant{By: by, User: "ci", Target: "db1", Logins: []string{"root"}},
		"grant another":      access.AddGrant{By: by, User: "carol", Target: "db1", Logins: []string{"root"}},
		"remove a target":    access.RemoveTarget{By: by, Name: "db1"},
		"add a group":        access.AddGroup{By: by, Name: "dba"},
		"look at a target":   access.StartErrand{By: by, Target: "db1", Errand: store.ErrandCheck, Session: c.sessionID()},
		"stop a recovery":    access.StopRecovery{By: by},
		"an address":         access.SetContact{By: by, Email: "ci@example.eu", Salt: c.random()},
		"recovery codes":     access.CreateRecoveryCodes{By: by, Codes: c.hash()},
		"recovery codes by a step": access.CreateRecoveryCodes{
			By: by, Codes: c.hash(), Step: 5000,
		},
		"another authenticator": access.RenewFactor{By: by, Invite: access.Invite{Token: c.hash()}},
		"name its key":          access.NameFactor{By: by, Factor: ci.factor, Name: "mine", Salt: c.random()},
		"remove its factor":     access.RemoveFactor{By: by, Factor: ci.factor},
		"to be there, by TOTP":  access.ConfirmWithTOTP{By: by, Step: 5000, Source: "192.0.2.1", Salt: c.random()},
		"to be there, by a passkey": access.ConfirmWithPasskey{
			SignIn: ci.signIn, Assertion: access.Assertion{User: ci.id, Factor: ci.factor, Counter: 1}, Salt: c.random(),
		},
		"add a passkey": access.AddFactor{SignIn: ci.signIn, Factor: access.NewFactor{
			Passkey: &store.Passkey{Credential: []byte("credential"), PublicKey: []byte("a key")},
		}},
	} {
		before := len(c.entries)
		if r := c.refused(cmd); r.Message == "" || r.Hint == "" && r.Kind == access.Forbidden {
			t.Errorf("%s: %+v", name, r)
		}
		if len(c.entries) != before {
			t.Errorf("%s is an entry", name)
		}
	}
	if r := c.refused(access.AddGroup{By: by, Name: "dba"}); r.Message != "this takes a person, and ci is a bot" || r.Kind != access.Forbidden {
		t.Errorf("%+v", r)
	}
	if _, err := c.state.Authorize(by, c.at()); err == nil {
		t.Error("a bot is authorised for what takes no role")
	}
}

// TestBotHasNoWayOfAPerson: nothing signs a bot in but its key, and its key is
// nobody else's way.
func TestBotHasNoWayOfAPerson(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	ci, other := c.bot("ci"), c.bot("ansible")
	identity := access.Identity{Issuer: "https://sso.example.eu", Subject: "7"}
	for name, cmd := range map[string]access.Command{
		"a bot by TOTP":             access.SignInWithTOTP{User: ci.id, Step: 5000, Holder: c.holder()},
		"a bot by a recovery code":  access.SignInWithRecoveryCode{User: ci.id, Number: 1, Holder: c.holder()},
		"a bot by a passkey":        access.SignInWithPasskey{Assertion: access.Assertion{User: ci.id, Factor: ci.factor, Counter: 1}, Holder: c.holder()},
		"a bot by the provider":     access.SignInWithSSO{Identity: identity, User: ci.id, Step: 5000, Holder: c.holder()},
		"a bot that the word links": access.SignInWithSSO{Identity: identity, User: ci.id, Counts: true, Holder: c.holder()},
		"a link of a bot":           access.LinkSSO{By: local, User: "ci", Identity: identity, Salt: c.random()},
		"a bot by another's key":    access.SignInWithKey{User: ci.id, Key: other.key.Marshal(), Holder: c.holder()},
		"a bot by no key":           access.SignInWithKey{User: ci.id, Holder: c.holder()},
		"a person by a bot's key":   access.SignInWithKey{User: carol.id, Key: ci.key.Marshal(), Holder: c.holder()},
		"nobody by a bot's key":     access.SignInWithKey{Key: ci.key.Marshal(), Holder: c.holder()},
		"an invitation of a bot":    access.InviteUser{By: local, Handle: "ci", Invite: access.Invite{Token: c.hash()}},
		"an address of a bot":       access.SetContact{By: local, Handle: "ci", Email: "ci@example.eu", Salt: c.random()},
		"a bot as administrator":    access.BeginRecovery{By: local, Handle: "ci", Pause: access.MinRecoverPause},
		"a bot, removed as a user":  access.RemoveUser{By: local, Handle: "ci"},
		"a person, removed as bot":  access.RemoveBot{By: local, Handle: "carol"},
		"a person's join token":     access.CreateJoin{By: local, Handle: "carol", Join: access.JoinToken{Token: c.hash()}},
		"a person's key":            access.AddBotKey{By: local, Handle: "carol", Key: access.BotKey{Key: botKeys()[3]}},
		"a person's key, removed":   access.RemoveBotKey{By: local, Handle: "carol", Factor: 4},
		"a bot of a person's name":  access.AddBot{By: local, ID: c.userID(), Handle: "carol", Salt: c.random(), Key: &access.BotKey{Key: botKeys()[3]}},
		"a person of a bot's name":  access.AddUser{By: local, ID: c.userID(), Handle: "ci", Salt: c.random(), Invite: access.Invite{Token: c.hash()}},
	} {
		before := len(c.entries)
		c.refused(cmd)
		if len(c.entries) != before {
			t.Errorf("%s is an entry", name)
		}
	}
	if _, _, err := c.state.SSOUser(identity, "ci"); !errors.Is(err, access.ErrSSOUnknown) {
		t.Errorf("the provider names a bot: %v", err)
	}
	for want, cmd := range map[string]access.Command{
		"vaultpam help admin bot":  access.RemoveUser{By: local, Handle: "ci"},
		"vaultpam help admin user": access.RemoveBot{By: local, Handle: "carol"},
		"vaultpam admin bot ls":    access.RemoveBot{By: local, Handle: "nobody"},
	} {
		if r := c.refused(cmd); r.Hint != want {
			t.Errorf("%+v, want the hint %q", r, want)
		}
	}
}

// TestTouchOfABot: a grant that asks for a touch is no use to a bot, and it is told
// so, where a person would be told to touch.
func TestTouchOfABot(t *testing.T) {
	c := found(t)
	c.target("db1", "root")
	ci := c.bot("ci")
	c.do(access.AddGrant{By: local, User: "ci", Target: "db1", Logins: []string{"root"}, Conditions: store.Conditions{Passkey: store.MaxPasskeyMinutes}})
	c.signInBot(&ci)
	r := c.refused(c.start(ci.as(), "db1", "root"))
	if r.Reason != store.RefusedTouch || r.Message != "root on db1 wants a touch of a passkey, and ci is a bot, which can never give one" ||
		r.Hint != "ask an administrator for a grant without a touch" {
		t.Errorf("%+v", r)
	}
	if e := last[*store.SessionRefused](c); e.Reason != store.RefusedTouch || e.User != ci.id {
		t.Errorf("%+v", e)
	}
	c.wait(time.Hour)
	if r := c.refused(c.start(ci.as(), "db1", "root")); r.Reason != store.RefusedNoSignIn || r.Hint != "vaultpam cert --bot" {
		t.Errorf("%+v", r)
	}
}

// TestRemoveBotKey: the key signs nobody in any more, and what was signed in with
// it, and no more than that, is over. It may be the last.
func TestRemoveBotKey(t *testing.T) {
	c := found(t)
	ci := c.bot("ci")
	c.signInBot(&ci)
	other := ci
	other.key = botKeys()[1]
	c.do(access.AddBotKey{By: local, Handle: "ci", Key: access.BotKey{Key: other.key, Name: "runner 2", Salt: c.random()}})
	other.factor = c.state.Next() - 1
	c.signInBot(&other)
	c.do(access.RemoveBotKey{By: local, Handle: "ci", Factor: ci.factor})
	if _, _, err := c.state.Caller(ci.caller(), c.at()); err == nil {
		t.Error("signed in with a key that was taken away")
	}
	if _, _, err := c.state.Caller(other.caller(), c.at()); err != nil {
		t.Errorf("the other key's: %v", err)
	}
	c.refused(access.SignInWithKey{User: ci.id, Key: ci.key.Marshal(), Holder: c.holder()})
	c.refused(access.RemoveBotKey{By: local, Handle: "ci", Factor: ci.factor})
	c.do(access.RemoveBotKey{By: local, Handle: "ci", Factor: other.factor})
	c.do(access.AddBotKey{By: local, Handle: "ci", Key: access.BotKey{Key: ci.key}})
	c.signInBot(&ci)
	for n := 2; n <= store.MaxFactors; n++ {
		c.do(access.AddBotKey{By: local, Handle: "ci", Key: access.BotKey{Key: newKey().PublicKey()}})
	}
	if r := c.refused(access.AddBotKey{By: local, Handle: "ci", Key: access.BotKey{Key: newKey().PublicKey()}}); r.Kind != access.Conflict {
		t.Errorf("%+v", r)
	}
}

// TestBotKeyRefusals: only a plain key of a kind that signs unattended, that is
// nobody's yet.
func TestBotKeyRefusals(t *testing.T) {
	c := found(t)
	ci := c.bot("ci")
	public := func(key any) ssh.PublicKey {
		p, err := ssh.NewPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: botKeys()[1], SignatureKey: keys().subject}
	for name, key := range map[string]ssh.PublicKey{
		"none": nil, "RSA": public(long.Public()), "P-384": public(curve.Public()), "a certificate": cert,
		"the user CA": keys().authorities[ca.User].PublicKey(), "the target CA": keys().authorities[ca.Target].PublicKey(),
		"its own": ci.key,
	} {
		c.refused(access.AddBot{By: local, ID: c.userID(), Handle: "ansible", Salt: c.random(), Key: &access.BotKey{Key: key}})
		if r := c.refused(access.AddBotKey{By: local, Handle: "ci", Key: access.BotKey{Key: key}}); r.Hint == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	good := access.BotKey{Key: botKeys()[1]}
	token := access.JoinToken{Token: c.hash()}
	for name, cmd := range map[string]access.AddBot{
		"neither key nor token": {},
		"both":                  {Key: &good, Join: &token},
		"an ID that is taken":   {ID: ci.id, Key: &good},
		"a handle that is none": {Handle: "-ci", Key: &good},
		"a token of nothing":    {Join: &access.JoinToken{}},
		"a token for too long":  {Join: &access.JoinToken{Token: c.hash(), Life: access.MaxJoinLife + 1}},
		"a token for no time":   {Join: &access.JoinToken{Token: c.hash(), Life: -1}},
		"an invitation's token": {Join: &access.JoinToken{Token: c.invitationOf("eve")}},
		"a key's hostile name":  {Key: &access.BotKey{Key: good.Key, Name: "a\nb", Salt: c.random()}},
	} {
		cmd.By = local
		if cmd.ID.IsZero() {
			cmd.ID = c.userID()
		}
		if cmd.Handle == "" {
			cmd.Handle = "ansible"
		}
		if r := c.refused(cmd); r.Message == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	c.do(access.AddBot{By: local, ID: c.userID(), Handle: "ansible", Salt: c.random(), Join: &token})
	if r := c.refused(access.InviteUser{By: local, Handle: "alice", Invite: access.Invite{Token: token.Token}}); r.Kind != access.Conflict {
		t.Errorf("an invitation with a join token's hash: %+v", r)
	}
}

// TestApplyRefusesMixedKinds: an entry that would make a bot what people are, or the
// other way round, stops the fold.
func TestApplyRefusesMixedKinds(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	ci := c.bot("ci")
	c.signInBot(&ci)
	c.do(access.CreateJoin{By: local, Handle: "ci", Join: access.JoinToken{Token: c.hash()}})
	join := c.state.Next() - 1
	key := botKeys()[2].Marshal()
	for name, event := range map[string]store.Event{
		"a bot twice":               &store.BotAdded{User: ci.id},
		"a token of a person":       &store.JoinCreated{User: carol.id, Token: c.hash()},
		"a token of nobody":         &store.JoinCreated{User: c.userID(), Token: c.hash()},
		"a token twice":             &store.JoinCreated{User: ci.id, Token: last[*store.JoinCreated](c).Token},
		"an invitation":             &store.InvitationCreated{User: ci.id, Token: c.hash()},
		"a person's factor":         &store.FactorEnrolled{User: ci.id, Kind: store.FactorTOTP, Invitation: 4},
		"a key of a person":         &store.FactorEnrolled{User: carol.id, Kind: store.FactorKey, Key: key},
		"a key of another token":    &store.FactorEnrolled{User: ci.id, Kind: store.FactorKey, Key: key, Join: join - 1},
		"a key that is none":        &store.FactorEnrolled{User: ci.id, Kind: store.FactorKey, Key: key[1:]},
		"a sign-in by TOTP":         &store.SignInSucceeded{User: ci.id, Factor: ci.factor, Kind: store.FactorTOTP, Token: c.hash()},
		"a person's sign-in by key": &store.SignInSucceeded{User: carol.id, Factor: ci.factor, Kind: store.FactorKey, Token: c.hash()},
		"a key that is another's":   &store.SignInSucceeded{User: ci.id, Factor: ci.factor + 1, Kind: store.FactorKey, Token: c.hash()},
		"a confirmation":            &store.SignInConfirmed{User: ci.id, SignIn: ci.signIn, Factor: ci.factor, Kind: store.FactorTOTP},
		"recovery codes":            &store.RecoveryCreated{User: ci.id, Codes: c.hash(), Count: 10},
		"an address":                &store.UserContact{User: ci.id},
		"a link":                    &store.SSOLinked{User: ci.id},
		"a recovery":                &store.RecoveryBegun{User: ci.id},
	} {
		e := &store.Entry{Index: c.state.Next(), Time: c.state.Time(), Event: event}
		if after, err := access.Apply(c.state, e, c.text); !errors.Is(err, access.ErrApply) || !bytes.Equal(snapshot(t, after), snapshot(t, c.state)) {
			t.Errorf("%s: error %v, want ErrApply and nothing changed", name, err)
		}
	}
}
