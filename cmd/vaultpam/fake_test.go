package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

const (
	goodCode = "123456"
	uri      = "otpauth://totp/VaultPAM:carol?secret=NVCV6YTCEHTE7E4CVSLCBUV7AABC3TB7"
)

var (
	testToken  = []byte("0123456789abcdef0123456789abcdef")
	testDevice = []byte("fedcba9876543210fedcba9876543210")
	testCodes  = []string{"aaaa-bbbb-cccc-dddd-eeee-ffff", "2222-3333-4444-5555-6666-7777"}
)

// A fakeServer answers every route with what its tests put there, over a real
// ledger. mu guards what requests read and tests change.
type fakeServer struct {
	*httptest.Server
	t      testing.TB
	signer *store.CheckpointSigner
	logKey ed25519.PublicKey
	userCA ssh.Signer

	mu      sync.Mutex
	tree    *store.Tree
	hashes  []store.Hash
	records [][]byte
	answers map[string]any // by the route's pattern; an *api.Error refuses, a func([]byte) any is asked
	bodies  map[string][]string
	called  []api.Route       // in their order
	keys    map[[32]byte]bool // that sign-ins were signed with
	issued  uint64
}

func newFakeServer(t testing.TB) *fakeServer {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := store.NewCheckpointSigner(store.Origin("pam.example.eu"), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{t: t, signer: signer, logKey: public, userCA: ca, answers: map[string]any{}, bodies: map[string][]string{}, keys: map[[32]byte]bool{}}
	s.grow(5, "a")
	s.standard()
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// standard is a server on which everything is allowed and nothing is there.
func (s *fakeServer) standard() {
	in10h := time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC)
	session := api.SignInResponse{
		Token: testToken, Handle: "carol", Roles: []string{"engineer", "auditor"}, Expires: in10h, Factor: "totp", Device: testDevice,
	}
	enrolled := session
	enrolled.RecoveryCodes = testCodes
	for route, v := range map[api.Route]any{
		api.RouteInfo: api.Info{
			Name: "pam.example.eu", Suffix: "pam", Relay: "pam.example.eu:2222", Origin: store.Origin("pam.example.eu"),
			LogKey: s.logKey, HostCA: string(ssh.MarshalAuthorizedKey(s.userCA.PublicKey())), Factors: []string{"totp"},
		},
		api.RouteEnrollBegin:  api.EnrollBeginResponse{Handle: "carol", Secret: "NVCV6YTCEHTE7E4CVSLCBUV7AABC3TB7", URI: uri},
		api.RouteEnrollFinish: enrolled,
		api.RouteRecovery:     api.RecoveryResponse{Codes: testCodes},
		api.RouteSignIn:       session,
		api.RouteSignOut:      api.Empty{},
		api.RouteStatus:       api.StatusResponse{Handle: "carol", Roles: []string{"engineer"}, SignIn: 4, Expires: in10h, Ends: in10h.Add(-6 * time.Hour), Targets: 2},
		api.RouteTargets: []api.Target{
			{Name: "db1", Logins: []string{"root", "deploy"}, Until: in10h}, {Name: "web1.prod", Logins: []string{"deploy"}},
		},
		api.RouteUsers:        []api.User{},
		api.RouteAllTargets:   []api.TargetDetail{},
		api.RouteGrants:       []api.Grant{},
		api.RouteBots:         []api.Bot{},
		api.RouteUserSSO:      api.Empty{},
		api.RouteGroupRename:  api.Empty{},
		api.RouteGroupRemove:  api.Empty{},
		api.RouteMemberAdd:    api.Empty{},
		api.RouteMemberRemove: api.Empty{},
		api.RouteUserRemove:   api.Empty{},
		api.RouteTargetRemove: api.Empty{},
		api.RouteTargetLabels: api.Empty{},
		api.RouteGrantRemove:  api.Empty{},
	} {
		s.answers[route.Pattern()] = v
	}
}

// set changes what a route answers.
func (s *fakeServer) set(r api.Route, v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[r.Pattern()] = v
}

// body returns the last request that a route got.
func (s *fakeServer) body(r api.Route) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.bodies[r.Pattern()]
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// bodyWith returns the first request that a route got which holds a text.
func (s *fakeServer) bodyWith(r api.Route, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, body := range s.bodies[r.Pattern()] {
		if strings.Contains(body, text) {
			return body
		}
	}
	return ""
}

// grow appends n entries; shrink, which a real server can't, is in rewrite.
func (s *fakeServer) grow(n int, salt string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tree == nil {
		s.tree = new(store.Tree)
	}
	sum := sha256.Sum256([]byte(salt))
	for range n {
		e := store.Entry{
			Index: store.Index(s.tree.Size()), Time: 1_700_000_000_000,
			Event: &store.SessionRefused{User: store.UserID(sum[:16]), Reason: store.RefusedNoGrant},
		}
		data, err := e.Encode()
		if err != nil {
			s.t.Fatal(err)
		}
		tree, hashes, err := s.tree.Append([][]byte{data})
		if err != nil {
			s.t.Fatal(err)
		}
		s.tree, s.hashes, s.records = tree, append(s.hashes, hashes...), append(s.records, data)
	}
}

// rewrite replaces the ledger by another one of n entries.
func (s *fakeServer) rewrite(n int, salt string) {
	s.mu.Lock()
	s.tree, s.hashes, s.records = nil, nil, nil
	s.mu.Unlock()
	s.grow(n, salt)
}

// ReadHashes makes the server a store.HashReader; the caller holds mu.
func (s *fakeServer) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		out[i] = tlog.Hash(s.hashes[x])
	}
	return out, nil
}

