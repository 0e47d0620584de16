package server_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// atGrants is how many grants a person of BenchmarkAt has.
const atGrants = 10

// keepPast has a server keep the snapshots of a ledger's past, as one does after
// an upgrade, and returns how long that took where nothing else is to be done.
func keepPast(b *testing.B, dir server.Dir) time.Duration {
	b.Helper()
	n := openNode(b, dir)
	began := time.Now()
	kept := awaitPast(b, n.Ledger())
	took := time.Since(began)
	if err := n.Close(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d snapshots of the past were there after %v", kept, took.Round(time.Millisecond))
	return took
}

func openNode(b *testing.B, dir server.Dir) *server.Node {
	b.Helper()
	env := environment(newHand())
	env.Now = time.Now
	n, err := server.Open(b.Context(), server.Options{Environment: env, Dir: dir, Version: "v0"})
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// awaitPast waits until all snapshots of the past are kept, and counts them.
func awaitPast(b *testing.B, l *ledger.Ledger) int {
	b.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		there, due := l.Kept()
		if there == due {
			return there
		}
		<-tick.C
	}
}

// BenchmarkAt makes states of the past: of a year ago, of any moment, and of a year
// ago as the first thing after a start. VAULTPAM_ENTRIES and VAULTPAM_LEDGERS are
// those of BenchmarkLarge.
func BenchmarkAt(b *testing.B) {
	entries := manyEntries(b)
	dir := filepath.Join(os.Getenv("VAULTPAM_LEDGERS"), "at-"+strconv.Itoa(entries))
	if os.Getenv("VAULTPAM_LEDGERS") == "" {
		dir = filepath.Join(b.TempDir(), "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "ledger.db")); errors.Is(err, fs.ErrNotExist) {
		makeYear(b, server.Dir(dir), entries, atGrants)
	}
	took := keepPast(b, server.Dir(dir))
	n := openNode(b, server.Dir(dir))
	defer func() {
		if err := n.Close(); err != nil {
			b.Error(err)
		}
	}()
	l := n.Ledger()
	count, bytes := keptSize(b, l)
	s := l.State()
	// The company is there after its first entries; what comes then is its work.
	founded, size := 1, int(s.Next())
	for g := range s.Grants() {
		founded = max(founded, int(g.Entry))
	}
	compare(b, fmt.Sprintf("states of the past, %d entries; %d snapshots of them take %.1f MiB, and %.0f s until they were there",
		size, count, float64(bytes)/(1<<20), took.Seconds()), []row{
		{"at/year-ago", func(b *testing.B) []figure { return askAt(b, l, founded, founded+size/100) }},
		{"at/any", func(b *testing.B) []figure { return askAt(b, l, founded, size) }},
		{"at/year-ago/first", func(b *testing.B) []figure {
			var took []float64
			for b.Loop() {
				b.StopTimer()
				if err := n.Close(); err != nil {
					b.Fatal(err)
				}
				n = openNode(b, server.Dir(dir))
				l = n.Ledger()
				b.StartTimer()
				took = append(took, askOnce(b, l, founded, founded+size/100))
			}
			return []figure{{"p50-ms", quantile(took, 0.5)}, {"worst-ms", quantile(took, 1)}}
		}},
	})
}

// askAt asks for states after entries between two.
func askAt(b *testing.B, l *ledger.Ledger, from, to int) []figure {
	b.Helper()
	var took []float64
	for b.Loop() {
		took = append(took, askOnce(b, l, from, to))
	}
	return []figure{{"p50-ms", quantile(took, 0.5)}, {"p99-ms", quantile(took, 0.99)}, {"worst-ms", quantile(took, 1)}}
}

func askOnce(b *testing.B, l *ledger.Ledger, from, to int) float64 {
	b.Helper()
	at := store.Index(from + rand.IntN(to-from))
	e, _, err := l.Entry(b.Context(), at)
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	s, err := l.At(b.Context(), e.Time)
	took := time.Since(began)
	if err != nil || s.Next() <= at {
		b.Fatalf("a state after %d entries, want one after %d or more: %v", s.Next(), at, err)
	}
	return took.Seconds() * 1e3
}

// keptSize is how many snapshots of the past there are, and how many bytes they
// have together.
func keptSize(b *testing.B, l *ledger.Ledger) (count, bytes int) {
	b.Helper()
	kept, err := l.Backend.KeptSnapshots(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, head := range kept {
		s, err := l.Backend.KeptSnapshot(b.Context(), head.Size)
		if err != nil {
			b.Fatal(err)
		}
		bytes += len(s.Data)
	}
	return len(kept), bytes
}
