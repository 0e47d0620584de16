package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/vaultpam/vaultpam/store"
)

// Checkpoints are remembered as signed, each in a file named for its size. The
// largest counts. So of two processes that follow at the same time the one that
// saw less can't make the other's forgotten, and no lock is needed: a file is
// only ever removed by somebody who sees a larger one.
const (
	checkpointDir = "checkpoints"
	forkedName    = "forked"
)

func checkpointName(size uint64) string {
	return filepath.Join(checkpointDir, fmt.Sprintf("%020d", size))
}

// RememberedDir returns where the checkpoints are kept.
func (h *Home) RememberedDir() string { return h.path(checkpointDir) }

// Remembered returns the last checkpoint that was believed, or the zero
// Checkpoint where there was none. A file that is not a checkpoint of this
// ledger is an error: forgetting is the user's decision.
func (l *Ledger) Remembered() (store.Checkpoint, error) {
	sizes, err := l.home.rememberedSizes()
	if err != nil || len(sizes) == 0 {
		return store.Checkpoint{}, err
	}
	name := checkpointName(sizes[len(sizes)-1])
	signed, err := l.home.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		// Another process saw a larger one in between and cleaned up.
		return l.Remembered()
	}
	if err != nil {
		return store.Checkpoint{}, fmt.Errorf("reading the remembered checkpoint: %w", err)
	}
	c, err := store.OpenCheckpoint(signed, l.origin, l.key)
	if err == nil && checkpointName(c.Size) != name {
		err = fmt.Errorf("%w: its name says another size", store.ErrCheckpoint)
	}
	if err != nil {
		return store.Checkpoint{}, fmt.Errorf("%s: %w", l.home.path(name), err)
	}
	return c, nil
}

// remember keeps a checkpoint that was verified. One of the same size with
// another root can only have come in between, from another process, and is a
// fork.
func (l *Ledger) remember(c store.Checkpoint, signed []byte) error {
	now, err := l.Remembered()
	if err != nil {
		return err
	}
	if now.Size == c.Size && now.Root != c.Root {
		return l.forked(now, c, signed)
	}
	if now.Size >= c.Size {
		return nil
	}
	if err := l.home.write(checkpointName(c.Size), signed); err != nil {
		return fmt.Errorf("remembering the checkpoint: %w", err)
	}
	// What can't be removed does no harm: the largest counts.
	sizes, err := l.home.rememberedSizes()
	if err != nil {
		return nil //nolint:nilerr // the checkpoint is remembered, and that was asked
	}
	for _, size := range sizes[:len(sizes)-1] {
		_ = l.home.remove(checkpointName(size))
	}
	return nil
}

// forked keeps the checkpoint that does not fit beside the one that was
// believed, as evidence, and returns the error that names both.
func (l *Ledger) forked(old, shown store.Checkpoint, signed []byte) *ForkError {
	e := &ForkError{Index: min(old.Size, shown.Size), Remembered: l.home.path(checkpointName(old.Size))}
	name := filepath.Join(checkpointDir, forkedName)
	if err := l.home.write(name, signed); err == nil {
		e.Shown = l.home.path(name)
	}
	return e
}

// rememberedSizes returns the sizes of the remembered checkpoints, ascending.
func (h *Home) rememberedSizes() ([]uint64, error) {
	files, err := os.ReadDir(h.path(checkpointDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the remembered checkpoints: %w", err)
	}
	var sizes []uint64
	for _, f := range files { // sorted by name, and names have one width
		size, err := strconv.ParseUint(f.Name(), 10, 64)
		if err == nil && filepath.Join(checkpointDir, f.Name()) == checkpointName(size) {
			sizes = append(sizes, size)
		}
	}
	return sizes, nil
}
