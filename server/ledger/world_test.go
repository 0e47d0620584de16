package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// keptEvery is small, so that a short ledger has many snapshots of its past.
const keptEvery = 7

// A world is a house in which things happen at random, at moments of its own.
type world struct {
	*house
	*clocks
	rand     *rand.Rand
	ledger   *ledger.Ledger
	log      *logBook
	wrap     func(store.Backend) store.Backend
	people   []person
	targets  []string
	groups   []string
	sessions []store.SessionID
	named    int
}

func newWorld(t *testing.T, seed uint64) *world {
	t.Helper()
	w := &world{house: build(t), log: &logBook{}, wrap: bare, rand: rand.New(rand.NewPCG(seed, seed))}
	w.clocks = wind(w.house)
	w.pass(time.Minute)
	w.config.Log = slog.New(slog.NewTextHandler(w.log, nil))
	w.config = ledger.KeepEvery(w.config, keptEvery)
	w.ledger = w.openOver(w.wrap)
	return w
}

// A logBook is what a ledger logged.
type logBook struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// take returns what was logged since it was called last.
func (b *logBook) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	b.text.Reset()
	return text
}

func (w *world) name(kind string) string {
	w.named++
	return fmt.Sprintf("%s%d", kind, w.named)
}

func one[T any](w *world, of []T) T { return of[w.rand.IntN(len(of))] }

// act lets something happen, allowed or not.
func (w *world) act() {
	w.Helper()
	if w.rand.IntN(3) > 0 {
		w.pass(time.Duration(w.rand.IntN(2000)) * time.Millisecond)
	}
	if len(w.people) == 0 || w.rand.IntN(12) == 0 {
		w.hire()
		return
	}
	p := one(w, w.people)
	switch w.rand.IntN(16) {
	case 0:
		w.try(access.RemoveUser{By: local, Handle: p.handle})
	case 1:
		name := w.name("db")
		w.targets = append(w.targets, name)
		w.try(access.AddTarget{By: local, Name: name, Address: name + ":22", HostKeys: []ssh.PublicKey{w.subject}, Logins: []string{"root"}, Egress: "198.51.100.1"})
	case 2:
		w.try(access.RemoveTarget{By: local, Name: store.TargetName(w.aTarget())})
	case 3, 4:
		w.try(access.AddGrant{By: local, User: p.handle, Target: store.TargetName(w.aTarget()), Logins: []string{"root"}})
	case 5:
		w.try(access.RemoveGrant{By: local, Grant: p.grant})
	case 6:
		w.try(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: one(w, []string{store.SelfGrantAllowed, store.SelfGrantRefused})})
	case 7:
		name := w.name("team")
		w.groups = append(w.groups, name)
		w.try(access.AddGroup{By: local, Name: name})
	case 8, 9:
		if len(w.groups) > 0 {
			w.try(access.AddMember{By: local, Group: store.GroupName(one(w, w.groups)), User: p.handle})
		}
	case 10, 11:
		w.try(p.certificate())
	case 12, 13:
		start := p.start()
		w.sessions = append(w.sessions, start.Session)
		w.try(start)
	case 14:
		if len(w.sessions) > 0 {
			w.try(access.EndSession{Session: one(w, w.sessions), Reason: store.EndedByUser})
		}
	default:
		w.dateAhead()
	}
}

func (w *world) aTarget() string {
	if len(w.targets) == 0 {
		return "db1"
	}
	return one(w, append(w.targets, "db1"))
}

// try has a command decided; the rules may refuse it.
func (w *world) try(c access.Command) {
	w.Helper()
	_, err := w.ledger.Do(context.Background(), c)
	var refused *access.Refusal
	if err != nil && !errors.As(err, &refused) {
		w.Fatalf("%T: %v", c, err)
	}
}

// hire adds somebody, who enrols and may reach db1. Handles come again.
func (w *world) hire() {
	w.Helper()
	handle := fmt.Sprintf("user%d", w.rand.IntN(8))
	if _, there := w.ledger.State().UserByHandle(store.Handle(handle)); there {
		return
	}
	w.people = append(w.people, employ(w, w.ledger, handle, w.subject))
}

// dateAhead has something happen under a clock that is wrong, and then the right
// one accepted, before the ledger's own time. It may happen again before that has
// come.
func (w *world) dateAhead() {
	w.Helper()
	ahead := time.Duration(1+w.rand.IntN(90)) * time.Second
	w.pass(ahead)
	for range 1 + w.rand.IntN(3) {
		w.try(access.InviteUser{By: local, Handle: "alice", Invite: access.Invite{Token: random32()}})
	}
	w.step(-ahead)
	do(w, w.ledger, access.AcceptClock{By: local})
}

// restart ends the ledger's process, in order or not, and begins another.
func (w *world) restart() {
	w.Helper()
	if w.rand.IntN(2) == 0 {
		w.crash(w.ledger)
	} else {
		w.close(w.ledger)
	}
	w.ledger = w.openOver(w.wrap)
}

// settle waits until all snapshots of the past are kept.
func (w *world) settle() {
	w.Helper()
	settle(w, w.ledger)
}

func settle(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	await(t, func() bool {
		there, due := l.Kept()
		return there == due
	})
}
