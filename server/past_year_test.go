package server_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

const (
	// stepMillis is the time between two entries: ten million of them are a year.
	stepMillis = 365 * 24 * 3600 * 1000 / 10_000_000
	// A transaction takes many entries, or most of the time goes into writing the
	// same pages again; towards the end fewer, so that the pages that the large
	// ones left free are used up, as after a year of small ones.
	mostAtOnce, fewestAtOnce = 32_768, 256
	// grantsEach is how many targets a person may reach, where nobody says otherwise.
	grantsEach = 20
	// shift is how many sessions somebody opens after a sign-in.
	shift = 10
)

// A pastYear writes what a company of up to a thousand people and as many
// targets did, into a data directory that was made before all that. It decides
// nothing: entries are encoded, hashed and appended by the server's own code,
// a start folds them, and their signatures are the node's own.
//
// A few people and targets are in most of the entries and most are in few.
// Every tenth had a predecessor of the same name, who is gone.
type pastYear struct {
	t       testing.TB
	rand    *rand.Rand
	zipf    *rand.Zipf
	ledger  *ledger.Ledger
	signer  *store.CheckpointSigner
	tree    *store.Tree
	head    store.Head
	now     store.Millis
	batch   store.Batch
	leaves  [][]byte
	append  chan store.Batch
	failed  chan error // what the appender returned
	people  []*worker
	targets []store.Index
	auditor *worker
	counts  map[store.EventType]int
	atOnce  int          // entries of a batch
	step    store.Millis // between entries
	grants  int          // that each person has
}

// A worker is a person of the company.
type worker struct {
	id      store.UserID
	handle  string
	factor  store.Index
	signIn  store.Index
	cert    store.Index
	grants  []yearGrant
	current int // of grants
	left    int // sessions until the next sign-in
	open    *store.SessionStarted
	opened  store.Index
	token   []byte
}

type yearGrant struct{ entry, target store.Index }

// yearBefore is when the birth of a ledger of that many entries lies.
func yearBefore(entries int) time.Time {
	return time.Now().Add(-time.Duration(entries+10_000) * stepMillis * time.Millisecond)
}

// companySize is how many people and targets a ledger of that size is about.
func companySize(entries int) int { return max(20, min(1000, entries/50)) }

// fillYear grows the ledger of dir, which nobody has open, to that many entries,
// of people with so many grants each.
func fillYear(t testing.TB, env server.Environment, dir server.Dir, entries, grants int) *pastYear {
	t.Helper()
	n, err := server.Open(t.Context(), server.Options{Environment: env, Dir: dir, Version: "v0"})
	if err != nil {
		t.Fatal(err)
	}
	y := newYear(t, n.Ledger())
	y.grants = grants
	y.found(companySize(entries))
	for left := entries; left > 0; left = entries - int(y.next()) {
		y.atOnce = max(fewestAtOnce, min(left/20, mostAtOnce))
		y.work()
	}
	y.goHome()
	y.finish()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return y
}

// newYear goes on behind the last entry of a ledger.
func newYear(t testing.TB, l *ledger.Ledger) *pastYear {
	t.Helper()
	y := &pastYear{
		t: t, rand: rand.New(rand.NewPCG(10, 7)), ledger: l, counts: map[store.EventType]int{}, atOnce: fewestAtOnce, step: stepMillis,
		append: make(chan store.Batch, 2), failed: make(chan error, 1), now: l.State().Time(),
	}
	var err error
	if y.signer, err = store.NewCheckpointSigner(l.Origin(), l.LogKey); err != nil {
		t.Fatal(err)
	}
	if y.head, err = l.Backend.Head(t.Context()); err != nil {
		t.Fatal(err)
	}
	if y.tree, err = store.OpenTree(y.head.Size, store.Hashes(t.Context(), l.Backend)); err != nil {
		t.Fatal(err)
	}
	go func() { // ended by finish
		var failed error
		for b := range y.append {
			if failed == nil {
				failed = l.Backend.Append(t.Context(), b)
			}
		}
		y.failed <- failed
	}()
	return y
}

func (y *pastYear) next() store.Index { return store.Index(y.tree.Size()) + store.Index(len(y.leaves)) }

// add is one entry more, of an actor who is a user or the server.
func (y *pastYear) add(actor store.UserID, event store.Event, openings ...store.Opening) store.Index {
	y.t.Helper()
	e := &store.Entry{Index: y.next(), Time: y.now, Actor: store.Actor{User: actor}, Event: event}
	data, err := e.Encode()
	if err != nil {
		y.t.Fatal(err)
	}
	y.now += y.step
	y.counts[event.EventType()]++
	y.batch.Records = append(y.batch.Records, store.NewRecord(data, e))
	y.leaves = append(y.leaves, data)
	for _, o := range openings {
		w, err := o.SideWrite()
		if err != nil {
			y.t.Fatal(err)
		}
		y.batch.Side = append(y.batch.Side, w)
	}
	if len(y.leaves) >= y.atOnce {
		y.flush()
	}
	return e.Index
}

