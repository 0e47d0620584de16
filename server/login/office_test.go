package login_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = at("192.0.2.7")

// clientKey is what every program of these tests signs with.
var clientKey = store.ClientKey{1, 2, 3}

func at(source string) login.Client {
	return login.Client{Source: netip.MustParseAddr(source), Key: clientKey}
}

// by is who holds a session's token and the key.
func by(token []byte) access.Caller {
	return access.Caller{Token: login.TokenHash(token), Key: clientKey}
}

// totp is RFC 6238 written down a second time: SHA-1, 30 seconds.
func totp(seed []byte, at time.Time, digits int) string {
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(at.Unix()/30))
	mac := hmac.New(sha1.New, seed)
	mac.Write(counter[:])
	sum := mac.Sum(nil)
	number := binary.BigEndian.Uint32(sum[sum[19]&15:]) & 0x7fffffff
	modulus := uint32(1)
	for range digits {
		modulus *= 10
	}
	return fmt.Sprintf("%0*d", digits, number%modulus)
}

// A clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) wait(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// An office is a server of which only sign-in is there.
type office struct {
	testing.TB
	dir     string
	clock   *clock
	config  ledger.Config
	key     []byte // the sealer's
	backend *watched
	ledger  *ledger.Ledger
	pages   login.Browser
	why     string // browsers would make no passkey here; "" is that they do
	*login.Login
}

// found opens an office with a ledger that has begun.
func found(t testing.TB) *office {
	t.Helper()
	_, log, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{TB: t, dir: t.TempDir(), key: random(32), clock: &clock{now: time.Date(2026, 11, 2, 12, 0, 5, 0, time.UTC)}}
	o.pages = login.Browser{Origins: []string{siteOrigin}, Refusal: func() string { return o.why }}
	o.config = ledger.Config{
		LogKey: log, SnapshotKey: random(32), UserCA: authority(t, ca.User), TargetCA: authority(t, ca.Target), Now: o.clock.Now,
	}
	b, err := bolt.Create(o.path())
	if err != nil {
		t.Fatal(err)
	}
	o.config.Backend = b
	user := o.config.UserCA.PublicKey()
	if err := ledger.Create(t.Context(), o.config, access.CreateLedger{
		Name: "pam.example.eu", LogKey: log.Public().(ed25519.PublicKey), SelfGrant: store.SelfGrantRefused,
		UserCA: user, TargetCA: o.config.TargetCA.PublicKey(), HostCA: user, EmergencyCA: user,
		Administrator: addUser("alice", random(32)),
	}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	o.open()
	t.Cleanup(o.close)
	return o
}

func (o *office) path() string { return filepath.Join(o.dir, "ledger.db") }

func (o *office) open() {
	o.Helper()
	b, err := bolt.Open(o.path())
	if err != nil {
		o.Fatal(err)
	}
	o.backend = &watched{Backend: b}
	o.config.Backend = o.backend
	if o.ledger, err = ledger.Open(context.Background(), o.config); err != nil {
		o.Fatal(err)
	}
	if o.Login, err = login.New(login.Config{
		Ledger: o.ledger, Sealer: o.sealer(), Now: o.clock.Now, Random: rand.Reader, Browser: &o.pages,
	}); err != nil {
		o.Fatal(err)
	}
}

func (o *office) sealer() *login.Sealer {
	o.Helper()
	s, err := login.NewSealer(o.key, rand.Reader)
	if err != nil {
		o.Fatal(err)
	}
	return s
}

func (o *office) close() {
	o.Helper()
	if err := o.ledger.Close(); err != nil {
		o.Error(err)
	}
	if err := o.backend.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
		o.Error(err)
	}
}

// restart closes the office and opens it again.
func (o *office) restart() {
	o.Helper()
	o.close()
	o.open()
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

func random(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(rand.Reader, b); err != nil {
		panic(err)
	}
	return b
}

func addUser(handle string, token []byte) access.AddUser {
	return access.AddUser{
		By: access.Caller{Local: true}, ID: store.UserID(random(16)), Handle: handle, Salt: [32]byte(random(32)),
		Invite: access.Invite{Token: login.TokenHash(token)},
	}
}

func (o *office) do(c access.Command) {
	o.Helper()
	if _, err := o.ledger.Do(context.Background(), c); err != nil {
		o.Fatalf("%T: %v", c, err)
	}
}

// invite adds somebody and returns the token of their invitation.
func (o *office) invite(handle string) []byte {
	o.Helper()
	token := random(32)
	o.do(addUser(handle, token))
	return token
}

// seed reads an invitation as an authenticator does.
func (o *office) seed(token []byte) []byte {
	o.Helper()
	e, err := o.BeginEnrolment(token)
	if err != nil {
		o.Fatal(err)
	}
	seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(e.Secret)
	if err != nil {
		o.Fatal(err)
	}
	return seed
}

// employ adds somebody who enrols, and returns their seed. The code of this
// moment is used up.
func (o *office) employ(handle string) []byte {
	o.Helper()
	token := o.invite(handle)
	seed := o.seed(token)
	if _, err := o.FinishEnrolment(context.Background(), token, o.code(seed), home); err != nil {
		o.Fatal(err)
	}
	return seed
}

func (o *office) code(seed []byte) string { return totp(seed, o.clock.Now(), 6) }

// wrong is a code that does not fit at this moment.
func (o *office) wrong(seed []byte) string {
	for code := 0; ; code++ {
		text, fits := fmt.Sprintf("%06d", code), false
		for drift := -2; drift <= 2; drift++ {
			fits = fits || totp(seed, o.clock.Now().Add(time.Duration(drift)*30*time.Second), 6) == text
		}
		if !fits {
			return text
		}
	}
}

// try is a sign-in of which only the outcome counts.
func (o *office) try(handle, code string, source login.Client) error {
	_, err := o.SignIn(context.Background(), login.Proof{Handle: handle, Code: code}, source)
	return err
}

// address returns one of many addresses.
func address(i int) login.Client {
	return login.Client{Source: netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), Key: clientKey}
}

// kind returns the kind of a refusal, or 0.
func kind(err error) access.Kind {
	var r *access.Refusal
	if errors.As(err, &r) {
		return r.Kind
	}
	return 0
}

// holds reports whether the database's file contains the bytes.
func (o *office) holds(canary []byte) bool {
	o.Helper()
	found := false
	for _, name := range []string{"ledger.db", "ledger.db.journal"} {
		data, err := fs.ReadFile(os.DirFS(o.dir), name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.Fatal(err)
		}
		found = found || bytes.Contains(data, canary)
	}
	return found
}

// noted returns the entries about failed sign-ins.
func (o *office) noted() []*store.SignInFailed {
	o.Helper()
	entries, err := o.ledger.Find(context.Background(), store.Query{Type: store.TypeSignInFailed})
	if err != nil {
		o.Fatal(err)
	}
	var failed []*store.SignInFailed
	for _, e := range entries {
		failed = append(failed, e.Event.(*store.SignInFailed))
	}
	return failed
}

// stops returns of how many failures each entry tells that shut strangers out.
func (o *office) stops() []uint64 {
	o.Helper()
	entries, err := o.ledger.Find(context.Background(), store.Query{Type: store.TypeSignInStopped})
	if err != nil {
		o.Fatal(err)
	}
	var counts []uint64
	for _, e := range entries {
		counts = append(counts, e.Event.(*store.SignInStopped).Count)
	}
	return counts
}
