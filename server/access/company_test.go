package access_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// noon is when every company of these tests begins.
var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// local is the administrator on the server's own machine.
var local = access.Caller{Local: true}

type keyRing struct {
	authorities map[ca.Kind]*ca.Authority
	log         ed25519.PublicKey
	subject     ssh.PublicKey // of somebody who wants a certificate
}

// keys are the same for all companies of one run.
var keys = sync.OnceValue(func() keyRing {
	k := keyRing{authorities: map[ca.Kind]*ca.Authority{}}
	for kind := ca.User; kind <= ca.Emergency; kind++ {
		a, err := ca.NewAuthority(kind, newKey())
		if err != nil {
			panic(err)
		}
		k.authorities[kind] = a
	}
	var err error
	if k.log, _, err = ed25519.GenerateKey(nil); err != nil {
		panic(err)
	}
	k.subject = newKey().PublicKey()
	return k
})

func newKey() *ca.Key {
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// A company is a ledger in memory: it appends what Decide yields, through the
// stored bytes, and keeps the texts beside it.
type company struct {
	rapid.TB
	now     time.Time
	state   access.State
	texts   map[store.Commitment]string
	entries []*store.Entry // as decoded from their stored bytes
	drawn   uint64
}

// unborn returns a company whose ledger has not begun.
func unborn(t rapid.TB) *company {
	return &company{TB: t, now: noon, state: access.New(), texts: map[store.Commitment]string{}}
}

// found returns a company with the administrator alice, who is invited.
func found(t rapid.TB) *company {
	t.Helper()
	c := unborn(t)
	c.do(c.birth("alice"))
	return c
}

func (c *company) birth(administrator string) access.CreateLedger {
	k := keys()
	return access.CreateLedger{
		Name: "pam.example.eu", LogKey: k.log,
		UserCA: k.authorities[ca.User].PublicKey(), TargetCA: k.authorities[ca.Target].PublicKey(),
		HostCA: k.authorities[ca.Host].PublicKey(), EmergencyCA: k.authorities[ca.Emergency].PublicKey(),
		SelfGrant:     store.SelfGrantRefused,
		Administrator: access.AddUser{ID: c.userID(), Handle: administrator, Salt: c.random(), Invite: access.Invite{Token: c.hash()}},
	}
}

// random returns bytes that no call before it returned, the same in every run.
func (c *company) random() [32]byte {
	c.drawn++
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, c.drawn))
}

func (c *company) hash() store.Hash { return c.random() }

func (c *company) userID() store.UserID {
	r := c.random()
	return store.UserID(r[:16])
}

func (c *company) sessionID() store.SessionID {
	r := c.random()
	id := store.SessionID(r[:16])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

func (c *company) text(k store.Commitment) (string, bool) {
	t, ok := c.texts[k]
	return t, ok
}

func noTexts(store.Commitment) (string, bool) { return "", false }

func (c *company) at() store.Millis { return store.At(c.now) }

func (c *company) wait(d time.Duration) { c.now = c.now.Add(d) }

// decide has a command decided and its events appended, be it refused or not.
func (c *company) decide(cmd access.Command) (access.Decision, error) {
	c.Helper()
	d, at, err := access.Decide(c.state, cmd, c.now)
	for _, o := range d.Openings {
		c.texts[o.Commit()] = o.Text
	}
	for _, event := range d.Events {
		c.append(at, d.Actor, event)
	}
	return d, err
}

func (c *company) append(at store.Millis, actor store.Actor, event store.Event) {
	c.Helper()
	e := reread(c, &store.Entry{Index: c.state.Next(), Time: at, Actor: actor, Event: event})
	var err error
	if c.state, err = access.Apply(c.state, e, c.text); err != nil {
		c.Fatalf("applying: %v", err)
	}
	c.entries = append(c.entries, e)
}

// reread returns an entry as whoever reads its stored bytes sees it.
func reread(t rapid.TB, e *store.Entry) *store.Entry {
	t.Helper()
	data, err := e.Encode()
	if err != nil {
		t.Fatalf("encoding entry %d, %s: %v", e.Index, e.Event.EventType(), err)
	}
	again, err := store.DecodeEntry(data)
	if err != nil {
		t.Fatalf("decoding entry %d, %s: %v", e.Index, e.Event.EventType(), err)
	}
	return again
}

// do is decide for what has to be allowed.
func (c *company) do(cmd access.Command) access.Decision {
	c.Helper()
	d, err := c.decide(cmd)
	if err != nil {
		c.Fatalf("%T: %v", cmd, err)
	}
	if len(d.Events) == 0 {
		c.Fatalf("%T: allowed, and no event", cmd)
	}
	return d
}

// refused is decide for what has to be refused.
func (c *company) refused(cmd access.Command) *access.Refusal {
	c.Helper()
	_, err := c.decide(cmd)
	var r *access.Refusal
	if !errors.As(err, &r) {
		c.Fatalf("%T: error %v, want a refusal", cmd, err)
	}
	return r
}

// A person is somebody of the company.
type person struct {
	id     store.UserID
	handle store.Handle
	token  store.Hash  // of the sign-in session
	signIn store.Index // its entry
	step   uint64
}

func (p person) caller() access.Caller { return byToken(p.token) }

// signInLife is how long a sign-in session lasts where nobody set it.
const signInLife = 10 * time.Hour

// tireless lets sign-in sessions last that nothing is issued to.
func (c *company) tireless() {
	c.Helper()
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSignInIdle, Value: "168h"})
}

