package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// botKeys are keys that bots may sign in with, the same for all companies of one
// run. The last is of the other kind that is allowed.
var botKeys = sync.OnceValue(func() []ssh.PublicKey {
	all := []ssh.PublicKey{newKey().PublicKey(), newKey().PublicKey(), newKey().PublicKey()}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	public, err := ssh.NewPublicKey(other.Public())
	if err != nil {
		panic(err)
	}
	return append(all, public)
})

// A robot is a bot of the company.
type robot struct {
	id     store.UserID
	handle store.Handle
	key    ssh.PublicKey
	factor store.Index
	token  store.Hash  // of the sign-in session
	signIn store.Index // its entry
}

func (r robot) caller() access.Caller { return byToken(r.token) }

// as is the robot where a person stands in a command.
func (r robot) as() person {
	return person{id: r.id, handle: r.handle, token: r.token, signIn: r.signIn}
}

// bot adds one with the first of the keys that nobody has.
func (c *company) bot(handle string) robot {
	c.Helper()
	r := robot{id: c.userID(), handle: store.Handle(handle), key: botKeys()[0]}
	for _, key := range botKeys() {
		if r.key = key; !c.held(key) {
			break
		}
	}
	c.do(access.AddBot{By: local, ID: r.id, Handle: handle, Salt: c.random(), Key: &access.BotKey{Key: r.key}})
	r.factor = c.state.Next() - 1
	return r
}

func (c *company) held(key ssh.PublicKey) bool {
	for b := range c.state.Bots() {
		for _, f := range b.Factors {
			if string(f.Key) == string(key.Marshal()) {
				return true
			}
		}
	}
	return false
}

func (c *company) signInBot(r *robot) {
	c.Helper()
	r.token, r.signIn = c.hash(), c.state.Next()
	c.do(access.SignInWithKey{User: r.id, Key: r.key.Marshal(), Holder: holder(r.token)})
}

func (m *model) seeBot(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.BotAdded:
		m.users[v.User] = &modelUser{bot: true, factors: map[store.Index]*modelFactor{}, handle: v.Handle}
	case *store.JoinCreated:
		m.users[v.User].join, m.users[v.User].joinEntry = v, e.Index
	}
}

// judgeBot: bots are made and changed by administrators, are let in by keys alone,
// and nothing of a person's ever becomes theirs.
func (m *model) judgeBot(e *store.Entry, bad func(string)) {
	m.company.Helper()
	bot := func(id store.UserID) bool { return m.users[id] != nil && m.users[id].bot }
	switch v := e.Event.(type) {
	case *store.BotAdded:
		if !m.mayAdminister(e) || m.users[v.User] != nil {
			bad("not by an administrator, or twice")
		}
	case *store.JoinCreated:
		if !m.mayAdminister(e) || !bot(v.User) {
			bad("not by an administrator, or of no bot")
		}
	case *store.FactorEnrolled:
		u := m.users[v.User]
		switch {
		case u.bot != (v.Kind == store.FactorKey):
			bad("of a bot what is a person's, or the other way round")
		case u.bot && m.holds(string(v.Key)):
			bad("which some bot has")
		case u.bot && v.Join == 0 && !m.mayAdminister(e):
			bad("not by an administrator")
		case u.bot && v.Join != 0 && (u.join == nil || u.joinEntry != v.Join || u.join.Expires <= e.Time):
			bad("by no token")
		}
	case *store.FactorRemoved:
		if bot(v.User) && !m.mayAdminister(e) {
			bad("not by an administrator")
		}
	case *store.SignInSucceeded:
		if u := m.users[v.User]; u.bot != (v.Kind == store.FactorKey) || u.bot && (u.factors[v.Factor] == nil || u.factors[v.Factor].key == "") {
			bad("of a bot by something else than a key of its own")
		}
	case *store.InvitationCreated:
		m.people(bad, v.User)
	case *store.RecoveryCreated:
		m.people(bad, v.User)
	case *store.UserContact:
		m.people(bad, v.User)
	case *store.SSOLinked:
		m.people(bad, v.User)
	case *store.SignInConfirmed:
		m.people(bad, v.User)
	case *store.RecoveryBegun:
		m.people(bad, v.User)
	case *store.FactorNamed:
		m.people(bad, v.User)
	}
}

// people fails the test for a bot.
func (m *model) people(bad func(string), id store.UserID) {
	m.company.Helper()
	if u := m.users[id]; u != nil && u.bot {
		bad("of a bot")
	}
}

// holds reports whether some bot has a key.
func (m *model) holds(key string) bool {
	for _, u := range m.users {
		for _, f := range u.factors {
			if f.key == key {
				return true
			}
		}
	}
	return false
}

