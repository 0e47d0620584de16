package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// part is where a part of d lies while d is being made in from.
func (d Dir) part(from Dir, part string) string {
	return filepath.Join(string(from), filepath.Base(part))
}

// settle puts what init made in place, the configuration last: where it is, all
// is. Dying in between leaves the folder that tells the next init what to sweep,
// and never takes anything that was there before.
func (d Dir) settle() error {
	if err := os.Rename(string(d.begun()), string(d.made())); err != nil {
		return err
	}
	if err := syncDir(string(d)); err != nil {
		return err
	}
	for _, part := range d.parts() {
		if taken, err := exists(part); err != nil || taken {
			return errors.Join(err, notOurs(part))
		}
		if part == d.Config() {
			if err := syncDir(string(d)); err != nil {
				return err
			}
		}
		if err := os.Rename(d.part(d.made(), part), part); err != nil {
			return err
		}
	}
	if err := syncDir(string(d)); err != nil {
		return err
	}
	_ = os.Remove(string(d.made())) // where it can't go, Open removes it
	return nil
}

// sweep removes what an init left that did not finish, and nothing else. Without
// a configuration nothing that init made can have been used.
func (d Dir) sweep() error {
	made, err := exists(string(d.made()))
	if err != nil {
		return err
	}
	var ours []string
	for _, part := range d.parts() {
		there, err := exists(part)
		if err != nil {
			return err
		}
		waits, err := exists(d.part(d.made(), part))
		if err != nil {
			return err
		}
		switch {
		case there && (!made || waits):
			return notOurs(part)
		case there:
			ours = append(ours, part)
		}
	}
	// The folder that says what is init's goes last.
	for _, path := range append(ours, string(d.begun()), string(d.made())) {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// inUse removes what a finished init may have left: from now on nothing may take
// the directory for one that was never used.
func (d Dir) inUse() error {
	for _, left := range []Dir{d.begun(), d.made()} {
		if err := os.RemoveAll(string(left)); err != nil {
			return fmt.Errorf("removing what init left: %w", err)
		}
	}
	return syncDir(string(d))
}

func notOurs(part string) error {
	return fmt.Errorf("%s is there already and no init made it: move it away, or take another directory", part)
}

// stage makes the directory, where it is not there yet, and in it the folder in
// which everything is made before it is put in place. A directory that was made
// here is there after a power cut too.
func (d Dir) stage() error {
	_, err := os.Stat(string(d))
	fresh := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(string(d.begun()), 0o700); err != nil || !fresh {
		return err
	}
	return syncDir(filepath.Dir(filepath.Clean(string(d))))
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
