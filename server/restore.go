package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A Rollback says whether a restore may lose entries.
type Rollback int

const (
	// RefuseRollback restores only what is shown to have lost nothing.
	RefuseRollback Rollback = iota
	// AcceptRollback restores in any case. Where entries may have been lost, the
	// first new entry says so and raises the serials' base.
	AcceptRollback
)

// A RestoreRequest says what to restore, and where.
type RestoreRequest struct {
	// Dir is the directory to make. It must be empty, or not be there.
	Dir Dir
	// From is the backup, Keys that of the keys; Keys may be nil for a server
	// whose keys are put in place by hand, if no entry has to be written.
	From, Keys io.Reader
	// Identities open both.
	Identities []age.Identity
	// Checkpoint is the largest signed checkpoint that anybody can show, or nil.
	Checkpoint []byte
	Rollback   Rollback
}

// A RestoreResult says what was restored.
type RestoreResult struct {
	Name       string
	Made       string // when the backup was, RFC 3339
	Size       uint64 // entries in the backup
	Recordings int
	// Raised is set where the entry of a restore that may have lost entries was
	// appended; Shown is the larger ledger that it names, if one was shown.
	Raised bool
	Shown  store.Checkpoint
}

// Restore makes a data directory of a backup. Everything is verified before
// anything is put in place: the checkpoint's signature by the log key of entry
// 0, every entry against the tree and against those before it, the openings of
// the side table, the recordings, the configuration, and that the keys are the
// ledger's own. Where it fails, or dies, nothing stays that a second try would
// trip over.
//
// A *RollbackError means that entries would be lost, or that nothing shows that
// none are.
func Restore(ctx context.Context, env Environment, r RestoreRequest) (RestoreResult, error) {
	if err := env.check(); err != nil {
		return RestoreResult{}, err
	}
	env.Getenv = func(string) string { return "" } // what is restored is the files
	if r.From == nil || len(r.Identities) == 0 {
		return RestoreResult{}, errors.New("restoring: a backup and the identity that opens it are needed")
	}
	if err := r.Dir.mustBeEmpty(); err != nil {
		return RestoreResult{}, fmt.Errorf("restoring: %w", err)
	}
	if err := r.Dir.stage(); err != nil {
		return RestoreResult{}, fmt.Errorf("restoring: %w", err)
	}
	result, err := r.make(ctx, env)
	if err == nil {
		err = r.Dir.settle()
	}
	if err != nil {
		return RestoreResult{}, errors.Join(fmt.Errorf("restoring: %w", err), r.Dir.sweep())
	}
	return result, nil
}

// mustBeEmpty refuses a directory with anything in it but what an init or a
// restore that died left.
func (d Dir) mustBeEmpty() error {
	if done, err := d.initialised(); err != nil {
		return err
	} else if done {
		return fmt.Errorf("%s is a data directory already: take a new one", d)
	}
	if err := d.sweep(); err != nil {
		return err
	}
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty: take a new directory", d)
	}
	return err
}

// make makes everything in the folder that settle moves.
func (r RestoreRequest) make(ctx context.Context, env Environment) (RestoreResult, error) {
	d := r.Dir.begun()
	if err := r.makeKeys(d); err != nil {
		return RestoreResult{}, err
	}
	in, err := r.restoreLedger(ctx, env, d)
	if err != nil {
		return RestoreResult{}, err
	}
	loss, err := in.loss(ctx, env, d, r.Checkpoint)
	if err != nil {
		return RestoreResult{}, err
	}
	if loss != nil && r.Rollback != AcceptRollback {
		return RestoreResult{}, loss
	}
	result := RestoreResult{Name: in.birth.Name, Made: in.header.Made, Size: in.header.Size, Recordings: len(in.recordings)}
	if loss != nil {
		result.Raised, result.Shown = true, loss.Shown
	}
	if r.Keys != nil {
		return result, r.try(ctx, env, d, in.birth, loss)
	}
	if loss != nil {
		return result, errors.New("entries may be lost, and the entry that says so needs the log key: restore with --keys")
	}
	return result, nil
}

// makeKeys restores the keys, or makes folders for them.
func (r RestoreRequest) makeKeys(d Dir) error {
	for _, folder := range []string{d.keys(), d.tls(), d.recordings()} {
		if err := os.Mkdir(folder, 0o700); err != nil {
			return err
		}
	}
	if r.Keys == nil {
		return nil
	}
	err := r.unseal(r.Keys, holdsKeys, func(f *frameReader) error { return restoreFiles(f, d) })
	if err != nil {
		return fmt.Errorf("the backup of the keys: %w", err)
	}
	return nil
}

// unseal opens what seal wrote.
func (r RestoreRequest) unseal(from io.Reader, holds string, read func(*frameReader) error) error {
	packed, err := age.Decrypt(from, r.Identities...)
	var none *age.NoIdentityMatchError
	if errors.As(err, &none) {
		return errors.New("it is not encrypted to this identity: give the one that belongs to its recipient")
	}
	if err != nil {
		return fmt.Errorf("decrypting it: %w", err)
	}
	// A window of more than seal uses is no backup of ours.
	plain, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(1<<20))
	if err != nil {
		return fmt.Errorf("unpacking it: %w", err)
	}
	defer plain.Close()
	f, err := newFrameReader(plain)
	if err != nil {
		return err
	}
	if f.header.Holds != holds {
		return fmt.Errorf("this is a backup of the %s of %.80q, and one of the %s is wanted", f.header.Holds, f.header.Name, holds)
	}
	return read(f)
}

// try opens what was restored by the path of every start, and appends the entry
// of a restore that may have lost entries.
func (r RestoreRequest) try(ctx context.Context, env Environment, d Dir, birth *store.LedgerCreated, loss *RollbackError) error {
	keys, err := openKeys(d)
	if err != nil {
		return err
	}
	if name := keys.foreign(birth); name != "" {
		return fmt.Errorf("the key %s is not the one in the ledger's first entry: these are the keys of another server", name)
	}
	n, err := Open(ctx, Options{Environment: env, Dir: d})
	if err != nil {
		return err
	}
	if loss != nil {
		_, err = n.ledger.Do(ctx, access.RestoreLedger{Size: loss.Shown.Size, Root: loss.Shown.Root})
	}
	return errors.Join(err, n.Close())
}
