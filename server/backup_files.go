package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// endedPage is how many sessions are looked for at a time.
const endedPage = 1000

// eachRecorded calls do with every session.ended that names files, in the order
// of the first size entries.
func eachRecorded(ctx context.Context, b store.Backend, size uint64, do func(store.Index, *store.SessionEnded) error) error {
	q := store.Query{Type: store.TypeSessionEnded, To: store.Index(size), Limit: endedPage}
	for {
		found, err := b.Find(ctx, q)
		if err != nil {
			return err
		}
		for _, index := range found {
			records, err := b.Records(ctx, index, 1)
			if err != nil {
				return err
			}
			if len(records) == 0 {
				return fmt.Errorf("%w: entry %d is missing", store.ErrCorrupt, index)
			}
			e, err := store.DecodeEntry(records[0])
			if err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			if ended, ok := e.Event.(*store.SessionEnded); ok && len(ended.Files) > 0 {
				if err := do(index, ended); err != nil {
					return err
				}
			}
		}
		if len(found) < endedPage {
			return nil
		}
		q.From = found[len(found)-1] + 1
	}
}

// writeRecordings writes the recordings that the ledger names. One that is not
// there, or not what was recorded, is counted and left out: the others must not
// go without a backup for its sake.
func (b *backup) writeRecordings(ctx context.Context, f *frameWriter) error {
	return eachRecorded(ctx, b.node.backend, b.head.Size, func(index store.Index, e *store.SessionEnded) error {
		if err := verifyRecording(b.node.recordings, e); err != nil {
			b.node.Log.Warn("a recording is not in the backup", "session", e.Session.String(), "error", err)
			b.result.Missing++
			return nil
		}
		b.result.Recordings++
		for _, file := range e.Files {
			name := e.Session.String() + "/" + file.Name
			if err := writeFileFrame(f, filepath.Join(b.node.Dir.recordings(), filepath.FromSlash(name)), backupFile{Name: name, Ended: uint64(index)}); err != nil {
				return err
			}
		}
		return nil
	})
}

// verifyRecording holds a recording to the entry of its end.
func verifyRecording(s *recording.Store, e *store.SessionEnded) error {
	r, err := s.OpenSession(e.Session)
	if err != nil {
		return err
	}
	return errors.Join(r.Verify(recording.Hash(e.Files[0].SHA256)), r.Close())
}

func writeFileFrame(f *frameWriter, path string, h backupFile) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.file(h, in), in.Close())
}

// readConfig returns the configuration file's text.
func (d Dir) readConfig() ([]byte, error) {
	in, err := os.Open(d.Config())
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return text, nil
}

// BackupKeys writes a backup of the keys folder and the TLS folder. Whoever can
// open it can do everything that the server can; without it a backup of the
// ledger can't be put into service. It needs no server, and does not mind one.
func BackupKeys(env Environment, d Dir, to io.Writer, recipients ...age.Recipient) (BackupResult, error) {
	if err := env.check(); err != nil {
		return BackupResult{}, err
	}
	if len(recipients) == 0 {
		return BackupResult{}, errors.New("backing up the keys: they are never written unencrypted")
	}
	config, err := ReadConfig(d.Config(), env.Getenv)
	if err != nil {
		return BackupResult{}, fmt.Errorf("backing up the keys: %w", err)
	}
	h := backupHeader{Holds: holdsKeys, Name: config.Name, Made: env.Now().UTC().Format(time.RFC3339)}
	err = seal(to, recipients, h, nil, func(f *frameWriter) error {
		for _, folder := range []string{d.keys(), d.tls()} {
			if err := writeFolder(f, folder); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return BackupResult{}, fmt.Errorf("backing up the keys: %w", err)
	}
	return BackupResult{Name: config.Name}, nil
}

// writeFolder writes the files of a folder, following links: a certificate may
// be one that another program renews elsewhere.
func writeFolder(f *frameWriter, folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file: move it away", path)
		}
		if err := writeFileFrame(f, path, backupFile{Name: filepath.Base(folder) + "/" + e.Name()}); err != nil {
			return err
		}
	}
	return nil
}