func (s *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, route := range api.Routes() {
		mux := http.NewServeMux()
		mux.HandleFunc(route.Pattern(), func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, route) })
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
	}
	http.NotFound(w, r)
}

func (s *fakeServer) answer(w http.ResponseWriter, r *http.Request, route api.Route) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.called = append(s.called, route)
	s.bodies[route.Pattern()] = append(s.bodies[route.Pattern()], r.URL.RequestURI()+" "+string(body))
	v := s.answers[route.Pattern()]
	if later, ok := v.(func() any); ok {
		v = later()
	}
	token, signedIn := []byte(nil), r.Header.Get(api.TokenHeader) == "Bearer "+base64.RawURLEncoding.EncodeToString(testToken)
	if signedIn {
		token = testToken
	}
	key, unproved := api.Proved(r.Header.Get(api.ProofHeader), api.Signed{Method: r.Method, Target: r.RequestURI, Token: token, Body: body}, nil, time.Now())
	switch {
	case slices.Contains([]api.Route{api.RouteSignIn, api.RouteEnrollFinish, api.RouteSignInBegin, api.RouteRedeem, api.RouteBotSignIn}, route):
		if unproved != nil {
			s.t.Errorf("%s: %v", route.Pattern(), unproved)
		}
		s.keys[key] = true
	case signedIn && (unproved != nil || !s.keys[key]):
		s.t.Errorf("%s is not signed with the key of a sign-in: %v", route.Pattern(), unproved)
	}
	switch {
	case v == nil:
		v = s.dynamic(r, route, body)
	case route == api.RouteSignIn || route == api.RouteEnrollFinish:
		if !strings.Contains(string(body), goodCode) && !strings.Contains(string(body), testCodes[0]) {
			v = api.NewError(api.KindUnauthenticated, "", "the code was not accepted")
		}
	}
	if route.Who != api.WhoAnybody && !signedIn {
		v = api.NewError(api.KindUnauthenticated, "", "the sign-in has ended")
	}
	if f, ok := v.(func([]byte) any); ok {
		v = f(body)
	}
	if e, ok := v.(*api.Error); ok {
		w.WriteHeader(e.Status)
	}
	_ = json.NewEncoder(w).Encode(v)
}

