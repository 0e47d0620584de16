package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// ErrRunning is returned for the recording of a session that has not ended: the
// ledger holds no hashes yet that it could be held against.
var ErrRunning = errors.New("the session has not ended, so nothing proves its recording yet")

// A Recording is what a session showed: its channels' asciicast files in the
// order of their numbers.
type Recording struct {
	Session  store.SessionID
	Channels []Channel
}

// A Channel is one asciicast v2 file.
type Channel struct {
	Number int
	Data   []byte
}

// Recording fetches a session's recording and holds it against the hashes in
// the session's last entry, whose proof it verifies. A file that is missing,
// changed or not of the session is a *BadEntryError. With ErrRunning the
// recording comes back as well, unproved.
func (l *Ledger) Recording(ctx context.Context, id store.SessionID) (Recording, error) {
	resp, err := l.client.Recording(ctx, id)
	if err != nil {
		return Recording{}, err
	}
	if resp.Session != id.String() {
		return Recording{}, fmt.Errorf("%w: the recording of another session", ErrAnswer)
	}
	r, err := readRecording(id, resp.Files)
	if err != nil {
		return Recording{}, err
	}
	if resp.Ended == 0 {
		return r, ErrRunning
	}
	proved, err := l.Entry(ctx, store.Index(resp.Ended))
	if err != nil {
		return Recording{}, err
	}
	bad := func(why string) (Recording, error) {
		return Recording{}, &BadEntryError{Index: resp.Ended, Why: why}
	}
	if proved.Entry == nil {
		return bad("it is not the end of a session")
	}
	ended, ok := proved.Entry.Event.(*store.SessionEnded)
	if !ok || ended.Session != id {
		return bad("it is not the end of this session")
	}
	if why := compareFiles(ended.Files, r.Channels); why != "" {
		return bad(why)
	}
	return r, nil
}

// readRecording sorts the files of an answer. The session's log is not shown,
// and is left out.
func readRecording(id store.SessionID, files []api.RecordingFile) (Recording, error) {
	r := Recording{Session: id}
	for _, f := range files {
		digits, cast := strings.CutSuffix(f.Name, ".cast")
		if !cast {
			continue
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 1 || strconv.Itoa(n) != digits {
			return Recording{}, fmt.Errorf("%w: recording file %q", ErrAnswer, Clean(f.Name))
		}
		r.Channels = append(r.Channels, Channel{Number: n, Data: f.Data})
	}
	slices.SortFunc(r.Channels, func(a, b Channel) int { return a.Number - b.Number })
	return r, nil
}

// compareFiles says how the channels differ from what the ledger lists.
func compareFiles(listed []store.RecordingFile, channels []Channel) string {
	want := map[string]store.Hash{}
	for _, f := range listed {
		if strings.HasSuffix(f.Name, ".cast") {
			want[f.Name] = f.SHA256
		}
	}
	for _, c := range channels {
		name := strconv.Itoa(c.Number) + ".cast"
		hash, ok := want[name]
		if !ok {
			return fmt.Sprintf("%s of the recording is not listed in it", name)
		}
		if store.Hash(sha256.Sum256(c.Data)) != hash {
			return fmt.Sprintf("%s of the recording is not what was recorded", name)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		return fmt.Sprintf("%d files of the recording are missing", len(want))
	}
	return ""
}
