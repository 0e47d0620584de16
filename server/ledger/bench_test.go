package ledger_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// BenchmarkIssue is the way from a wish to a signed certificate, durable in a
// bbolt file, beside its parts: signing alone, and appending alone.
func BenchmarkIssue(b *testing.B) {
	for _, workers := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("ledger-%d", workers), func(b *testing.B) {
			h := build(b)
			l := h.open()
			p := employ(b, l, "carol", h.subject)
			h.backend.set(nil, nil)
			parallel(b, workers, func() error {
				_, _, err := l.Issue(context.Background(), p.certificate())
				return err
			})
			b.ReportMetric(float64(b.N)/float64(len(h.backend.appends())), "certs/append")
		})
	}
	b.Run("sign", func(b *testing.B) {
		h := build(b)
		now := time.Now()
		for b.Loop() {
			unsigned, err := ca.Build(ca.Request{
				Kind: ca.User, Authority: h.config.UserCA.PublicKey(), Key: h.subject, Serial: 1, KeyID: ca.UserKeyID("carol", 1),
				Principal: store.UserID{1}.String(), ValidAfter: now, ValidBefore: now.Add(time.Minute), Nonce: random32(),
			})
			if err != nil {
				b.Fatal(err)
			}
			if _, err := h.config.UserCA.Sign(unsigned); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAppend is the back end alone, with batches such as the ledger makes.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("batch-%d", n), func(b *testing.B) {
			signer, err := store.NewCheckpointSigner(store.Origin(serverName), newConfig(b).LogKey)
			if err != nil {
				b.Fatal(err)
			}
			tree, err := store.OpenTree(0, nil)
			if err != nil {
				b.Fatal(err)
			}
			backend, head := emptyBackend(b), store.Head{}
			for b.Loop() {
				b.StopTimer()
				batch := store.Batch{Expect: head}
				leaves := make([][]byte, n)
				for i := range n {
					e := &store.Entry{Index: store.Index(head.Size) + store.Index(i), Time: 1, Event: &store.CertificateIssued{
						Kind: store.CertificateUser, User: store.UserID{1}, TBS: random32(), Expires: 1, Rules: 1, SignIn: 1,
					}}
					if leaves[i], err = e.Encode(); err != nil {
						b.Fatal(err)
					}
					batch.Records = append(batch.Records, store.NewRecord(leaves[i], e))
				}
				if tree, batch.Hashes, err = tree.Append(leaves); err != nil {
					b.Fatal(err)
				}
				if batch.Checkpoint, err = signer.Checkpoint(tree); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := backend.Append(context.Background(), batch); err != nil {
					b.Fatal(err)
				}
				head = store.Head{Size: tree.Size(), Checkpoint: batch.Checkpoint}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkStart opens a ledger of 20,000 entries, with its snapshot and without.
func BenchmarkStart(b *testing.B) {
	h := build(b)
	l := h.open()
	p := employ(b, l, "carol", h.subject)
	for range 20_000 / 32 {
		parallelN(b, 32, 32, func() error {
			_, _, err := l.Issue(context.Background(), p.certificate())
			return err
		})
	}
	h.close(l)
	for name, tamper := range map[string]tampered{"snapshot": {}, "entries": {snapshot: noSnapshot}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				l := h.openOver(func(backend store.Backend) store.Backend {
					t := tamper
					t.Backend = backend
					return t
				})
				h.close(l)
			}
		})
	}
}

// parallel divides b.N calls among workers.
func parallel(b *testing.B, workers int, call func() error) {
	b.Helper()
	b.ReportAllocs()
	b.ResetTimer()
	parallelN(b, workers, b.N, call)
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "certs/s")
}

func parallelN(b *testing.B, workers, n int, call func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var group errgroup.Group // ends with the last call
	for range workers {
		group.Go(func() error {
			for left.Add(-1) >= 0 {
				if err := call(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

func emptyBackend(b *testing.B) store.Backend {
	b.Helper()
	backend, err := bolt.Create(filepath.Join(b.TempDir(), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := backend.Close(); err != nil {
			b.Error(err)
		}
	})
	return backend
}
