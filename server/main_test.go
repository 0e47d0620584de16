package server_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vaultpam/vaultpam/server"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := pattern.remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// A mould is a data directory that tests copy: making one encrypts the emergency
// CA's key, which is slow on purpose.
type mould struct {
	once  sync.Once // guards the making of the fields below
	dir   server.Dir
	begun server.InitResult
	err   error
}

var pattern mould

func (m *mould) make(t *testing.T) server.InitResult {
	t.Helper()
	m.once.Do(func() {
		var temp string
		if temp, m.err = os.MkdirTemp("", "vaultpam-server-test-"); m.err != nil { //nolint:usetesting // it outlives the test that makes it
			return
		}
		m.dir = server.Dir(filepath.Join(temp, "data"))
		m.begun, m.err = server.Init(t.Context(), environment(newHand()), initRequest(m.dir))
	})
	if m.err != nil {
		t.Fatal(m.err)
	}
	return m.begun
}

func (m *mould) remove() error {
	if m.dir == "" {
		return nil
	}
	return os.RemoveAll(filepath.Dir(string(m.dir)))
}

// copied copies a data directory with its modes.
func copied(t *testing.T, from, to server.Dir) {
	t.Helper()
	err := filepath.WalkDir(string(from), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(string(from), path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Mkdir(filepath.Join(string(to), name), info.Mode().Perm())
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(string(to), name), data, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}