// byToken is who holds a token and the key that went with it.
func byToken(token store.Hash) access.Caller {
	return access.Caller{Token: token, Key: holder(token).Key}
}

// holder is who will be byToken. The key is made from the token, so that a test
// has one thing to remember.
func holder(token store.Hash) access.Holder {
	return access.Holder{Token: token, Key: sha256.Sum256(token[:]), Source: "192.0.2.7", Salt: sha256.Sum256(token[1:])}
}

func (c *company) holder() access.Holder { return holder(c.hash()) }

// employ adds somebody, who enrols and signs in.
func (c *company) employ(handle string, roles ...store.Role) person {
	c.Helper()
	p := person{id: c.userID(), handle: store.Handle(handle), step: 1000}
	invite := access.Invite{Token: c.hash()}
	c.do(access.AddUser{By: local, ID: p.id, Handle: handle, Salt: c.random(), Roles: roles, Invite: invite})
	enroll := c.enroll(invite, p.step)
	c.do(enroll)
	p.token, p.signIn = enroll.Holder.Token, c.state.Next()-1
	return p
}

// enroll is the command of somebody who was invited.
func (c *company) enroll(i access.Invite, step uint64) access.Enroll {
	h := c.holder()
	return access.Enroll{Invitation: i.Token, Codes: c.hash(), Factor: access.NewFactor{Step: step}, Holder: &h}
}

func (c *company) signIn(p *person) {
	c.Helper()
	p.step++
	p.token = c.hash()
	p.signIn = c.state.Next()
	c.do(access.SignInWithTOTP{User: p.id, Step: p.step, Holder: holder(p.token)})
}

// target adds a host and returns the command's event's place.
func (c *company) target(name string, logins ...string) store.Index {
	c.Helper()
	c.do(access.AddTarget{
		By: local, Name: name, Address: name + ".example:22", HostKeys: []ssh.PublicKey{keys().subject},
		Logins: logins, Egress: "198.51.100.1",
	})
	return c.state.Next() - 1
}

func (c *company) grant(p person, target store.TargetName, from, until store.Millis, logins ...string) store.Index {
	c.Helper()
	c.do(access.AddGrant{By: local, User: p.handle, Target: target, Logins: logins, From: from, Until: until})
	return c.state.Next() - 1
}

func (c *company) certificate(p person) store.Index {
	c.Helper()
	c.do(access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()})
	return c.state.Next() - 1
}

// start is the command of somebody who wants to log in.
func (c *company) start(p person, target store.TargetName, login store.Login) access.StartSession {
	return access.StartSession{
		Certificate: 1, SignIn: p.signIn, User: p.id, Target: target, Login: login,
		Way: store.WayProxy, Session: c.sessionID(), Source: "192.0.2.7", Salt: c.random(),
	}
}

// session starts one.
func (c *company) session(p person, target store.TargetName, login store.Login) store.SessionID {
	c.Helper()
	cmd := c.start(p, target, login)
	cmd.Certificate = c.certificate(p)
	c.do(cmd)
	return cmd.Session
}

func snapshot(t rapid.TB, s access.State) []byte {
	t.Helper()
	data, err := s.Snapshot()
	if err != nil {
		t.Fatalf("snapshot: %v", err)
	}
	return data
}

// last returns the event of the last entry as a T.
func last[T store.Event](c *company) T {
	c.Helper()
	event, ok := c.entries[len(c.entries)-1].Event.(T)
	if !ok {
		c.Fatalf("the last entry is %s", c.entries[len(c.entries)-1].Event.EventType())
	}
	return event
}

// rounds scales a property test: few by default, all in the campaign.
func rounds(few, all int) int {
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		return all
	}
	return few
}
