package ledger_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}

const serverName = "pam.example.eu"

// local is the administrator on the server's own machine.
var local = access.Caller{Local: true}

// A house is a data directory with a ledger that has begun, and the keys to it.
type house struct {
	testing.TB
	dir     string
	config  ledger.Config // Backend is the running one's
	backend *spy
	subject ssh.PublicKey // of whoever wants a certificate
}

// build begins a ledger in a directory of its own.
func build(t testing.TB) *house {
	t.Helper()
	h := &house{TB: t, dir: t.TempDir(), subject: newKey(t).PublicKey()}
	h.config = newConfig(t)
	b, err := bolt.Create(h.path())
	if err != nil {
		t.Fatal(err)
	}
	h.config.Backend = b
	if err := ledger.Create(t.Context(), h.config, birth(h.config)); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) path() string { return filepath.Join(h.dir, "ledger.db") }

func newConfig(t testing.TB) ledger.Config {
	t.Helper()
	_, log, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return ledger.Config{
		LogKey: log, SnapshotKey: random(32), Now: time.Now,
		UserCA: newAuthority(t, ca.User, newKey(t)), TargetCA: newAuthority(t, ca.Target, newKey(t)),
	}
}

func birth(c ledger.Config) access.CreateLedger {
	return access.CreateLedger{
		Name: serverName, LogKey: c.LogKey.Public().(ed25519.PublicKey),
		UserCA: c.UserCA.PublicKey(), TargetCA: c.TargetCA.PublicKey(),
		HostCA: c.UserCA.PublicKey(), EmergencyCA: c.UserCA.PublicKey(),
		SelfGrant: store.SelfGrantRefused, Administrator: addUser("alice"),
	}
}

func newKey(t testing.TB) *ca.Key {
	t.Helper()
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t testing.TB, kind ca.Kind, key ssh.Signer) *ca.Authority {
	t.Helper()
	a, err := ca.NewAuthority(kind, key)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func random(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	return b
}

func random32() [32]byte { return [32]byte(random(32)) }

// open starts the writer on the house's ledger, over a spy.
func (h *house) open() *ledger.Ledger {
	h.Helper()
	l, err := h.tryOpen()
	if err != nil {
		h.Fatal(err)
	}
	return l
}

func (h *house) tryOpen() (*ledger.Ledger, error) {
	h.Helper()
	b, err := bolt.Open(h.path())
	if err != nil {
		h.Fatal(err)
	}
	h.backend = &spy{Backend: b}
	h.config.Backend = h.backend
	l, err := ledger.Open(context.Background(), h.config)
	h.Cleanup(func() { h.close(l) })
	return l, err
}

// close ends the writer and lets the file go. It may be called again.
func (h *house) close(l *ledger.Ledger) {
	h.Helper()
	if l != nil {
		_ = l.Close() // a test that stopped the writer on purpose has looked at why
	}
	if err := h.backend.Backend.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
		h.Error(err)
	}
}

// check reads the whole ledger with nobody writing.
func (h *house) check() {
	h.Helper()
	b, err := bolt.Open(h.path())
	if err != nil {
		h.Fatal(err)
	}
	defer b.Close()
	if err := storetest.Check(context.Background(), b, store.Origin(serverName), h.config.LogKey.Public().(ed25519.PublicKey)); err != nil {
		h.Fatal(err)
	}
}

func do(t testing.TB, l *ledger.Ledger, c access.Command, side ...store.SideWrite) ledger.Result {
	t.Helper()
	r, err := l.Do(context.Background(), c, side...)
	if err != nil {
		t.Fatalf("%T: %v", c, err)
	}
	return r
}

func addUser(handle string) access.AddUser {
	return access.AddUser{
		By: local, ID: store.UserID(random(16)), Handle: handle, Salt: random32(), Invite: access.Invite{Token: random32()},
	}
}

// A person is somebody who is signed in and may log in as root on db1.
type person struct {
	id      store.UserID
	handle  store.Handle
	token   store.Hash
	signIn  store.Index
	grant   store.Index
	subject ssh.PublicKey
}

