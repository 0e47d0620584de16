package recording

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
)

// A file is an append-only file of whole lines with its running hash. Its owner
// serialises append; sync may run beside it.
type file struct {
	f      *os.File
	size   int64
	sum    hash.Hash
	broken bool // a torn line is at the end: nothing may follow it
	dirty  atomic.Bool
}

func createFile(dir *os.Root, name string) (*file, error) {
	f, err := dir.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, fileMode)
	if err != nil {
		return nil, err
	}
	return &file{f: f, sum: sha256.New()}, nil
}

// openToAppend opens a file that is there already. Its running hash is not that
// of the whole file; whoever needs that reads it.
func openToAppend(dir *os.Root, name string) (*file, error) {
	f, err := openFile(dir, name, os.O_RDWR|os.O_APPEND)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{f: f, size: info.Size(), sum: sha256.New()}, nil
}

// append writes lines, with one write(2). Where that fails the torn rest is
// taken away again, so that the file stays readable; if even that fails,
// Recover does it later.
func (f *file) append(lines []byte) error {
	if f.broken {
		return errors.New("file ends in a torn line")
	}
	if _, err := f.f.Write(lines); err != nil {
		f.broken = f.f.Truncate(f.size) != nil
		return err
	}
	f.size += int64(len(lines))
	f.sum.Write(lines)
	f.dirty.Store(true)
	return nil
}

// cut shortens the file to size.
func (f *file) cut(size int64) error {
	if err := f.f.Truncate(size); err != nil {
		return err
	}
	f.size = size
	return nil
}

// sync makes durable what was appended before the call.
func (f *file) sync() error {
	if !f.dirty.Swap(false) {
		return nil
	}
	return f.f.Sync()
}

func (f *file) hash() Hash { return Hash(f.sum.Sum(nil)) }

// finish syncs and closes the file. It syncs whatever dirty says: a sync that
// runs beside it may have cleared that and not have begun.
func (f *file) finish() error { return errors.Join(f.f.Sync(), f.f.Close()) }

// openFile opens a regular file of dir and never a symbolic link, not even one
// that stays inside of dir, nor a pipe that would block.
func openFile(dir *os.Root, name string, flag int) (*os.File, error) {
	want, err := dir.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !want.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := dir.OpenFile(name, flag, 0)
	if err != nil {
		return nil, err
	}
	if got, err := f.Stat(); err != nil || !os.SameFile(want, got) {
		return nil, errors.Join(fmt.Errorf("%s changed while it was opened", name), err, f.Close())
	}
	return f, nil
}

// openDir opens a directory of root and never a symbolic link.
func openDir(root *os.Root, name string) (*os.Root, error) {
	want, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !want.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", name)
	}
	dir, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	if got, err := dir.Stat("."); err != nil || !os.SameFile(want, got) {
		return nil, errors.Join(fmt.Errorf("%s changed while it was opened", name), err, dir.Close())
	}
	return dir, nil
}

func syncDir(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func readDir(dir *os.Root) ([]fs.DirEntry, error) {
	f, err := dir.Open(".")
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	return entries, errors.Join(err, f.Close())
}

const castSuffix = ".cast"

func castName(number int) string { return strconv.Itoa(number) + castSuffix }

// parseCastName returns the number of a channel's file. Each number has one name.
func parseCastName(name string) (int, bool) {
	digits, ok := strings.CutSuffix(name, castSuffix)
	number, err := strconv.Atoi(digits)
	return number, ok && err == nil && number > 0 && castName(number) == name
}
