package notice_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

const serverName = "pam.example.eu"

var local = access.Caller{Local: true}

func random(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	return b
}

func random32() [32]byte { return [32]byte(random(32)) }

// A clock goes as the system's does, until it is turned.
type clock struct {
	mu    sync.Mutex // guards ahead
	ahead time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// A scroll keeps what was logged.
type scroll struct {
	mu    sync.Mutex // guards what follows
	buf   bytes.Buffer
	grown chan struct{} // closed by the next write
}

func (s *scroll) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.grown != nil {
		close(s.grown)
		s.grown = nil
	}
	return s.buf.Write(p)
}

func (s *scroll) String() string {
	if s == nil {
		return "nothing"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// says waits until words were logged so often.
func (s *scroll) says(t testing.TB, words string, times int) {
	t.Helper()
	late := time.After(patience)
	for {
		s.mu.Lock()
		if strings.Count(s.buf.String(), words) >= times {
			s.mu.Unlock()
			return
		}
		if s.grown == nil {
			s.grown = make(chan struct{})
		}
		grown := s.grown
		s.mu.Unlock()
		select {
		case <-grown:
		case <-late:
			t.Fatalf("%q was not logged %d times:\n%s", words, times, s)
		}
	}
}

// patience is how long anything may take on a busy machine.
const patience = 30 * time.Second

// A faulty back end fails when it is told to.
type faulty struct {
	store.Backend
	mu    sync.Mutex // guards write
	write func([]store.SideWrite) error
}

func (f *faulty) WriteSide(ctx context.Context, w []store.SideWrite) error {
	f.mu.Lock()
	fail := f.write
	f.mu.Unlock()
	if fail != nil {
		if err := fail(w); err != nil {
			return err
		}
	}
	return f.Backend.WriteSide(ctx, w)
}

func (f *faulty) onWrite(fail func([]store.SideWrite) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.write = fail
}

// A house is a ledger and the notices that follow it.
type house struct {
	testing.TB
	dir      string
	config   ledger.Config
	key      []byte
	clock    *clock
	calendar *clock // the ledger's
	log      *scroll
	backend  *faulty
	ledger   *ledger.Ledger
	mail     *notice.Mail
	hook     *notice.Hook
	notices  *notice.Notices
	stop     func() // ends Run
}

// build begins a ledger, which alice administers.
func build(t testing.TB) *house {
	t.Helper()
	_, log, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return buildWith(t, ledger.Config{LogKey: log, SnapshotKey: random(32), UserCA: authority(t, ca.User), TargetCA: authority(t, ca.Target), Now: time.Now})
}

// buildWith is build with keys that somebody else knows too.
func buildWith(t testing.TB, c ledger.Config) *house {
	t.Helper()
	h := &house{TB: t, dir: t.TempDir(), key: random(32), clock: &clock{}, calendar: &clock{}, log: &scroll{}, config: c}
	h.config.Now = h.calendar.now
	b, err := bolt.Create(h.path())
	if err != nil {
		t.Fatal(err)
	}
	h.config.Backend = b
	user := h.config.UserCA.PublicKey()
	if err := ledger.Create(t.Context(), h.config, access.CreateLedger{
		Name: serverName, LogKey: c.LogKey.Public().(ed25519.PublicKey), SelfGrant: store.SelfGrantRefused,
		UserCA: user, TargetCA: h.config.TargetCA.PublicKey(), HostCA: user, EmergencyCA: user, Administrator: addUser("alice", ""),
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	h.open()
	t.Cleanup(h.close)
	return h
}

func authority(t testing.TB, kind ca.Kind) *ca.Authority {
	t.Helper()
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ca.NewAuthority(kind, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *house) path() string { return filepath.Join(h.dir, "ledger.db") }

func (h *house) open() {
	h.Helper()
	b, err := bolt.Open(h.path())
	if err != nil {
		h.Fatal(err)
	}
	h.backend = &faulty{Backend: b}
	h.config.Backend = h.backend
	if h.ledger, err = ledger.Open(context.Background(), h.config); err != nil {
		h.Fatal(err)
	}
}

// follow opens the notices; run has them sent.
func (h *house) follow() {
	h.Helper()
	var err error
	h.notices, err = notice.New(h.Context(), notice.Config{
		Ledger: h.ledger, Name: serverName, Mail: h.mail, Hook: h.hook, Key: h.key, Now: h.clock.now, Random: rand.Reader,
		Log: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	if err != nil {
		h.Fatal(err)
	}
	h.notices.Hurry(10*time.Millisecond, 50*time.Millisecond)
}

func (h *house) run() {
	h.Helper()
	if h.notices == nil {
		h.follow()
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	n := h.notices
	go func() { ended <- n.Run(ctx) }() // ended by stop
	h.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				h.Errorf("the notices ended: %v", err)
			}
		case <-time.After(patience):
			h.Error("the notices did not end")
		}
	})
}

// close ends everything; it may be called again.
func (h *house) close() {
	h.Helper()
	if h.stop != nil {
		h.stop()
	}
	if h.ledger == nil {
		return
	}
	if err := errors.Join(h.ledger.Close(), h.backend.Close()); err != nil {
		h.Error(err)
	}
	h.ledger, h.notices = nil, nil
}

// restart is what a killed server's start is.
func (h *house) restart() {
	h.Helper()
	h.close()
	h.open()
}

func (h *house) do(c access.Command, side ...store.SideWrite) ledger.Result {
	h.Helper()
	r, err := h.ledger.Do(h.Context(), c, side...)
	if err != nil {
		h.Fatalf("%T: %v", c, err)
	}
	return r
}

func addUser(handle, email string, roles ...store.Role) access.AddUser {
	id := store.UserID(random(16))
	return access.AddUser{
		By: local, ID: id, Handle: handle, Salt: random32(), Roles: roles, Email: email, EmailSalt: random32(),
		Invite: access.Invite{Token: random32()},
	}
}

// A person has enrolled.
type person struct {
	id     store.UserID
	handle store.Handle
	token  store.Hash
	step   uint64
}

// employ adds somebody, who enrols.
func (h *house) employ(handle, email string, roles ...store.Role) *person {
	h.Helper()
	add := addUser(handle, email, roles...)
	h.do(add)
	p := &person{id: add.ID, handle: store.Handle(handle), token: random32(), step: 1000}
	h.do(enroll(add.Invite, p.token))
	return p
}

// holder is who will be caller. The key is made from the token, so that a test has
// one thing to remember.
func holder(token store.Hash, source string) access.Holder {
	return access.Holder{Token: token, Key: sha256.Sum256(token[:]), Source: source, Salt: random32()}
}

func caller(token store.Hash) access.Caller {
	return access.Caller{Token: token, Key: sha256.Sum256(token[:])}
}

// enroll is the command of somebody who was invited, and is signed in by it.
func enroll(i access.Invite, token store.Hash) access.Enroll {
	h := holder(token, "192.0.2.7")
	return access.Enroll{Invitation: i.Token, Codes: random32(), Factor: access.NewFactor{Step: 1000}, Holder: &h}
}

func (h *house) index() store.Index { return h.ledger.State().Next() }

func tokenHash(token [32]byte) store.Hash { return sha256.Sum256(token[:]) }
