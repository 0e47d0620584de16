package bolt_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens the ledger in a folder, and makes it where there is none.
func open(t *testing.T, place string) store.Backend {
	t.Helper()
	path := filepath.Join(place, "ledger.db")
	b, err := bolt.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		b, err = bolt.Create(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) { storetest.Run(t, open) }

func TestMode(t *testing.T) {
	dir := t.TempDir()
	b := open(t, dir)
	if err := b.WriteSide(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ledger.db", "ledger.db.journal"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("%s: mode %v, want 0600", name, info.Mode())
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
