package bolt_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/storetest"
)

// campaign makes long tests long.
func campaign(short, long int) int {
	if os.Getenv("VAULTPAM_CAMPAIGN") != "" {
		return long
	}
	return short
}

// A company makes target certificates for users who each work on a few targets
// most of the time.
type company struct {
	rand           *rand.Rand
	users, targets int
}

func (c *company) certificate() store.Event {
	n := c.rand.IntN(c.users)
	target := c.rand.IntN(c.targets)
	if c.rand.IntN(10) > 0 {
		target = (7*n + c.rand.IntN(5)) % c.targets
	}
	e := &store.CertificateIssued{
		Kind: store.CertificateTarget, User: companyUser(n),
		Expires: 1_700_000_300_000, Rules: 1, SignIn: store.Index(1_000_000 + n),
		Target: companyTarget(target), Login: "root", Parent: store.Index(2_000_000 + n),
	}
	fill(c.rand, e.TBS[:])
	fill(c.rand, e.Session[:])
	return e
}

// companyUser returns an ID that is as scattered as a random one.
func companyUser(n int) (id store.UserID) {
	fill(rand.New(rand.NewPCG(uint64(n), 77)), id[:])
	return id
}

func companyTarget(n int) store.Index { return store.Index(100 + n) }

func fill(r *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}

func (c *company) grow(t *testing.T, b store.Backend, h *storetest.History, entries, batch int) {
	t.Helper()
	for entries > 0 {
		events := make([]store.Event, min(batch, entries))
		for i := range events {
			events[i] = c.certificate()
		}
		next := h.BatchOf(t, events...)
		if err := b.Append(t.Context(), next); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, next)
		entries -= len(events)
	}
}

// TestBytesPerEntry holds the goal of at most 400 bytes on disk for each
// certificate entry, and of under a millisecond for the last 50 of one user on
// one target. The campaign asks for more entries and several companies.
func TestBytesPerEntry(t *testing.T) {
	entries := campaign(20_000, 200_000)
	tests := []struct {
		users, targets, batch int
	}{
		{300, 100, 16},
		{50, 20, 16},
		{300, 100, 128},
		{1000, 1000, 128},
	}
	for _, tt := range tests[:campaign(1, len(tests))] {
		t.Run(fmt.Sprintf("users=%d/targets=%d/batch=%d", tt.users, tt.targets, tt.batch), func(t *testing.T) {
			dir, h := t.TempDir(), storetest.NewHistory(t)
			b := open(t, dir)
			c := &company{rand: rand.New(rand.NewPCG(3, 4)), users: tt.users, targets: tt.targets}
			began := time.Now()
			c.grow(t, b, h, entries, tt.batch)
			took := time.Since(began)
			median := medianFind(t, b, c)
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			per := diskBytes(t, filepath.Join(dir, "ledger.db")) / float64(entries)
			t.Logf("%d entries: %.0f bytes each; %.0f entries/s with hashing and encoding; last 50 of a user on a target %v",
				entries, per, float64(entries)/took.Seconds(), median)
			if per > 400 {
				t.Errorf("%.0f bytes on disk for each entry, want at most 400", per)
			}
			if median > time.Millisecond {
				t.Errorf("last 50 of a user on a target take %v, want at most 1 ms", median)
			}
		})
	}
}

// diskBytes returns how many bytes of a file were ever used; behind them are
// only holes.
func diskBytes(t *testing.T, path string) float64 {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	err = db.View(func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return float64(size)
}

func medianFind(t *testing.T, b store.Backend, c *company) time.Duration {
	t.Helper()
	times := make([]time.Duration, 201)
	all := 0
	for i := range times {
		n := c.rand.IntN(c.users)
		q := store.Query{User: companyUser(n), Target: companyTarget((7*n + 1) % c.targets), Limit: 50, Order: store.NewestFirst}
		began := time.Now()
		found, err := b.Find(t.Context(), q)
		times[i] = time.Since(began)
		if err != nil {
			t.Fatal(err)
		}
		all += len(found)
	}
	if all == 0 {
		t.Error("none of the queries found anything")
	}
	return median(times)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}