// expectBot says what must have been allowed of commands about bots.
func (w *world) expectBot(cmd access.Command, at store.Millis) (want, known bool) {
	named := func(h store.Handle) *modelUser { return w.model.users[w.model.named(h)] }
	good := func(k access.BotKey, u *modelUser) bool {
		return k.Key.Type() != ssh.KeyAlgoRSA && !w.model.holds(string(k.Key.Marshal())) && len(u.factors) < store.MaxFactors
	}
	switch c := cmd.(type) {
	case access.RemoveUser:
		u := named(c.Handle)
		if u != nil && u.bot {
			return false, true
		}
	case access.InviteUser:
		u := named(c.Handle)
		if u != nil && u.bot {
			return false, true
		}
	case access.RemoveBot:
		u := named(c.Handle)
		return u != nil && u.bot, c.By.Local
	case access.AddBotKey:
		u := named(c.Handle)
		return u != nil && u.bot && good(c.Key, u) && !w.model.locked(w.model.named(c.Handle), 0, store.SessionID{}), c.By.Local
	case access.RemoveBotKey:
		u := named(c.Handle)
		return u != nil && u.bot && u.factors[c.Factor] != nil, c.By.Local
	case access.JoinBot:
		for _, u := range w.model.users {
			if u.join != nil && u.join.Token == c.Token {
				return at < u.join.Expires && good(c.Key, u), true
			}
		}
		return false, true
	case access.SignInWithKey:
		u := w.model.users[c.User]
		if fresh := c.Holder.Token; fresh == (store.Hash{}) || u == nil {
			return false, true
		}
		for _, f := range u.factors {
			want = want || u.bot && f.key == string(c.Key)
		}
		for _, old := range w.tokens {
			if old == c.Holder.Token {
				return false, false // which may be free again
			}
		}
		return want && !w.model.locked(c.User, 0, store.SessionID{}), true
	}
	return false, false
}

// botCommand draws a wish that is about bots.
func (w *world) botCommand() access.Command {
	key := access.BotKey{Key: one(w, "bot's key", botKeys()...), Name: one(w, "key's name", "", "runner 3"), Salt: w.random()}
	join := access.JoinToken{
		Token: w.mostly(append(w.joins, w.invitations...)),
		Life:  one(w, "life of a token", 0, 0, access.MinJoinLife, access.MaxJoinLife, access.MaxJoinLife+1, -1),
	}
	handle := store.Handle(one(w, "bot", "ci", "ci", "ci", w.anyHandle()))
	switch one(w, "about bots", 0, 1, 2, 3, 4, 5, 5, 6, 6, 6) {
	case 0:
		c := access.AddBot{By: w.by(), ID: w.newUserID(), Handle: one(w, "bot's handle", "ci", "ansible", w.anyHandle()), Salt: w.random()}
		if one(w, "begins with", true, false) {
			c.Key = &key
		}
		if c.Key == nil != w.seldom("both or none") {
			c.Join = &join
		}
		return c
	case 1:
		return access.CreateJoin{By: w.by(), Handle: handle, Join: join}
	case 2:
		return access.AddBotKey{By: w.by(), Handle: handle, Key: key}
	case 3:
		return access.RemoveBotKey{By: w.by(), Handle: handle, Factor: w.keyOf(handle)}
	case 4:
		if one(w, "remove a bot", true, true, false) {
			return w.joinBot(key)
		}
		return access.RemoveBot{By: w.by(), Handle: handle}
	case 5:
		return w.joinBot(key)
	default:
		id := w.model.named(handle)
		if id.IsZero() {
			id = w.anyUser()
		}
		c := access.SignInWithKey{User: id, Key: key.Key.Marshal(), Holder: holder(w.newToken())}
		if f := w.model.users[id]; f != nil && !w.seldom("another key") {
			if k := f.factors[w.keyOf(handle)]; k != nil && k.key != "" {
				c.Key = []byte(k.key)
			}
		}
		return c
	}
}

func (w *world) joinBot(key access.BotKey) access.Command {
	return access.JoinBot{Token: known(w, "join token", w.joins, w.hash()), Key: key}
}

// keyOf returns the last factor of whoever has a handle, mostly.
func (w *world) keyOf(handle store.Handle) store.Index {
	u := w.model.users[w.model.named(handle)]
	if u == nil || w.seldom("foreign key of a bot") {
		return known(w, "factor", w.factors, 1<<40)
	}
	last := store.Index(0)
	for entry := range u.factors {
		last = max(last, entry)
	}
	return last
}
