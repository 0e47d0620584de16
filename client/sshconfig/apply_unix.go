//go:build !windows

package sshconfig

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives file the owner and group in info. Somebody who runs this
// through sudo would otherwise no longer be able to read their own file.
func keepOwner(file *os.File, info fs.FileInfo) error {
	want, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	mine, err := file.Stat()
	if err != nil {
		return err
	}
	if have, ok := mine.Sys().(*syscall.Stat_t); ok && have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	if err := file.Chown(int(want.Uid), int(want.Gid)); err != nil {
		return fmt.Errorf("keeping the file's owner: %w", err)
	}
	return nil
}

// syncDir makes a rename in dir durable.
func syncDir(dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Sync()
}
