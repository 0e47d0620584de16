package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// A Home is the directory in which a user's machine keeps what it knows of one
// server, 0700:
//
//	config.json   where the server is and how it is recognised (Settings)
//	session       the sign-in token, or a note that the keyring has it
//	device        what the server knows this machine by at the next sign-in
//	bot_key       the key of a bot that joined here
//	direct/       what goes past the relay: identities, and where hosts are
//	checkpoints/  the last checkpoint that was believed, named for its size
//
// Packages agent and sshconfig keep their files beside these. Files are
// replaced whole or not at all; a process that dies leaves a ".tmp-" file at
// most, which means nothing.
type Home struct {
	dir  string
	ring Keyring
}

// DefaultDir returns the directory to use where the user names none:
// $VAULTPAM_HOME, or "vaultpam" in the user's configuration directory, which is
// $XDG_CONFIG_HOME or ~/.config except on macOS and Windows.
func DefaultDir(env func(string) string) (string, error) {
	if dir := env("VAULTPAM_HOME"); dir != "" {
		return filepath.Abs(dir)
	}
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		base, err := os.UserConfigDir()
		if err != nil {
			return "", fmt.Errorf("looking for the configuration directory: %w", err)
		}
		return filepath.Join(base, "vaultpam"), nil
	}
	if base := env("XDG_CONFIG_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "vaultpam"), nil
	}
	if base := env("HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, ".config", "vaultpam"), nil
	}
	return "", errors.New("neither VAULTPAM_HOME nor HOME says where to keep files")
}

// OpenHome returns the home in dir, an absolute path. A directory that is not
// there yet is made by the first write. One that others may write is refused:
// whoever can replace config.json decides which server is believed. ring keeps
// the sign-in token; nil keeps it in a file.
func OpenHome(dir string, ring Keyring) (*Home, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("directory %q: want an absolute path", dir)
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("opening VaultPAM's directory: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("%s is not a directory", dir)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0:
		return nil, &ExposedError{Path: dir}
	}
	return &Home{dir: dir, ring: ring}, nil
}

// Dir returns the directory.
func (h *Home) Dir() string { return h.dir }

// An ExposedError says that others may write where only the user should.
type ExposedError struct{ Path string }

func (e *ExposedError) Error() string { return e.Path + " can be changed by others" }

// maxState bounds what is read of a file in the home.
const maxState = 64 << 10

func (h *Home) path(name string) string { return filepath.Join(h.dir, name) }

// read returns the content of a file, or an error that is fs.ErrNotExist.
func (h *Home) read(name string) ([]byte, error) {
	path := h.path(name)
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxState {
		return nil, fmt.Errorf("%s is not a file that this program wrote", path)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return nil, &ExposedError{Path: path}
	}
	return os.ReadFile(path)
}

// write replaces a file whole: 0600, synced, then renamed over the old one.
func (h *Home) write(name string, data []byte) (err error) {
	path := h.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("making VaultPAM's directory: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if _, err := tmp.Write(data); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// remove takes a file away; one that is not there is fine.
func (h *Home) remove(name string) error {
	err := os.Remove(h.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
