package server_test

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// S26: a recording is read by an auditor and by nobody else, not by an
// administrator and not by whose session it was.
func TestS26RecordingsAreForAuditors(t *testing.T) {
	s := populated(t)
	s.target("db1")
	carol, dana := s.added("carol", "engineer", "approver"), s.added("dana", "auditor")
	s.grant("carol", "db1", time.Time{})
	a, r := s.recorded(carol)
	path := "/v1/sessions/" + a.Session.String() + "/recording"
	if live := must[api.RecordingResponse](s, dana, "GET", path, nil); live.Ended != 0 || len(live.Files) != 0 {
		t.Errorf("while it runs: %+v", live)
	}
	sum, err := r.Close("")
	if err != nil {
		t.Fatal(err)
	}
	end := relay.Ended{Admission: a, Reason: store.EndedByUser, Files: []store.RecordingFile{
		{Name: "session.jsonl", Label: "metadata", SHA256: store.Hash(sum.SHA256)},
		{Name: "1.cast", Label: "replayable", Size: sum.Channels[0].Size, SHA256: store.Hash(sum.Channels[0].SHA256)},
	}}
	if err := s.node.Gate().End(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	for _, who := range []*resident{s.admin, carol} {
		s.refused(s.ask("GET", path, who.token, nil), http.StatusForbidden)
	}
	s.refused(s.ask("GET", path, nil, nil), http.StatusUnauthorized)
	got := must[api.RecordingResponse](s, dana, "GET", path, nil)
	if got.Session != a.Session.String() || store.Index(got.Ended) != s.entriesOf(store.TypeSessionEnded)[0].Index || len(got.Files) != 1 {
		t.Fatalf("%+v", got)
	}
	f := got.Files[0]
	if hash := sha256.Sum256(f.Data); f.Name != "1.cast" || !bytes.Equal(hash[:], f.SHA256) || hash != sum.Channels[0].SHA256 || !bytes.Contains(f.Data, []byte("hello")) {
		t.Errorf("%s: %s", f.Name, f.Data)
	}
}

// S27: what is no session's ID leads nowhere.
func TestS27RecordingsAreFoundByTheirIDAlone(t *testing.T) {
	s := populated(t)
	dana := s.added("dana", "auditor")
	for id, status := range map[string]int{
		"01020304-0506-4708-890a-0b0c0d0e0f10": http.StatusNotFound, // of nobody's session
		"01020304-0506-1708-890a-0b0c0d0e0f10": http.StatusBadRequest,
		"01020304-0506-4708-890A-0B0C0D0E0F10": http.StatusBadRequest,
		"..%2f..%2fkeys":                       http.StatusBadRequest,
		"%2e%2e":                               http.StatusBadRequest,
		"..%2fledger.db":                       http.StatusBadRequest,
		"%00":                                  http.StatusBadRequest,
	} {
		a := s.ask("GET", "/v1/sessions/"+id+"/recording", dana.token, nil)
		if e := s.refused(a, status); e.Hint == "" {
			t.Errorf("%s: %+v", id, e)
		}
	}
}
