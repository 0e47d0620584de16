package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const (
	// restoreBatch is how many entries, or rows, one transaction takes.
	restoreBatch = 4096
	// restoreBytes bounds them too.
	restoreBytes = 8 << 20
)

// A restored ledger is one that is being read from a backup and written to a
// back end that nobody else sees.
type restored struct {
	dir     Dir
	backend store.Backend
	header  backupHeader
	birth   *store.LedgerCreated
	tree    *store.Tree
	head    store.Head
	state   access.State
	texts   map[store.Commitment]string

	rows    []store.SideWrite
	records []store.Record
	pending int // bytes in the two above

	recordings map[store.SessionID]store.Index // by the entry of their end
}

// restoreLedger reads the backup into d.
func (r RestoreRequest) restoreLedger(ctx context.Context, env Environment, d Dir) (*restored, error) {
	in := &restored{
		dir: d, state: access.New(), texts: map[store.Commitment]string{},
		recordings: map[store.SessionID]store.Index{},
	}
	var err error
	if in.tree, err = store.OpenTree(0, nil); err != nil {
		return nil, err
	}
	if in.backend, err = env.CreateBackend(d.ledger()); err != nil {
		return nil, err
	}
	err = r.unseal(r.From, holdsLedger, func(f *frameReader) error {
		in.header = f.header
		return in.read(ctx, f)
	})
	if err == nil {
		err = in.verifyRecordings(ctx, env)
	}
	return in, errors.Join(err, in.backend.Close())
}

func (in *restored) read(ctx context.Context, f *frameReader) error {
	var file *restoredFile
	for {
		kind, body, err := f.next()
		if kind != frameData && file != nil {
			if err := file.close(); err != nil {
				return err
			}
			file = nil
		}
		if errors.Is(err, io.EOF) {
			return in.finish(ctx, f.end)
		}
		if err != nil {
			return err
		}
		switch kind {
		case frameConfig:
			err = in.config(body)
		case frameSide:
			err = in.row(ctx, body)
		case frameEntry:
			err = in.entry(ctx, body)
		case frameFile:
			file, err = in.recording(body)
		case frameData:
			err = file.write(body)
		}
		if err != nil {
			return errors.Join(err, file.drop())
		}
	}
}

// config holds the configuration to what a start would ask of it.
func (in *restored) config(text []byte) error {
	c, err := ParseConfig(text, func(string) string { return "" })
	if err != nil {
		return fmt.Errorf("the configuration in the backup: %w", err)
	}
	if c.Name != in.header.Name {
		return damaged("its configuration is of %.80q, and its header of %.80q", c.Name, in.header.Name)
	}
	return writeNew(in.dir.Config(), text)
}

func (in *restored) row(ctx context.Context, body []byte) error {
	w, err := decodeRow(body)
	if err != nil {
		return err
	}
	if w.Table == store.SideOpenings {
		o, c, err := store.OpeningOf(w)
		if err != nil {
			return err
		}
		if o.Field == store.FieldHandle {
			in.texts[c] = o.Text
		}
	}
	in.rows = append(in.rows, w)
	in.pending += len(body)
	if len(in.rows) < restoreBatch && in.pending < restoreBytes {
		return nil
	}
	return in.flush(ctx)
}

func (in *restored) entry(ctx context.Context, body []byte) error {
	data := append([]byte{}, body...)
	e, err := store.DecodeEntry(data)
	if err != nil {
		return fmt.Errorf("entry %d of the backup: %w", in.state.Next(), err)
	}
	if e.Index == 0 {
		if err := in.born(e); err != nil {
			return err
		}
	}
	in.state, err = access.Apply(in.state, e, func(c store.Commitment) (string, bool) { t, ok := in.texts[c]; return t, ok })
	if err != nil {
		return err
	}
	in.records = append(in.records, store.NewRecord(data, e))
	in.pending += len(data)
	if len(in.records) < restoreBatch && in.pending < restoreBytes {
		return nil
	}
	return in.flush(ctx)
}

// born takes the log key from entry 0 and holds the backup's checkpoint to it.
func (in *restored) born(e *store.Entry) error {
	birth, ok := e.Event.(*store.LedgerCreated)
	if !ok {
		return damaged("entry 0 is %s", e.Event.EventType())
	}
	if birth.Name != in.header.Name {
		return damaged("its ledger is of %.80q, and its header of %.80q", birth.Name, in.header.Name)
	}
	c, err := store.OpenCheckpoint([]byte(in.header.Checkpoint), store.Origin(birth.Name), ed25519.PublicKey(birth.LogKey))
	if err != nil {
		return damaged("%v", err)
	}
	if c.Size != in.header.Size {
		return damaged("its header says %d entries, and its checkpoint %d", in.header.Size, c.Size)
	}
	in.birth = birth
	return nil
}

// flush writes what is pending. The checkpoint of every batch is the backup's,
// which is right only with the last: until then nobody sees this ledger.
func (in *restored) flush(ctx context.Context) error {
	if len(in.rows) > 0 {
		if err := in.backend.WriteSide(ctx, in.rows); err != nil {
			return err
		}
	}
	if len(in.records) > 0 {
		leaves := make([][]byte, len(in.records))
		for i, r := range in.records {
			leaves[i] = r.Data
		}
		tree, hashes, err := in.tree.Append(leaves)
		if err != nil {
			return err
		}
		signed := []byte(in.header.Checkpoint)
		if err := in.backend.Append(ctx, store.Batch{Expect: in.head, Records: in.records, Hashes: hashes, Checkpoint: signed}); err != nil {
			return err
		}
		in.tree, in.head = tree, store.Head{Size: tree.Size(), Checkpoint: signed}
	}
	in.rows, in.records, in.pending = in.rows[:0], nil, 0
	return nil
}

// finish sees that the entries are those of the checkpoint, and that the whole
// backup is the server's own.
func (in *restored) finish(ctx context.Context, end backupTrailer) error {
	if err := in.flush(ctx); err != nil {
		return err
	}
	if in.birth == nil {
		return damaged("it has no entries")
	}
	c, err := store.OpenCheckpoint([]byte(in.header.Checkpoint), store.Origin(in.birth.Name), ed25519.PublicKey(in.birth.LogKey))
	if err != nil {
		return damaged("%v", err)
	}
	if c.Size != in.tree.Size() || c.Root != in.tree.Root() {
		return damaged("its entries are not those that its checkpoint was signed over")
	}
	if !ed25519.Verify(in.birth.LogKey, signedBackup(end.SHA256), end.Signature) {
		return damaged("it was not signed by the log key of %s", in.birth.Name)
	}
	return nil
}
