package sshconfig

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Apply makes the changes in their order, each file whole or not at all, and
// durably. A file that is no longer what the plan was made from stops it: what
// the user agreed to would not be what happens. Changes before that one stay;
// planning again and applying completes them.
func (p Plan) Apply() error {
	for _, change := range p.Changes {
		if err := change.apply(); err != nil {
			return err
		}
	}
	return nil
}

func (c Change) apply() error {
	now, err := readFile(c.Path)
	if err != nil {
		return err
	}
	if !bytes.Equal(now, c.Old) || (now == nil) != (c.Old == nil) {
		return fmt.Errorf("%s changed since the difference was shown; run the command again", visible(c.Path))
	}
	if c.New == nil {
		if err := os.Remove(c.Path); err != nil {
			return fmt.Errorf("removing configuration: %w", err)
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.Path), 0o700); err != nil {
		return fmt.Errorf("creating directory: %w", err)
	}
	if err := replace(c.Path, c.New); err != nil {
		return fmt.Errorf("writing %s: %w", visible(c.Path), err)
	}
	return nil
}

// replace puts content at path by renaming a synced temporary file over it. A
// process that dies before the rename leaves the old file and one stray
// ".vaultpam-*" beside it. Mode and owner of an existing file are kept, a new
// one is its owner's alone: ssh refuses what others can write.
func replace(path string, content []byte) (err error) {
	dir := filepath.Dir(path)
	file, err := os.CreateTemp(dir, ".vaultpam-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
		}
	}()
	info, err := os.Stat(path)
	if err == nil {
		err = keepModeAndOwner(file, info)
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		return err
	}
	if _, err = file.Write(content); err != nil {
		return err
	}
	if err = file.Sync(); err != nil {
		return err
	}
	if err = file.Close(); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

func keepModeAndOwner(file *os.File, info fs.FileInfo) error {
	if err := keepOwner(file, info); err != nil {
		return err
	}
	return file.Chmod(info.Mode().Perm())
}