// dynamic answers what depends on the question.
func (s *fakeServer) dynamic(r *http.Request, route api.Route, body []byte) any {
	number := func(name string) uint64 {
		n, _ := strconv.ParseUint(r.URL.Query().Get(name), 10, 64)
		return n
	}
	signed, err := s.signer.Checkpoint(s.tree)
	if err != nil {
		return api.NewError(api.KindInternal, "", "%v", err)
	}
	switch route {
	case api.RouteCheckpoint:
		resp := api.CheckpointResponse{Checkpoint: signed}
		if p, err := store.ProveConsistency(number("since"), s.tree.Size(), s); err == nil {
			resp.Proof = proof(p)
		}
		return resp
	case api.RouteEntry:
		index, _ := strconv.ParseUint(r.PathValue("index"), 10, 64)
		p, err := store.ProveInclusion(number("size"), store.Index(index), s)
		if err != nil {
			return api.NewError(api.KindNotFound, "", "%v", err)
		}
		return api.EntryResponse{Entry: s.entry(index), Data: s.records[index], Checkpoint: signed, Proof: proof(p)}
	case api.RouteRaw:
		return api.RawResponse{From: number("from"), Records: s.records[number("from"):]}
	case api.RouteEntries:
		return s.entries(int(number("limit")), number("before"))
	case api.RouteCertificate:
		return s.certificate(body)
	}
	return api.NewError(api.KindNotFound, "", "the test answers nothing here")
}

func (s *fakeServer) entry(index uint64) api.Entry {
	if e, err := store.DecodeEntry(s.records[index]); err == nil && e.Event.EventType() != store.TypeSessionRefused {
		return api.Entry{Index: index, Time: e.Time.Time(), Type: string(e.Event.EventType()), Actor: "server"}
	}
	return api.Entry{
		Index: index, Time: time.UnixMilli(1_700_000_000_000).UTC(), Type: "session.refused", Actor: "server", User: "carol",
		Fields: map[string]any{"reason": "no-grant"}, Summary: "carol was refused a session: no-grant",
	}
}

func (s *fakeServer) entries(limit int, before uint64) api.EntriesResponse {
	if before == 0 {
		before = s.tree.Size()
	}
	r := api.EntriesResponse{Size: s.tree.Size()}
	for before > 0 && len(r.Entries) < limit {
		before--
		r.Entries = append(r.Entries, s.entry(before))
		r.Next = before
	}
	return r
}

func (s *fakeServer) certificate(body []byte) any {
	var q api.CertificateRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return api.NewError(api.KindInvalid, "", "%v", err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(q.PublicKey))
	if err != nil {
		return api.NewError(api.KindInvalid, "", "%v", err)
	}
	s.issued++
	now := uint64(time.Now().Unix())
	cert := &ssh.Certificate{
		Key: key, CertType: ssh.UserCert, Serial: s.issued, ValidPrincipals: []string{store.UserID{1}.String()},
		ValidAfter: now - 60, ValidBefore: now + 300,
	}
	if err := cert.SignCert(rand.Reader, s.userCA); err != nil {
		return api.NewError(api.KindInternal, "", "%v", err)
	}
	return api.CertificateResponse{Certificate: string(ssh.MarshalAuthorizedKey(cert)), Serial: s.issued}
}

func (s *fakeServer) certificates() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issued
}

func proof(p store.Proof) [][]byte {
	out := make([][]byte, len(p))
	for i, h := range p {
		out[i] = h[:]
	}
	return out
}

func (s *fakeServer) pin() []byte {
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	return sum[:]
}

func (s *fakeServer) invitation() string {
	return api.Invitation{Host: s.Listener.Addr().String(), Token: [32]byte(testToken), Pin: s.pin()}.String()
}