// flush hands a batch to the appender.
func (y *pastYear) flush() {
	y.t.Helper()
	if len(y.leaves) == 0 {
		return
	}
	next, hashes, err := y.tree.Append(y.leaves)
	if err != nil {
		y.t.Fatal(err)
	}
	b := y.batch
	b.Expect, b.Hashes = y.head, hashes
	if b.Checkpoint, err = y.signer.Checkpoint(next); err != nil {
		y.t.Fatal(err)
	}
	y.tree, y.head = next, store.Head{Size: next.Size(), Checkpoint: b.Checkpoint}
	y.batch, y.leaves = store.Batch{}, nil
	y.append <- b
}

// finish waits until everything is on disk.
func (y *pastYear) finish() {
	y.t.Helper()
	y.flush()
	close(y.append)
	if err := <-y.failed; err != nil {
		y.t.Fatal(err)
	}
}

func (y *pastYear) fill(into ...[]byte) {
	for _, b := range into {
		for len(b) >= 8 {
			binary.LittleEndian.PutUint64(b, y.rand.Uint64())
			b = b[8:]
		}
	}
}

// found begins the company: its targets, its people and what they may reach.
func (y *pastYear) found(size int) {
	y.t.Helper()
	y.zipf = rand.NewZipf(y.rand, 1.2, 10, uint64(size-1))
	for i := range size {
		if i%10 == 0 {
			gone := y.target(i)
			y.add(store.UserID{}, &store.TargetRemoved{Target: gone})
		}
		y.targets = append(y.targets, y.target(i))
	}
	for i := range size {
		handle := fmt.Sprintf("user%d", i)
		if i%10 == 0 {
			before := y.employ(handle, store.RoleEngineer)
			y.grant(before, y.targets[i])
			y.signIn(before)
			y.session(before)
			y.leave(before)
			y.add(store.UserID{}, &store.UserRemoved{User: before.id})
		}
		w := y.employ(handle, store.RoleEngineer)
		for j := range y.grants {
			y.grant(w, y.targets[(i+j*j*j)%size])
		}
		y.people = append(y.people, w)
	}
	y.auditor = y.employ("iris", store.RoleAuditor)
	y.signIn(y.auditor)
}

