package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// A restoredFile is one that is being written. The zero pointer is none.
type restoredFile struct{ f *os.File }

// newRestoredFile makes a file that must not be there.
func newRestoredFile(name string, mode fs.FileMode) (*restoredFile, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	return &restoredFile{f}, nil
}

func (r *restoredFile) write(data []byte) error {
	if r == nil {
		return damaged("data of no file")
	}
	_, err := r.f.Write(data)
	return err
}

// close makes the file durable, with its name.
func (r *restoredFile) close() error {
	return errors.Join(r.f.Sync(), r.f.Close(), syncDir(filepath.Dir(r.f.Name())))
}

// drop lets go of the file where the restore has failed.
func (r *restoredFile) drop() error {
	if r == nil {
		return nil
	}
	return r.f.Close()
}

// keyFile is the grammar of the names in a backup of keys.
var keyFile = regexp.MustCompile(`^(keys|tls)/[A-Za-z0-9][A-Za-z0-9._-]{0,100}$`)

// restoreFiles writes the files of a backup of keys.
func restoreFiles(f *frameReader, d Dir) error {
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
			return nil
		}
		if err != nil {
			return errors.Join(err, file.drop())
		}
		if kind == frameData {
			if err := file.write(body); err != nil {
				return errors.Join(err, file.drop())
			}
			continue
		}
		var h backupFile
		if err := decodeStrict(body, &h); err != nil {
			return damaged("a file's name: %v", err)
		}
		if !keyFile.MatchString(h.Name) {
			return damaged("a key file named %.100q", h.Name)
		}
		mode := fs.FileMode(0o600)
		if strings.HasSuffix(h.Name, ".pub") {
			mode = 0o644
		}
		if file, err = newRestoredFile(filepath.Join(string(d), filepath.FromSlash(h.Name)), mode); err != nil {
			return err
		}
	}
}

// recordingFile is the grammar of the names of a recording's files.
var recordingFile = regexp.MustCompile(`^(session\.jsonl|[1-9][0-9]{0,9}\.cast)$`)

// recording begins a file of a recording.
func (in *restored) recording(body []byte) (*restoredFile, error) {
	var h backupFile
	if err := decodeStrict(body, &h); err != nil {
		return nil, damaged("a file's name: %v", err)
	}
	folder, name := path.Split(h.Name)
	id, err := store.ParseSessionID(strings.TrimSuffix(folder, "/"))
	if err != nil || !recordingFile.MatchString(name) {
		return nil, damaged("a file of a recording named %.100q", h.Name)
	}
	to := filepath.Join(in.dir.recordings(), id.String())
	ended, begun := in.recordings[id]
	switch {
	case !begun:
		in.recordings[id] = store.Index(h.Ended)
		if err := os.Mkdir(to, 0o700); err != nil {
			return nil, err
		}
	case ended != store.Index(h.Ended):
		return nil, damaged("a recording that ended twice")
	}
	return newRestoredFile(filepath.Join(to, name), 0o600)
}

// verifyRecordings holds every recording to the hash in the entry of its end.
func (in *restored) verifyRecordings(ctx context.Context, env Environment) error {
	if err := syncDir(in.dir.recordings()); err != nil {
		return err
	}
	s, err := recording.Open(in.dir.recordings(), recording.Options{Now: env.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	defer s.Close()
	for id, index := range in.recordings {
		records, err := in.backend.Records(ctx, index, 1)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			return damaged("recording %s is of entry %d, which is not there", id, index)
		}
		e, err := store.DecodeEntry(records[0])
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		ended, ok := e.Event.(*store.SessionEnded)
		if !ok || ended.Session != id || len(ended.Files) == 0 {
			return damaged("recording %s is of entry %d, which says nothing of it", id, index)
		}
		if err := verifyRecording(s, ended); err != nil {
			return damaged("%v", err)
		}
	}
	return nil
}
