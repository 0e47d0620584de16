package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

// A swap puts another file under the open descriptor of a ledger or its journal,
// so that writes and syncs meet what that file answers:
//
//	/dev/null   a write works, the sync after it fails
//	read-only   a write fails
type swap struct {
	file, kept int
}

func swapFile(t *testing.T, path, with string) *swap {
	t.Helper()
	s := &swap{file: descriptor(t, path)}
	flags := os.O_RDWR
	if with == "read-only" {
		with, flags = path, os.O_RDONLY
	}
	f, err := os.OpenFile(with, flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.kept, err = syscall.Dup(s.file); err != nil { // also keeps the lock
		t.Fatal(err)
	}
	if err := syscall.Dup3(int(f.Fd()), s.file, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// back puts the own file back.
func (s *swap) back(t *testing.T) {
	t.Helper()
	if err := syscall.Dup3(s.kept, s.file, syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Close(s.kept); err != nil {
		t.Fatal(err)
	}
}

// descriptor returns the descriptor that this process writes to a file with.
func descriptor(t *testing.T, path string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == path {
			fd, err := strconv.Atoi(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err == nil && flags&unix.O_ACCMODE == unix.O_RDWR { // the warmer only reads
				return fd
			}
		}
	}
	t.Fatalf("%s is not open", path)
	return -1
}

// writes are the calls that write.
func writes(b store.Backend, batch store.Batch) map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error { return b.Append(ctx, batch) },
		"WriteSide": func(ctx context.Context) error {
			return b.WriteSide(ctx, []store.SideWrite{{Table: store.SideSecrets, Key: []byte("k"), Value: []byte("v")}})
		},
		"SaveSnapshot": func(ctx context.Context) error {
			return b.SaveSnapshot(ctx, store.Snapshot{Version: 1, Size: 1, Data: []byte("x")})
		},
	}
}

func appendSome(t *testing.T, b store.Backend, h *storetest.History, batches int) {
	t.Helper()
	for range batches {
		batch := h.Batch(t, 5)
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
	}
}

// TestR4FailedWrite: after a failed write or sync nothing is answered, not even
// a read, until the ledger is opened anew; nothing acknowledged is missing then.
func TestR4FailedWrite(t *testing.T) {
	for _, with := range []string{"/dev/null", "read-only"} {
		for name, file := range map[string]string{"Append": "ledger.db.journal", "WriteSide": "ledger.db.journal", "SaveSnapshot": "ledger.db"} {
			t.Run(fmt.Sprintf("%s/%s", filepath.Base(with), name), func(t *testing.T) {
				dir, h := t.TempDir(), storetest.NewHistory(t)
				b := open(t, dir)
				appendSome(t, b, h, 3)
				calls := writes(b, h.Batch(t, 3))
				failing := swapFile(t, filepath.Join(dir, file), with)
				if err := calls[name](t.Context()); !errors.Is(err, store.ErrUncertain) {
					t.Errorf("error %v, want ErrUncertain", err)
				}
				failing.back(t)
				mustBeBroken(t, b, calls)
				reopenAndCheck(t, b, dir, h)
			})
		}
	}
}

// TestR4FailedCommit: what the journal acknowledged can't be brought into the
// file. Nothing is answered from then on, and nothing of it is missing after the
// ledger was opened anew.
func TestR4FailedCommit(t *testing.T) {
	for _, with := range []string{"/dev/null", "read-only"} {
		t.Run(filepath.Base(with), func(t *testing.T) {
			dir, h := t.TempDir(), storetest.NewHistory(t)
			b := open(t, dir).(*bolt.Backend)
			appendSome(t, b, h, 3)
			failing := swapFile(t, filepath.Join(dir, "ledger.db"), with)
			appendSome(t, b, h, 1)
			calls := writes(b, h.Batch(t, 3))
			if err := calls["SaveSnapshot"](t.Context()); !errors.Is(err, store.ErrUncertain) {
				t.Errorf("error %v, want ErrUncertain", err)
			}
			failing.back(t)
			mustBeBroken(t, b, calls)
			reopenAndCheck(t, b, dir, h)
		})
	}
}

func mustBeBroken(t *testing.T, b store.Backend, calls map[string]func(context.Context) error) {
	t.Helper()
	for name, call := range calls {
		if err := call(t.Context()); !errors.Is(err, store.ErrUncertain) {
			t.Errorf("%s afterwards: error %v, want ErrUncertain", name, err)
		}
	}
	if _, err := b.Head(t.Context()); !errors.Is(err, store.ErrUncertain) {
		t.Errorf("Head afterwards: error %v, want ErrUncertain", err)
	}
}

func reopenAndCheck(t *testing.T, b store.Backend, dir string, h *storetest.History) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, dir)
	head, err := again.Head(t.Context())
	if err != nil || head.Size != h.Head().Size {
		t.Errorf("after reopening %d entries, error %v, want %d", head.Size, err, h.Head().Size)
	}
	appendSome(t, again, h, 3)
	if err := errors.Join(storetest.Check(t.Context(), again, h.Origin, h.LogKey), again.Close()); err != nil {
		t.Fatal(err)
	}
	checkPages(t, filepath.Join(dir, "ledger.db"))
}

// checkPages has bbolt look for pages that are lost or used twice.
func checkPages(t *testing.T, path string) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.View(func(tx *bbolt.Tx) error {
		var all []error
		for err := range tx.Check() {
			all = append(all, err)
		}
		return errors.Join(all...)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}