func (y *pastYear) target(i int) store.Index {
	key := append([]byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"), make([]byte, 32)...)
	y.fill(key[19:])
	return y.add(store.UserID{}, &store.TargetAdded{
		Name: store.TargetName(fmt.Sprintf("db%d", i)), Address: fmt.Sprintf("10.0.%d.%d:22", i/250, i%250),
		HostKeys: [][]byte{key}, Logins: []store.Login{"deploy", "root"}, Egress: "10.1.0.1",
	})
}

func (y *pastYear) employ(handle string, role store.Role) *worker {
	w := &worker{handle: handle}
	name := store.Opening{Field: store.FieldHandle, Text: handle}
	var token store.Hash
	y.fill(w.id[:], name.Salt[:], token[:])
	name.Owner = w.id
	y.add(store.UserID{}, &store.UserAdded{User: w.id, Handle: name.Commit(), Roles: []store.Role{role}}, name)
	invited := y.add(store.UserID{}, &store.InvitationCreated{User: w.id, Token: token, Expires: y.now + 1e8})
	w.factor = y.add(w.id, &store.FactorEnrolled{User: w.id, Kind: store.FactorTOTP, Invitation: invited, Step: uint64(y.now / 30_000)})
	return w
}

func (y *pastYear) grant(w *worker, target store.Index) {
	entry := y.add(store.UserID{}, &store.GrantAdded{User: w.id, Target: target, Logins: []store.Login{"root"}})
	w.grants = append(w.grants, yearGrant{entry, target})
}

func (y *pastYear) source(w *worker) store.Opening {
	o := store.Opening{Owner: w.id, Field: store.FieldSource, Text: fmt.Sprintf("10.2.%d.%d", y.rand.IntN(8), y.rand.IntN(250))}
	y.fill(o.Salt[:])
	return o
}

// signIn begins a shift. The token is known to the worker alone.
func (y *pastYear) signIn(w *worker) {
	w.token = make([]byte, 32)
	y.fill(w.token)
	from := y.source(w)
	w.signIn = y.add(w.id, &store.SignInSucceeded{
		User: w.id, Factor: w.factor, Kind: store.FactorTOTP, Step: uint64(y.now / 30_000),
		Token: login.TokenHash(w.token), Expires: y.now + 36_000_000, Source: from.Commit(),
		Key: store.ClientKey(residentKey.Public().(ed25519.PublicKey)),
	}, from)
	w.left = shift
}

// work is somebody's next session.
func (y *pastYear) work() {
	w := y.people[y.zipf.Uint64()]
	if w.left == 0 {
		y.leave(w)
		if w.signIn != 0 {
			y.add(w.id, &store.SignInEnded{User: w.id, SignIn: w.signIn})
		}
		y.signIn(w)
		w.current = 0
		for w.current < len(w.grants)-1 && y.rand.IntN(3) == 0 {
			w.current++
		}
	}
	w.left--
	y.session(w)
}

// session ends the session that is open, gets a certificate and opens another.
func (y *pastYear) session(w *worker) {
	y.leave(w)
	user := &store.CertificateIssued{Kind: store.CertificateUser, User: w.id, Expires: y.now + 300_000, Rules: 1, SignIn: w.signIn}
	y.fill(user.TBS[:])
	w.cert = y.add(w.id, user)
	g, from := w.grants[w.current], y.source(w)
	w.open = &store.SessionStarted{
		User: w.id, Target: g.target, Login: "root", Certificate: w.cert, Grant: g.entry, Way: store.WayProxy, Source: from.Commit(),
	}
	id := &w.open.Session
	y.fill(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	w.opened = y.add(w.id, w.open, from)
	issued := &store.CertificateIssued{
		Kind: store.CertificateTarget, User: w.id, Expires: y.now + 60_000, Rules: 1,
		Target: g.target, Login: "root", Session: *id, Parent: w.cert,
	}
	y.fill(issued.TBS[:])
	y.add(store.UserID{}, issued)
}

// leave ends the session that is open.
func (y *pastYear) leave(w *worker) {
	if w.open == nil {
		return
	}
	e := &store.SessionEnded{
		Session: w.open.Session, User: w.id, Target: w.open.Target, Started: w.opened, Reason: store.EndedByUser,
		Duration: y.rand.Int64N(600_000), In: y.rand.Uint64N(10_000), Out: y.rand.Uint64N(1 << 20),
		Files: []store.RecordingFile{
			{Name: "session.jsonl", Label: store.LabelMetadata, Size: 500},
			{Name: "1.cast", Label: store.LabelReplayable, Size: y.rand.Int64N(1 << 20)},
		},
	}
	y.fill(e.Files[0].SHA256[:], e.Files[1].SHA256[:])
	w.open = nil
	y.add(store.UserID{}, e)
}

// goHome ends what is open, and nobody is signed in: small batches use up the
// pages that large ones freed, as the batches of a server would.
func (y *pastYear) goHome() {
	for _, w := range y.people {
		y.leave(w)
		if w.signIn != 0 {
			y.add(w.id, &store.SignInEnded{User: w.id, SignIn: w.signIn})
			w.signIn, w.left = 0, 0
		}
	}
	y.flush()
}

// comeIn signs people in at the moment it is, so that they may ask the server.
func comeIn(t testing.TB, env server.Environment, dir server.Dir, handles ...string) map[string]*worker {
	t.Helper()
	n, err := server.Open(t.Context(), server.Options{Environment: env, Dir: dir, Version: "v0"})
	if err != nil {
		t.Fatal(err)
	}
	y := newYear(t, n.Ledger())
	y.step, y.now = 0, max(y.now, store.At(env.Now()))
	y.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	came := map[string]*worker{}
	for _, handle := range handles {
		u, ok := y.ledger.State().UserByHandle(store.Handle(handle))
		if !ok {
			t.Fatalf("nobody is called %s", handle)
		}
		w := &worker{id: u.ID, handle: handle, factor: u.Factors[0].Entry}
		y.signIn(w)
		came[handle] = w
	}
	y.finish()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	return came
}

// moreWork is that many entries more, of one person's sessions.
func moreWork(t testing.TB, env server.Environment, dir server.Dir, entries int) {
	t.Helper()
	n, err := server.Open(t.Context(), server.Options{Environment: env, Dir: dir, Version: "v0"})
	if err != nil {
		t.Fatal(err)
	}
	y := newYear(t, n.Ledger())
	y.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	y.atOnce, y.step, y.now = 4096, 0, max(y.now, store.At(env.Now()))
	u, _ := y.ledger.State().UserByHandle("user0")
	w := &worker{id: u.ID, handle: "user0", factor: u.Factors[0].Entry}
	for g := range y.ledger.State().GrantsOf(u.ID) {
		w.grants = append(w.grants, yearGrant{g.Entry, g.Target})
	}
	for to := y.next() + store.Index(entries); y.next() < to; {
		if w.signIn == 0 {
			y.signIn(w)
		}
		y.session(w)
	}
	y.leave(w)
	y.finish()
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// pinOf is what clients hold a server to, as its invitations name it.
func pinOf(t testing.TB, dir server.Dir) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(string(dir), "tls", "cert.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("the TLS certificate is no PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	pin := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return pin[:]
}
