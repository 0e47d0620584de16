//go:build linux

package crash_test

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// An audit is what was read of the ledger so far, all of it hashed again, and
// what people say that they have.
type audit struct {
	tree   *store.Tree
	issued map[store.Serial]store.Hash // of every certificate's entry
	have   map[store.Serial]store.Hash // of every certificate that somebody has
	read   map[string]int64            // how much of a person's file was read
	live   map[store.SessionID]bool    // started and not ended
	newest store.SessionID             // the last that was started
	begun  int                         // sessions in all
	broken int                         // sessions that a start of the server ended
}

func newAudit(t *testing.T) audit {
	t.Helper()
	tree, err := store.OpenTree(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	return audit{
		tree: tree, issued: map[store.Serial]store.Hash{}, have: map[store.Serial]store.Hash{},
		read: map[string]int64{}, live: map[store.SessionID]bool{},
	}
}

// check is read, and requires that no session is left open.
func (h *house) check(t *testing.T) {
	t.Helper()
	h.read(t)
	for id := range h.audit.live {
		t.Errorf("session %v is left open", id)
	}
}

// read reads what was added to the ledger and holds it against what people have:
//
//   - the ledger grew out of the checkpoint that was seen last, and all its
//     bytes hash to the root of the one that is shown now;
//   - every certificate that somebody has is an entry, with the hash of exactly
//     the bytes that it was signed over, and nobody else has its serial.
//
// It must be called while nobody asks for certificates.
func (h *house) read(t *testing.T) {
	t.Helper()
	at, err := h.ledger.Follow(t.Context())
	if err != nil {
		t.Fatalf("the ledger is not the one that was seen before: %v", err)
	}
	for h.audit.tree.Size() < at.Size {
		records := h.raw(t, h.audit.tree.Size(), at.Size)
		for i, data := range records {
			h.audit.note(t, h.audit.tree.Size()+uint64(i), data)
		}
		if h.audit.tree, _, err = h.audit.tree.Append(records); err != nil {
			t.Fatal(err)
		}
	}
	if h.audit.tree.Root() != at.Root {
		t.Fatalf("%d entries do not hash to the root of their checkpoint", at.Size)
	}
	for _, p := range append(h.issuers, h.carol) {
		h.audit.receive(t, p.kept)
	}
}

// note takes one entry in.
func (a *audit) note(t *testing.T, index uint64, data []byte) {
	t.Helper()
	e, err := store.DecodeEntry(data)
	if err != nil || uint64(e.Index) != index {
		t.Fatalf("entry %d can't be read: %v", index, err)
	}
	switch event := e.Event.(type) {
	case *store.CertificateIssued:
		a.issued[store.Serial(index)] = event.TBS
	case *store.SessionStarted:
		a.live[event.Session] = true
		a.newest = event.Session
		a.begun++
	case *store.SessionEnded:
		if !a.live[event.Session] {
			t.Errorf("session %v ended twice", event.Session)
		}
		delete(a.live, event.Session)
		if event.Reason == store.EndedInterrupted {
			a.broken++
		}
	}
}

// receive reads what somebody wrote down since the last time.
func (a *audit) receive(t *testing.T, kept string) {
	t.Helper()
	f, err := os.Open(kept)
	if os.IsNotExist(err) {
		return // nothing yet
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(a.read[kept], io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		a.read[kept] += int64(len(lines.Bytes())) + 1
		number, text, _ := strings.Cut(lines.Text(), " ")
		var serial store.Serial
		if _, err := fmt.Sscan(number, &serial); err != nil {
			t.Fatal(err)
		}
		var hash store.Hash
		if _, err := hex.Decode(hash[:], []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, twice := a.have[serial]; twice {
			t.Errorf("serial %d was handed out twice", serial)
		}
		a.have[serial] = hash
		if entry, ok := a.issued[serial]; !ok {
			t.Errorf("certificate %d was handed out and is not in the ledger", serial)
		} else if entry != hash {
			t.Errorf("certificate %d is another than its entry", serial)
		}
	}
}

// raw returns stored bytes from an index on, none beyond size.
func (h *house) raw(t *testing.T, from, size uint64) [][]byte {
	t.Helper()
	url := fmt.Sprintf("https://%s%s?from=%d&limit=%d", h.https, api.RouteRaw.Path, from, min(1000, size-from))
	req, err := http.NewRequestWithContext(t.Context(), api.RouteRaw.Method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	by := h.dana.session
	req.Header.Set(api.TokenHeader, "Bearer "+base64.RawURLEncoding.EncodeToString(by.Token))
	req.Header.Set(api.ProofHeader, api.Prove(by.Key, api.Signed{Method: req.Method, Target: req.URL.RequestURI(), Token: by.Token}, time.Now()))
	// dana's client has held the server to its pin.
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var page api.RawResponse
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || page.From != from || len(page.Records) == 0 {
		t.Fatalf("entries from %d: %s: %v", from, resp.Status, err)
	}
	return page.Records
}

// checkAll is check, then downloads the whole ledger again and verifies it as
// `vaultpam audit verify` does, and holds everybody's files against it anew.
func (h *house) checkAll(t *testing.T) {
	t.Helper()
	h.check(t)
	found, err := h.ledger.Verify(t.Context(), func(uint64, uint64) {})
	if err != nil {
		t.Fatalf("audit verify: %v", err)
	}
	if found.Unknown > 0 {
		t.Errorf("%d entries are of unknown types", found.Unknown)
	}
	before := len(h.audit.have)
	h.audit = newAudit(t)
	h.check(t)
	if len(h.audit.have) != before {
		t.Errorf("%d certificates are kept, there were %d", len(h.audit.have), before)
	}
}
