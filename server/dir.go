package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A Dir is a server's data directory.
type Dir string

// Config is the configuration file.
func (d Dir) Config() string { return filepath.Join(string(d), "vaultpam.yaml") }

func (d Dir) keys() string   { return filepath.Join(string(d), "keys") }
func (d Dir) ledger() string { return filepath.Join(string(d), "ledger.db") }

// journal is there while a server writes, and after one that was killed.
func (d Dir) journal() string    { return d.ledger() + ".journal" }
func (d Dir) recordings() string { return filepath.Join(string(d), "recordings") }
func (d Dir) tls() string        { return filepath.Join(string(d), "tls") }

// Socket is the unix socket for the administrator on this machine.
func (d Dir) Socket() string { return filepath.Join(string(d), "vaultpamd.sock") }

// EmergencyKey is the emergency CA's encrypted key file.
func (d Dir) EmergencyKey() string { return filepath.Join(d.keys(), "emergency-ca") }

func (d Dir) key(name string) string { return filepath.Join(d.keys(), name) }
func (d Dir) pid() string            { return filepath.Join(string(d), "vaultpamd.pid") }

// begun is where init makes everything. What stands beside it is not init's.
func (d Dir) begun() Dir { return Dir(filepath.Join(string(d), ".init")) }

// made is what begun is called when everything in it is made and being put in
// place: of the parts, those that it no longer holds are init's, and nobody has
// ever used them. Open removes it.
func (d Dir) made() Dir { return Dir(filepath.Join(string(d), ".init-made")) }

// parts are what init makes, the configuration last: where it is, all is.
func (d Dir) parts() []string {
	return []string{d.keys(), d.tls(), d.recordings(), d.ledger(), d.Config()}
}

// holder says who holds the directory, for whoever finds it held.
func (d Dir) holder() string {
	data, err := os.ReadFile(d.pid())
	if err != nil {
		return "another process"
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 0 {
		return "another process"
	}
	return fmt.Sprintf("vaultpamd with process ID %d", pid)
}

// hold writes who holds the directory, and returns what takes it back. The lock
// itself is the ledger's.
func (d Dir) hold() (release func(), err error) {
	if err := os.WriteFile(d.pid(), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("writing who holds %s: %w", d, err)
	}
	return func() { _ = os.Remove(d.pid()) }, nil // a stale file misleads nobody: the lock decides
}

// initialised reports whether init has finished here.
func (d Dir) initialised() (bool, error) {
	ok, err := exists(d.Config())
	if err != nil {
		return false, fmt.Errorf("looking for a data directory: %w", err)
	}
	return ok, nil
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
