package server_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// A cell is a ledger in this process with one person who has signed in.
type cell struct {
	ctx    context.Context
	ledger *ledger.Ledger
	token  store.Hash
	key    ssh.PublicKey
}

func newCell(b *testing.B) *cell {
	b.Helper()
	backend, err := bolt.Create(filepath.Join(b.TempDir(), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	_, logKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	config := ledger.Config{
		Backend: backend, LogKey: logKey, SnapshotKey: make([]byte, 32),
		UserCA: newAuthority(b, ca.User), TargetCA: newAuthority(b, ca.Target), Now: time.Now,
	}
	invitation := store.Hash(sha256.Sum256([]byte("invitation")))
	admin := access.AddUser{Handle: "ada", Invite: access.Invite{Token: invitation}}
	rand.Read(admin.ID[:])
	err = ledger.Create(b.Context(), config, access.CreateLedger{
		Name: "localhost", LogKey: logKey.Public().(ed25519.PublicKey),
		UserCA: config.UserCA.PublicKey(), TargetCA: config.TargetCA.PublicKey(),
		HostCA: freshKey(b), EmergencyCA: freshKey(b),
		SelfGrant: store.SelfGrantRefused, Administrator: admin,
	})
	if err != nil {
		b.Fatal(err)
	}
	c := &cell{ctx: b.Context(), token: sha256.Sum256([]byte("token")), key: freshKey(b)}
	if c.ledger, err = ledger.Open(b.Context(), config); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(c.ledger.Close(), backend.Close()); err != nil {
			b.Error(err)
		}
	})
	if _, err := c.ledger.Do(b.Context(), access.Enroll{Invitation: invitation, Codes: store.Hash{1}, Factor: access.NewFactor{Step: 1}, Holder: &access.Holder{Token: c.token, Key: benchKey, Source: "192.0.2.1"}}); err != nil {
		b.Fatal(err)
	}
	return c
}

// benchKey is what the cell signs with, or would.
var benchKey = store.ClientKey{1}

func newAuthority(b *testing.B, kind ca.Kind) *ca.Authority {
	b.Helper()
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	a, err := ca.NewAuthority(kind, key)
	if err != nil {
		b.Fatal(err)
	}
	return a
}

// BenchmarkAppend is what the disk and the back end allow: one write of a page
// with its sync, and batches of certificate entries that were encoded and hashed
// before the clock ran.
func BenchmarkAppend(b *testing.B) {
	dir := b.TempDir()
	rows := []row{{"write+fdatasync", syncPages}}
	for _, size := range []int{1, 16, 256} {
		rows = append(rows, row{fmt.Sprintf("append/batch=%d", size), func(b *testing.B) []figure { return appendBatches(b, size) }})
	}
	compare(b, "appending on "+filesystem(b, dir), rows)
}

// syncPages writes pages of 4 KiB in place and makes each durable.
func syncPages(b *testing.B) []figure {
	const pages = 256
	f, err := os.Create(filepath.Join(b.TempDir(), "pages"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for range pages {
		f.Write(page)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	var took []float64
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		if _, err := f.WriteAt(page, int64(i%pages)*int64(len(page))); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start).Seconds()*1e3)
	}
	return []figure{{"p50-ms", quantile(took, 0.5)}, {"p99-ms", quantile(took, 0.99)}}
}

// appendBatches appends batches of one size. One operation is one batch.
func appendBatches(b *testing.B, size int) []figure {
	backend, err := bolt.Create(filepath.Join(b.TempDir(), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer backend.Close()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	signer, err := store.NewCheckpointSigner("localhost/ledger", key)
	if err != nil {
		b.Fatal(err)
	}
	tree, err := store.OpenTree(0, nil)
	if err != nil {
		b.Fatal(err)
	}
	var head store.Head
	var took []float64
	var total float64
	for b.Loop() {
		b.StopTimer()
		batch, next := nextBatch(b, signer, tree, head, size)
		b.StartTimer()
		start := time.Now()
		if err := backend.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start).Seconds()*1e3)
		total += took[len(took)-1]
		tree, head = next, store.Head{Size: next.Size(), Checkpoint: batch.Checkpoint}
	}
	return []figure{
		{"entries/s", float64(len(took)*size) / total * 1e3},
		{"p50-ms", quantile(took, 0.5)},
		{"p99-ms", quantile(took, 0.99)},
	}
}

// nextBatch makes a batch of certificate entries of 300 users and 100 targets.
func nextBatch(b *testing.B, signer *store.CheckpointSigner, tree *store.Tree, head store.Head, size int) (store.Batch, *store.Tree) {
	b.Helper()
	batch := store.Batch{Expect: head}
	leaves := make([][]byte, size)
	for i := range leaves {
		at := store.Index(head.Size) + store.Index(i)
		user := sha256.Sum256(fmt.Append(nil, at%300)) // as scattered as a random ID
		issued := &store.CertificateIssued{
			Kind: store.CertificateTarget, User: store.UserID(user[:16]),
			TBS: sha256.Sum256(fmt.Append(nil, at)), Expires: 1_700_000_300_000, Rules: 1, SignIn: 7,
			Target: 100 + at%100, Login: "root", Session: store.SessionID{1, byte(at), byte(at >> 8), byte(at >> 16)}, Parent: 9,
		}
		e := &store.Entry{Index: at, Time: store.Millis(1_700_000_000_000 + int64(at)), Event: issued}
		data, err := e.Encode()
		if err != nil {
			b.Fatal(err)
		}
		leaves[i] = data
		batch.Records = append(batch.Records, store.NewRecord(data, e))
	}
	next, hashes, err := tree.Append(leaves)
	if err != nil {
		b.Fatal(err)
	}
	batch.Hashes = hashes
	if batch.Checkpoint, err = signer.Checkpoint(next); err != nil {
		b.Fatal(err)
	}
	return batch, next
}
