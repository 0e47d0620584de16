package client_test

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// withRecording is a server whose last entry ends the session with these files.
func withRecording(t *testing.T, id store.SessionID, files []api.RecordingFile) (*fake, api.RecordingResponse) {
	t.Helper()
	f := newFake(t)
	l := f.grow(nil, 9, "a")
	e := store.Entry{Index: 9, Time: 1_700_000_001_000, Event: &store.SessionEnded{
		Session: id, User: store.UserID{1}, Target: 3, Started: 4, Reason: store.EndedByUser,
	}}
	ended := e.Event.(*store.SessionEnded)
	for _, file := range files {
		ended.Files = append(ended.Files, store.RecordingFile{
			Name: file.Name, Label: "replayable", Size: int64(len(file.Data)), SHA256: sha256.Sum256(file.Data),
		})
	}
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	f.append(l, data)
	if l.signed, err = f.signer.Checkpoint(l.tree); err != nil {
		t.Fatal(err)
	}
	f.use(l)
	return f, api.RecordingResponse{Session: id.String(), Ended: 9, Files: files}
}

func TestRecordingIsHeldAgainstTheLedger(t *testing.T) {
	id, err := store.ParseSessionID("5f0c7c7e-3a54-4c7f-9d0b-0d9f1f6f3c11")
	if err != nil {
		t.Fatal(err)
	}
	files := func() []api.RecordingFile {
		return []api.RecordingFile{
			{Name: "session.jsonl", Data: []byte("{}\n")},
			{Name: "10.cast", Data: []byte("ten")},
			{Name: "2.cast", Data: []byte("two")},
		}
	}
	want := client.Recording{Session: id, Channels: []client.Channel{{2, []byte("two")}, {10, []byte("ten")}}}
	for name, tt := range map[string]struct {
		lie func(r *api.RecordingResponse)
		err error
	}{
		"as it was":          {func(*api.RecordingResponse) {}, nil},
		"without the log":    {func(r *api.RecordingResponse) { r.Files = r.Files[1:] }, nil},
		"a changed file":     {func(r *api.RecordingResponse) { r.Files[2].Data = []byte("twp") }, errBad},
		"swapped files":      {func(r *api.RecordingResponse) { r.Files[1].Name, r.Files[2].Name = "2.cast", "10.cast" }, errBad},
		"a missing file":     {func(r *api.RecordingResponse) { r.Files = r.Files[:2] }, errBad},
		"one file more":      {func(r *api.RecordingResponse) { r.Files = append(r.Files, api.RecordingFile{Name: "3.cast"}) }, errBad},
		"one file twice":     {func(r *api.RecordingResponse) { r.Files = append(r.Files, r.Files[2]) }, errBad},
		"another entry":      {func(r *api.RecordingResponse) { r.Ended = 5 }, errBad},
		"another session":    {func(r *api.RecordingResponse) { r.Session = store.SessionID{}.String() }, client.ErrAnswer},
		"a name that climbs": {func(r *api.RecordingResponse) { r.Files[1].Name = "../1.cast" }, client.ErrAnswer},
		"still running":      {func(r *api.RecordingResponse) { r.Ended = 0 }, client.ErrRunning},
	} {
		t.Run(name, func(t *testing.T) {
			f, resp := withRecording(t, id, files())
			tt.lie(&resp)
			f.handle(api.RouteRecording, func(w http.ResponseWriter, _ *http.Request) { answer(w, resp) })
			got, err := f.open(t, newHome(t, nil)).Recording(t.Context(), id)
			var bad *client.BadEntryError
			switch {
			case tt.err == nil || errors.Is(tt.err, client.ErrRunning):
				if diff := cmp.Diff(want, got); !errors.Is(err, tt.err) || diff != "" {
					t.Errorf("got %v\n%s", err, diff)
				}
			case errors.Is(tt.err, errBad):
				if !errors.As(err, &bad) || len(got.Channels) > 0 {
					t.Errorf("got %v, %v, want it not to verify", got, err)
				}
			case !errors.Is(err, tt.err):
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

var errBad = errors.New("does not verify")

func TestARecordingOfAnotherSessionIsRefused(t *testing.T) {
	id, err := store.ParseSessionID("5f0c7c7e-3a54-4c7f-9d0b-0d9f1f6f3c11")
	if err != nil {
		t.Fatal(err)
	}
	asked, err := store.ParseSessionID("5f0c7c7e-3a54-4c7f-9d0b-0d9f1f6f3c12")
	if err != nil {
		t.Fatal(err)
	}
	f, resp := withRecording(t, id, []api.RecordingFile{{Name: "1.cast", Data: []byte("one")}})
	resp.Session = asked.String() // the files and the entry are those of another one
	f.handle(api.RouteRecording, func(w http.ResponseWriter, _ *http.Request) { answer(w, resp) })
	var bad *client.BadEntryError
	if _, err := f.open(t, newHome(t, nil)).Recording(t.Context(), asked); !errors.As(err, &bad) || bad.Index != 9 {
		t.Errorf("got %v, want entry 9 not to verify", err)
	}
}
