package recording_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// TestS25 (hashes): whatever is changed in a recording, the hash in the ledger
// finds it.
func TestS25EveryChangeIsFound(t *testing.T) {
	id := newSessionID(t)
	files := finished(t, id)
	s, dir := lay(t, id, files)
	hash := openSession(t, s, id).Summary().SHA256
	check(t, openSession(t, s, id).Verify(hash))
	found := 0
	// forge puts files in the recording's place, and the true ones back.
	forge := func(what string, forged map[string][]byte) {
		t.Helper()
		for name, b := range forged {
			put(t, filepath.Join(dir, name), b)
		}
		session, err := s.OpenSession(id)
		if err == nil {
			err = session.Verify(hash)
			check(t, session.Close())
		}
		if !errors.Is(err, recording.ErrDamaged) && !errors.Is(err, recording.ErrUnfinished) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error is %v", what, err)
		}
		found++
		for name := range forged {
			put(t, filepath.Join(dir, name), files[name])
		}
	}
	forge("swapped", map[string][]byte{"1.cast": files["2.cast"], "2.cast": files["1.cast"]})
	forge("added", map[string][]byte{"3.cast": files["2.cast"]})
	for name, b := range files {
		forge("removed "+name, map[string][]byte{name: nil})
		forge("appended to "+name, map[string][]byte{name: slices.Concat(b, []byte("\n"))})
		forge("shortened "+name, map[string][]byte{name: lastLine(b)})
		lines := bytes.SplitAfter(b, []byte{'\n'})
		lines[1], lines[2] = lines[2], lines[1]
		forge("reordered "+name, map[string][]byte{name: bytes.Join(lines, nil)})
		for i := range b {
			flipped := bytes.Clone(b)
			flipped[i] ^= 1
			forge(fmt.Sprintf("byte %d of %s flipped", i, name), map[string][]byte{name: flipped})
		}
	}
	check(t, openSession(t, s, id).Verify(hash))
	t.Logf("%d changes found", found)
}

// put replaces a file by a new one with content b, or by none for nil.
func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if b != nil {
		check(t, os.WriteFile(path, b, 0o600))
	}
}

// TestS27: nothing outside of the directory is read, written or listed, and no
// symbolic link is followed, not even inside.
func TestS27NoSymbolicLinks(t *testing.T) {
	outside := t.TempDir()
	canary := filepath.Join(outside, "session.jsonl")
	id := newSessionID(t)
	files := finished(t, id)
	for name, b := range files {
		check(t, os.WriteFile(filepath.Join(outside, name), lastLine(b), 0o600))
	}
	before := readAll(t, outside)

	linked, inner, fifo := newSessionID(t), newSessionID(t), newSessionID(t)
	s, dir := lay(t, id, files)
	root := filepath.Dir(dir)
	check(t, os.Symlink(outside, filepath.Join(root, linked.String())))
	check(t, os.Symlink(id.String(), filepath.Join(root, inner.String())))
	check(t, os.Mkdir(filepath.Join(root, fifo.String()), 0o700))
	check(t, os.Symlink(canary, filepath.Join(root, fifo.String(), "session.jsonl")))
	check(t, os.Remove(filepath.Join(dir, "1.cast")))
	check(t, os.Symlink("2.cast", filepath.Join(dir, "1.cast")))

	for name, id := range map[string]store.SessionID{"link out": linked, "link inside": inner, "log is a link": fifo} {
		if _, err := s.OpenSession(id); err == nil {
			t.Errorf("%s: opened", name)
		}
		if _, err := s.Create(t.Context(), id, testHead()); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: creating gives %v, want fs.ErrExist", name, err)
		}
	}
	session := openSession(t, s, id)
	if _, err := content(session, 1, recording.Output); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a channel that is a link: %v", err)
	}
	if sums, err := s.Recover(t.Context(), end); err == nil || len(sums) != 0 {
		t.Errorf("recovering links: %+v, %v", sums, err)
	}
	if diff := cmp.Diff(before, readAll(t, outside)); diff != "" {
		t.Errorf("files outside changed (-before +after):\n%s", diff)
	}
}
