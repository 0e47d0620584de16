package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

const serverName = "pam.example.eu"

var testToken = []byte("0123456789abcdef0123456789abcdef")

// A ledger is a real one without a back end.
type ledger struct {
	tree    *store.Tree
	records [][]byte
	hashes  []store.Hash
	signed  []byte
}

// ReadHashes makes the ledger a store.HashReader.
func (l *ledger) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = tlog.Hash(l.hashes[x])
	}
	return out, nil
}

// A fake is a server whose ledger a test can rewrite. mu guards the ledger and
// the handlers, which requests read.
type fake struct {
	*httptest.Server
	t      testing.TB
	signer *store.CheckpointSigner
	logKey ed25519.PublicKey
	hostCA ssh.PublicKey

	mu       sync.Mutex
	ledger   *ledger
	handlers map[string]http.HandlerFunc
	seen     []*http.Request
}

func newFake(t testing.TB) *fake {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := store.NewCheckpointSigner(store.Origin(serverName), key)
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, signer: signer, logKey: pub, handlers: map[string]http.HandlerFunc{}, hostCA: newSigner(t).PublicKey()}
	f.ledger = f.grow(nil, 1, "birth")
	f.routes()
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// grow returns the first entries of l and new ones up to size; what is grown
// with another salt is another ledger.
func (f *fake) grow(l *ledger, size uint64, salt string) *ledger {
	f.t.Helper()
	next := &ledger{}
	var err error
	if next.tree, err = store.OpenTree(0, next); err != nil {
		f.t.Fatal(err)
	}
	var records [][]byte
	if l != nil {
		records = append(records, l.records[:min(uint64(len(l.records)), size)]...)
	}
	for i := uint64(len(records)); i < size; i++ {
		records = append(records, f.record(i, salt))
	}
	for _, r := range records {
		f.append(next, r)
	}
	if next.signed, err = f.signer.Checkpoint(next.tree); err != nil {
		f.t.Fatal(err)
	}
	return next
}

func (f *fake) record(index uint64, salt string) []byte {
	f.t.Helper()
	sum := sha256.Sum256([]byte(salt))
	e := store.Entry{
		Index: store.Index(index), Time: store.Millis(1_700_000_000_000 + int64(index)),
		Event: &store.SessionRefused{User: store.UserID(sum[:16]), Reason: store.RefusedNoGrant},
	}
	data, err := e.Encode()
	if err != nil {
		f.t.Fatal(err)
	}
	return data
}

func (f *fake) append(l *ledger, record []byte) {
	f.t.Helper()
	tree, hashes, err := l.tree.Append([][]byte{record})
	if err != nil {
		f.t.Fatal(err)
	}
	l.tree, l.records, l.hashes = tree, append(l.records, record), append(l.hashes, hashes...)
}

// use makes the server show a ledger.
func (f *fake) use(l *ledger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ledger = l
}

// handle replaces the handler of a route.
func (f *fake) handle(r api.Route, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handlers[r.Pattern()] = h
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	mux := http.NewServeMux()
	for pattern, h := range f.handlers {
		mux.HandleFunc(pattern, h)
	}
	f.seen = append(f.seen, r.Clone(context.WithoutCancel(r.Context())))
	f.mu.Unlock()
	mux.ServeHTTP(w, r)
}

func (f *fake) requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen
}

func (f *fake) current() *ledger {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ledger
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, e *api.Error) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(e)
}

func bytesOf(p store.Proof) [][]byte {
	out := make([][]byte, len(p))
	for i, h := range p {
		out[i] = h[:]
	}
	return out
}

func (f *fake) routes() {
	f.handle(api.RouteInfo, func(w http.ResponseWriter, _ *http.Request) { answer(w, f.info()) })
	f.handle(api.RouteCheckpoint, func(w http.ResponseWriter, r *http.Request) {
		l := f.current()
		resp := api.CheckpointResponse{Checkpoint: l.signed}
		if s := r.URL.Query().Get("since"); s != "" {
			since, _ := strconv.ParseUint(s, 10, 64)
			p, err := store.ProveConsistency(since, l.tree.Size(), l)
			if err != nil {
				refuse(w, api.NewError(api.KindInvalid, "", "out of range"))
				return
			}
			resp.Proof = bytesOf(p)
		}
		answer(w, resp)
	})
	f.handle(api.RouteEntry, func(w http.ResponseWriter, r *http.Request) {
		l := f.current()
		index, _ := strconv.ParseUint(r.PathValue("index"), 10, 64)
		size, _ := strconv.ParseUint(r.URL.Query().Get("size"), 10, 64)
		answer(w, f.entry(l, index, size))
	})
	f.handle(api.RouteRaw, func(w http.ResponseWriter, r *http.Request) {
		l := f.current()
		from, _ := strconv.ParseUint(r.URL.Query().Get("from"), 10, 64)
		limit, _ := strconv.ParseUint(r.URL.Query().Get("limit"), 10, 64)
		// A server may give less than it was asked for.
		limit = min(limit, 7, uint64(len(l.records))-from)
		answer(w, api.RawResponse{From: from, Records: l.records[from : from+limit]})
	})
}

func (f *fake) entry(l *ledger, index, size uint64) api.EntryResponse {
	p, err := store.ProveInclusion(size, store.Index(index), l)
	if err != nil {
		f.t.Error(err)
	}
	e := api.Entry{Index: index}
	if d, err := store.DecodeEntry(l.records[index]); err == nil {
		e.Time, e.Type = d.Time.Time(), string(d.Event.EventType())
	}
	return api.EntryResponse{Entry: e, Data: l.records[index], Checkpoint: l.signed, Proof: bytesOf(p)}
}

func (f *fake) info() api.Info {
	return api.Info{
		Name: serverName, Suffix: "pam", Relay: serverName + ":2222", Origin: store.Origin(serverName),
		LogKey: f.logKey, HostCA: string(ssh.MarshalAuthorizedKey(f.hostCA)),
	}
}

func (f *fake) pin() []byte {
	sum := sha256.Sum256(f.Certificate().RawSubjectPublicKeyInfo)
	return sum[:]
}

func (f *fake) client(t testing.TB) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{Server: f.Listener.Addr().String(), Pin: f.pin(), Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// testSession is a session with the test's token and a key that is always the same.
func testSession() client.Session {
	seed := sha256.Sum256([]byte("a key of tests"))
	return client.Session{Token: testToken, Key: ed25519.NewKeyFromSeed(seed[:])}
}

func (f *fake) signedIn(t testing.TB) *client.Client {
	t.Helper()
	c, err := f.client(t).WithSession(testSession())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fake) settings(t testing.TB) client.Settings {
	t.Helper()
	s, err := client.NewSettings(f.Listener.Addr().String(), f.pin(), "carol", f.info())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newHome(t testing.TB, ring client.Keyring) *client.Home {
	t.Helper()
	h, err := client.OpenHome(t.TempDir()+"/vaultpam", ring)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (f *fake) open(t testing.TB, h *client.Home) *client.Ledger {
	t.Helper()
	l, err := client.NewLedger(f.signedIn(t), h, f.settings(t))
	if err != nil {
		t.Fatal(err)
	}
	return l
}