func employ(t testing.TB, l *ledger.Ledger, handle string, subject ssh.PublicKey) person {
	t.Helper()
	add := addUser(handle)
	do(t, l, add)
	p := person{id: add.ID, handle: store.Handle(handle), token: random32(), subject: subject}
	p.signIn = do(t, l, access.Enroll{Invitation: add.Invite.Token, Codes: random32(), Factor: access.NewFactor{Step: 1}, Holder: holder(p.token)}).First + 2
	if _, ok := l.State().TargetByName("db1"); !ok {
		do(t, l, access.AddTarget{
			By: local, Name: "db1", Address: "db1.example:22", HostKeys: []ssh.PublicKey{subject}, Logins: []string{"root"}, Egress: "198.51.100.1",
		})
	}
	p.grant = do(t, l, access.AddGrant{By: local, User: p.handle, Target: "db1", Logins: []string{"root"}}).First
	return p
}

// byToken is who holds a token and the key that went with it, which is made from it.
func byToken(token store.Hash) access.Caller {
	return access.Caller{Token: token, Key: sha256.Sum256(token[:])}
}

func holder(token store.Hash) *access.Holder {
	return &access.Holder{Token: token, Key: byToken(token).Key, Source: "192.0.2.7", Salt: random32()}
}

func (p person) certificate() access.IssueUserCertificate {
	return access.IssueUserCertificate{By: byToken(p.token), Key: p.subject, Nonce: random32()}
}

func (p person) start() access.StartSession {
	id := store.SessionID(random(16))
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return access.StartSession{
		Certificate: 1, SignIn: p.signIn, User: p.id, Target: "db1", Login: "root", Way: store.WayProxy,
		Session: id, Source: "192.0.2.7", Salt: random32(),
	}
}

// A spy is a back end that counts appends and can hold them up or fail them.
type spy struct {
	store.Backend

	mu     sync.Mutex // guards the fields below
	counts []int      // entries of each append that was tried
	before func(n int, b store.Batch) error
	after  func(n int, b store.Batch) error
	reads  int // entries that were read
}

func (s *spy) Append(ctx context.Context, b store.Batch) error {
	s.mu.Lock()
	s.counts = append(s.counts, len(b.Records))
	n, before, after := len(s.counts), s.before, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(n, b); err != nil {
			return err
		}
	}
	if err := s.Backend.Append(ctx, b); err != nil {
		return err
	}
	if after != nil {
		return after(n, b)
	}
	return nil
}

func (s *spy) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	records, err := s.Backend.Records(ctx, from, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads += len(records)
	return records, err
}

// set begins to count anew, with something to do before and after appends.
func (s *spy) set(before, after func(n int, b store.Batch) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts, s.reads, s.before, s.after = nil, 0, before, after
}

func (s *spy) appends() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int(nil), s.counts...)
}

func (s *spy) entriesRead() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// A hold keeps one append from going on until it is released.
type hold struct {
	reached, release chan struct{}
}

// holdFirst holds up the next append.
func (s *spy) holdFirst() hold {
	h := hold{make(chan struct{}), make(chan struct{})}
	s.set(func(n int, _ store.Batch) error {
		if n == 1 {
			close(h.reached)
			<-h.release
		}
		return nil
	}, nil)
	return h
}

// An answer is what a command got.
type answer struct {
	ledger.Result
	cert *ssh.Certificate
	err  error
}

// ask has a command decided in a goroutine of its own, which ends with its
// answer, and returns when it waits in the queue as number n.
func ask(t testing.TB, l *ledger.Ledger, n int, c access.Command) <-chan answer {
	t.Helper()
	got := make(chan answer, 1)
	go func() {
		var a answer
		switch c.(type) {
		case access.IssueUserCertificate, access.IssueTargetCertificate, access.IssueDirectCertificate:
			a.cert, a.Result, a.err = l.Issue(context.Background(), c)
		default:
			a.Result, a.err = l.Do(context.Background(), c)
		}
		got <- a
	}()
	await(t, func() bool { return l.Waiting() >= n })
	return got
}

// await waits until something is so.
func await(t testing.TB, so func() bool) {
	t.Helper()
	ticker := time.NewTicker(100 * time.Microsecond)
	defer ticker.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for !so() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("it does not come to be")
		}
	}
}

// rebuild begins the ledger anew with another configuration.
func (h *house) rebuild(change func(*ledger.Config)) {
	h.Helper()
	change(&h.config)
	if err := os.Remove(h.path()); err != nil {
		h.Fatal(err)
	}
	b, err := bolt.Create(h.path())
	if err != nil {
		h.Fatal(err)
	}
	h.config.Backend = b
	if err := ledger.Create(context.Background(), h.config, birth(h.config)); err != nil {
		h.Fatal(err)
	}
	if err := b.Close(); err != nil {
		h.Fatal(err)
	}
}
