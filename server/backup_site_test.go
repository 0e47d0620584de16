package server_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// An owner is who backups are encrypted to.
type owner struct{ *age.X25519Identity }

func newOwner(t testing.TB) owner {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return owner{id}
}

func (o owner) request(r server.Recordings) server.BackupRequest {
	return server.BackupRequest{Recipients: []string{o.Recipient().String()}, Recordings: r}
}

// plain is a backup without its encryption.
func (o owner) plain(t testing.TB, sealed []byte) []byte {
	t.Helper()
	packed, err := age.Decrypt(bytes.NewReader(sealed), o)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sealed is the other way round, for backups that nobody wrote.
func (o owner) sealed(t testing.TB, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	a, err := age.Encrypt(&out, o.Recipient())
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(z.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A frame is a part of a plain backup.
type frame struct {
	kind byte
	body []byte
}

const magic = "VaultPAM backup 1\n"

func frames(t testing.TB, plain []byte) []frame {
	t.Helper()
	rest, ok := bytes.CutPrefix(plain, []byte(magic))
	if !ok {
		t.Fatalf("it begins with %.20q", plain)
	}
	var all []frame
	for len(rest) > 0 {
		n := binary.BigEndian.Uint32(rest[1:])
		all = append(all, frame{rest[0], rest[5 : 5+n]})
		rest = rest[5+n:]
	}
	return all
}

// checkpointIn is the signed checkpoint that a backup is consistent with.
func checkpointIn(t testing.TB, plain []byte) []byte {
	t.Helper()
	var h struct{ Checkpoint string }
	if err := json.Unmarshal(frames(t, plain)[0].body, &h); err != nil {
		t.Fatal(err)
	}
	return []byte(h.Checkpoint)
}

func (s *site) backup(o owner, r server.Recordings) []byte {
	s.t.Helper()
	var out bytes.Buffer
	if _, err := s.dir.FetchBackup(s.t.Context(), &out, o.request(r)); err != nil {
		s.t.Fatal(err)
	}
	return out.Bytes()
}

func (s *site) backupKeys(o owner) []byte {
	s.t.Helper()
	var out bytes.Buffer
	if _, err := server.BackupKeys(s.env, s.dir, &out, o.Recipient()); err != nil {
		s.t.Fatal(err)
	}
	return out.Bytes()
}

// closed opens a session with a recording and ends both.
func (s *site) closed(who *resident) store.SessionID {
	s.t.Helper()
	a, r := s.recorded(who)
	sum, err := r.Close("")
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.node.Gate().End(s.t.Context(), relay.Ended{Admission: a, Reason: store.EndedByUser, Files: relay.Files(sum)}); err != nil {
		s.t.Fatal(err)
	}
	return a.Session
}

// livedIn is a site with people, a target and a recorded session.
func livedIn(t *testing.T) (*site, *resident) {
	t.Helper()
	s := populated(t)
	s.target("db1")
	carol := s.added("carol", "engineer")
	s.grant("carol", "db1", time.Time{})
	s.closed(carol)
	return s, carol
}

// restored is a site in another directory, from backups. It has the hand of
// this one's clock.
func (s *site) restored(o owner, backup, keys, checkpoint []byte, r server.Rollback) (*site, server.RestoreResult, error) {
	s.t.Helper()
	dir := server.Dir(filepath.Join(s.t.TempDir(), "new"))
	request := server.RestoreRequest{
		Dir: dir, From: bytes.NewReader(backup), Identities: []age.Identity{o}, Checkpoint: checkpoint, Rollback: r,
	}
	if keys != nil {
		request.Keys = bytes.NewReader(keys)
	}
	result, err := server.Restore(s.t.Context(), s.env, request)
	next := siteIn(s.t, dir, s.begun)
	next.clock, next.env, next.admin = s.clock, s.env, s.admin
	return next, result, err
}

func (s *site) fsck() []string {
	s.t.Helper()
	var found []string
	if err := server.Fsck(s.t.Context(), s.env, s.dir, func(f server.Finding) { found = append(found, f.String()) }); err != nil {
		s.t.Fatal(err)
	}
	return found
}
