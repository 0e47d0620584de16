package server_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// Everything but what is live comes through a backup, and into service.
func TestBackupAndRestore(t *testing.T) {
	s, carol := livedIn(t)
	open, _ := s.recorded(carol) // live
	o := newOwner(t)
	backup, keys := s.backup(o, server.WithRecordings), s.backupKeys(o)
	const page = "/v1/entries?before=12&limit=1000"
	want := must[api.EntriesResponse](s, s.added("dana", "auditor"), "GET", page, nil).Entries
	checkpoint := checkpointIn(t, o.plain(t, backup))
	next, result, err := s.restored(o, backup, keys, checkpoint, server.RefuseRollback)
	if err != nil {
		t.Fatal(err)
	}
	if result.Raised || result.Recordings != 1 || result.Name != siteName || result.Made != "2026-08-01T12:00:00Z" {
		t.Errorf("%+v", result)
	}
	if got := next.fsck(); len(got) != 1 || !strings.Contains(got[0], "session "+open.Session.String()+" is open in the ledger") {
		t.Errorf("fsck: %q", got)
	}
	next.run()
	next.signIn(next.admin)
	got := must[api.EntriesResponse](next, next.added("dana", "auditor"), "GET", page, nil).Entries
	if diff := cmp.Diff(want, got); diff != "" || len(got) != 12 {
		t.Errorf("%d entries read otherwise:\n%s", len(got), diff)
	}
	if e := next.interruptions()[open.Session]; e == nil || e.Reason != store.EndedInterrupted {
		t.Errorf("the live session: %+v", e)
	}
	next.certificate(carol) // her sign-in session goes on
	modes := s.modes()
	maps.DeleteFunc(modes, func(name string, _ fs.FileMode) bool { return strings.Contains(name, open.Session.String()) })
	if diff := cmp.Diff(modes, next.modes()); diff != "" {
		t.Errorf("modes:\n%s", diff)
	}
	if err := next.stop(); err != nil {
		t.Fatal(err)
	}
	if got := next.fsck(); len(got) != 0 {
		t.Errorf("fsck afterwards: %q", got)
	}
}

// S12: an ordinary backup has no key in it, and no secret that is not sealed.
func TestS12BackupHoldsNoKey(t *testing.T) {
	s, carol := livedIn(t)
	o := newOwner(t)
	secrets := s.privateKeys()
	secrets["emergency passphrase"] = []byte(s.begun.Passphrase)
	secrets["token"] = carol.token
	for _, r := range []*resident{s.admin, carol} {
		seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(r.secret)
		if err != nil {
			t.Fatal(err)
		}
		secrets["TOTP seed of "+r.handle] = seed
	}
	tls, err := os.ReadFile(filepath.Join(string(s.dir), "tls", "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	secrets["TLS key"] = tls
	sealed := s.backup(o, server.WithRecordings)
	plain := o.plain(t, sealed)
	for name, secret := range secrets {
		for form, text := range canaries(secret) {
			if bytes.Contains(plain, text) || bytes.Contains(sealed, text) {
				t.Errorf("%s is in the backup (%s)", name, form)
			}
		}
	}
	if !bytes.Contains(plain, []byte("carol")) || bytes.Contains(sealed, []byte("carol")) {
		t.Error("carol should be inside of it, and not seen from outside")
	}
	// The keys are in the other one, and are not seen there either.
	keys := s.backupKeys(o)
	inside := o.plain(t, keys)
	for _, name := range []string{"sealing key", "TLS key"} {
		if !bytes.Contains(inside, secrets[name]) || bytes.Contains(keys, secrets[name]) {
			t.Errorf("%s in the backup of the keys", name)
		}
	}
	if _, err := server.BackupKeys(s.env, s.dir, io.Discard); err == nil {
		t.Error("keys were written to nobody")
	}
}

func TestBackupIsEncryptedToSomebody(t *testing.T) {
	s := populated(t)
	secret := newOwner(t).String()
	for name, r := range map[string][]string{
		"nobody": nil, "a word": {"somebody"}, "an identity": {secret}, "two lines": {newOwner(t).Recipient().String() + "\n" + newOwner(t).Recipient().String()}, "empty": {""},
	} {
		var out bytes.Buffer
		_, err := s.dir.FetchBackup(t.Context(), &out, server.BackupRequest{Recipients: r, Recordings: server.WithoutRecordings})
		if err == nil || out.Len() != 0 || !strings.Contains(err.Error(), "age recipient") || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v with %d bytes", name, err, out.Len())
		}
	}
	if _, err := s.dir.FetchBackup(t.Context(), io.Discard, server.BackupRequest{Recipients: []string{newOwner(t).Recipient().String()}}); err == nil {
		t.Error("nothing was said of recordings")
	}
}

// A backup that can't be whole is never taken for one.
func TestBackupThatFails(t *testing.T) {
	s, _ := livedIn(t)
	o := newOwner(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.dir.FetchBackup(t.Context(), io.Discard, o.request(server.WithoutRecordings)); !errors.Is(err, server.ErrNotServing) {
		t.Errorf("no server: %v", err)
	}
	open := s.env.OpenBackend
	for name, damage := range map[string]func(store.Index, [][]byte) [][]byte{
		"another entry": func(from store.Index, r [][]byte) [][]byte {
			if from == 0 && len(r) > 3 {
				r[2] = r[1]
			}
			return r
		},
		"nothing": func(from store.Index, r [][]byte) [][]byte {
			if from == 0 && len(r) > 3 {
				return nil
			}
			return r
		},
	} {
		var armed bool
		s.env.OpenBackend = func(path string) (store.Backend, error) {
			b, err := open(path)
			return &bentBackend{b, func(from store.Index, r [][]byte) [][]byte {
				if armed {
					return damage(from, r)
				}
				return r
			}}, err
		}
		s.run()
		armed = true
		var out bytes.Buffer
		_, err := s.dir.FetchBackup(t.Context(), &out, o.request(server.WithoutRecordings))
		if err == nil || !strings.Contains(err.Error(), "store is corrupt") {
			t.Errorf("%s: %v", name, err)
		}
		s.env.OpenBackend = open
		if _, _, err := s.restored(o, out.Bytes(), nil, nil, server.RefuseRollback); err == nil {
			t.Errorf("%s: it was restored", name)
		}
		if err := s.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// A bentBackend shows other entries than it has.
type bentBackend struct {
	store.Backend
	bend func(store.Index, [][]byte) [][]byte
}

func (b *bentBackend) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	r, err := b.Backend.Records(ctx, from, limit)
	return b.bend(from, r), err
}

// A recording that is not what was recorded is told, and is not in the backup.
func TestBackupWithoutADamagedRecording(t *testing.T) {
	s, carol := livedIn(t)
	bad, gone := s.closed(carol), s.closed(carol)
	if err := os.Truncate(filepath.Join(string(s.dir), "recordings", bad.String(), "1.cast"), 10); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(string(s.dir), "recordings", gone.String())); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := newOwner(t)
	result, err := s.dir.FetchBackup(t.Context(), &out, o.request(server.WithRecordings))
	if err != nil || result.Recordings != 1 || result.Missing != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	_, got, err := s.restored(o, out.Bytes(), s.backupKeys(o), nil, server.AcceptRollback)
	if err != nil || got.Recordings != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}
