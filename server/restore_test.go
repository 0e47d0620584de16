package server_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/store"
)

// R17, S10, S41: a backup under load, a new machine, the same hosts and clients.
func TestS10S41R17RestoreDrill(t *testing.T) {
	d := newDrill(t)
	o := newOwner(t)
	serials := []uint64{d.session(d.site)}
	l := d.burden(3)
	l.wait(10)
	backup, keys := d.backup(o, server.WithoutRecordings), d.backupKeys(o)
	l.wait(10) // what the restore will not have
	serials = append(append(serials, l.stop()...), d.session(d.site))
	if err := d.follow(d.site); err != nil {
		t.Fatal(err)
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	behind, _, err := d.restored(o, backup, keys, d.remembered(), server.RefuseRollback)
	var refused *server.RollbackError
	if !errors.As(err, &refused) || refused.Shown.Size <= refused.Backup.Size || !strings.Contains(err.Error(), "would be lost") {
		t.Fatalf("a restore behind what a client saw: %v", err)
	}
	if left, err := os.ReadDir(string(behind.dir)); err != nil || len(left) != 0 {
		t.Errorf("the refused restore left %v, %v", left, err)
	}
	begin := time.Now()
	next, result, err := d.restored(o, backup, keys, d.remembered(), server.AcceptRollback)
	if err != nil || !result.Raised || result.Shown.Size != refused.Shown.Size {
		t.Fatalf("%+v, %v", result, err)
	}
	if got := next.fsck(); len(got) != 1 || !strings.Contains(got[0], "is open in the ledger") { // the session before the backup
		t.Errorf("fsck: %q", got)
	}
	next.run()
	t.Logf("in service again after %v, with %d entries", time.Since(begin), result.Size)
	first := next.entriesOf(store.TypeLedgerRestored)
	if len(first) != 1 || uint64(first[0].Index) != result.Size || first[0].Event.(*store.LedgerRestored).Size != refused.Shown.Size || !first[0].Actor.Local {
		t.Errorf("the entry of the restore: %+v", first)
	}
	// The host did not change, and takes a session at once.
	again := []uint64{d.session(next)}
	next.signIn(next.admin)
	l = next.burdenNamed(3, "later")
	l.wait(20)
	again = append(again, l.stop()...)
	for _, serial := range again {
		if slices.Contains(serials, serial) || serial < 1<<36 || serial >= uint64(store.EmergencySerial) {
			t.Errorf("serial %d after the restore", serial)
		}
	}
	var fork *client.ForkError
	if err := d.follow(next); !errors.As(err, &fork) || !strings.HasPrefix(err.Error(), "ledger fork at index ") {
		t.Errorf("the client that saw more: %v", err)
	}
	t.Logf("%d serials before and %d after, none twice", len(serials), len(again))
}

// S41: what a checkpoint shows decides, and nothing shown is nothing known.
func TestS41RestoreNeedsToKnowThatNothingIsLost(t *testing.T) {
	s, _ := livedIn(t)
	o := newOwner(t)
	keys := s.backupKeys(o)
	before := s.node.Ledger().Checkpoint()
	s.added("dana", "auditor")
	backup := s.backup(o, server.WithoutRecordings)
	at := s.node.Ledger().Checkpoint()
	s.added("erik", "auditor")
	after := s.node.Ledger().Checkpoint()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	// Another history of the same ledger.
	fork, _, err := s.restored(o, backup, keys, nil, server.AcceptRollback)
	if err != nil {
		t.Fatal(err)
	}
	fork.run()
	forked, longer := fork.node.Ledger().Checkpoint(), fork.backup(o, server.WithoutRecordings)
	fork.added("fred", "auditor")
	longest := fork.backup(o, server.WithoutRecordings)
	if err := fork.stop(); err != nil {
		t.Fatal(err)
	}
	foreign := []byte(strings.Replace(string(at), "pam.example.eu", "pam.example.fr", 1))
	for name, c := range map[string]struct {
		backup, shown []byte
		refused       string // without accepting; empty where nothing is lost
		broken        bool   // accepting doesn't help
		names         bool   // the entry names the larger ledger
	}{
		"the same":              {backup, at, "", false, false},
		"nothing":               {backup, nil, "nothing shows that no entry came after it", false, false},
		"an older one":          {backup, before, "fewer than the backup's", false, false},
		"a newer one":           {backup, after, "entries 22 to 26 would be lost", false, true},
		"another history":       {longer, after, "would be lost", false, true},
		"of another":            {backup, foreign, "not one of this ledger", true, false},
		"no checkpoint":         {backup, []byte("x"), "not one of this ledger", true, false},
		"a fork's, from before": {longer, at, "fewer than the backup's", false, false},
		"a fork beyond":         {backup, forked, "entries 22 to 22 would be lost", false, true},
		"a fork as long":        {longest, after, "are not those of the checkpoint", false, true},
	} {
		_, result, err := s.restored(o, c.backup, keys, c.shown, server.RefuseRollback)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && result.Raised {
			t.Errorf("%s: an entry that nothing asked for", name)
		}
		next, result, err := s.restored(o, c.backup, keys, c.shown, server.AcceptRollback)
		if (err != nil) != c.broken {
			t.Errorf("%s, accepted: %v", name, err)
		}
		if err != nil {
			continue
		}
		if result.Raised != (c.refused != "") || (result.Shown.Size != 0) != c.names {
			t.Errorf("%s, accepted: %+v", name, result)
		}
		if found := next.fsck(); slices.ContainsFunc(found, func(f string) bool {
			return !strings.Contains(f, "recordings that the ledger names and that are not there")
		}) {
			t.Errorf("%s, accepted: %q", name, found)
		}
	}
}

func TestRestoreWithoutKeys(t *testing.T) {
	s, carol := livedIn(t)
	o := newOwner(t)
	backup := s.backup(o, server.WithRecordings)
	next, result, err := s.restored(o, backup, nil, s.node.Ledger().Checkpoint(), server.RefuseRollback)
	if err != nil || result.Raised {
		t.Fatalf("%+v, %v", result, err)
	}
	if _, err := server.Open(t.Context(), next.options()); err == nil {
		t.Error("it opens without keys")
	}
	for _, folder := range []string{"keys", "tls"} {
		to := filepath.Join(string(next.dir), folder)
		if err := os.Remove(to); err != nil {
			t.Errorf("%s should be there and empty: %v", folder, err)
		}
		if err := os.Mkdir(to, 0o700); err != nil {
			t.Fatal(err)
		}
		files, err := os.ReadDir(filepath.Join(string(s.dir), folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			data, err := os.ReadFile(filepath.Join(string(s.dir), folder, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(to, f.Name()), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	next.run().certificate(carol)
	if _, _, err := s.restored(o, backup, nil, nil, server.AcceptRollback); err == nil || !strings.Contains(err.Error(), "restore with --keys") {
		t.Errorf("an entry without a log key: %v", err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s, _ := livedIn(t)
	o, stranger := newOwner(t), newOwner(t)
	backup, keys := s.backup(o, server.WithRecordings), s.backupKeys(o)
	other := ownSite(t)
	foreign := other.backupKeys(o)
	at := s.node.Ledger().Checkpoint()
	flipped := bytes.Clone(backup)
	flipped[len(flipped)/2] ^= 1
	for name, c := range map[string]struct {
		backup, keys []byte
		who          owner
		want         string
	}{
		"a stranger":             {backup, keys, stranger, "not encrypted to this identity"},
		"keys as the backup":     {keys, keys, o, "a backup of the keys"},
		"the backup as keys":     {backup, backup, o, "a backup of the ledger"},
		"keys of another":        {backup, foreign, o, "the keys of another server"},
		"cut off":                {backup[:len(backup)-100], keys, o, ""},
		"cut off after its head": {backup[:300], keys, o, ""},
		"nothing":                {nil, keys, o, ""},
		"keys cut off":           {backup, keys[:len(keys)-1], o, "backup of the keys"},
		"one bit":                {flipped, keys, o, ""},
		"something behind it":    {append(bytes.Clone(backup), 'x'), keys, o, ""},
		"no backup":              {[]byte("hello"), keys, o, "decrypting it"},
	} {
		next, _, err := s.restored(c.who, c.backup, c.keys, at, server.AcceptRollback)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(string(next.dir)); err != nil || len(left) != 0 {
			t.Errorf("%s: it left %v, %v", name, left, err)
		}
	}
}

func TestRestoreTakesAnEmptyDirectoryAlone(t *testing.T) {
	s, _ := livedIn(t)
	o := newOwner(t)
	backup, keys, at := s.backup(o, server.WithoutRecordings), s.backupKeys(o), s.node.Ledger().Checkpoint()
	request := func(dir string) server.RestoreRequest {
		return server.RestoreRequest{
			Dir: server.Dir(dir), From: bytes.NewReader(backup), Keys: bytes.NewReader(keys), Identities: []age.Identity{o}, Checkpoint: at,
		}
	}
	used := t.TempDir()
	if err := os.WriteFile(filepath.Join(used, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{used: "is not empty", string(s.dir): "is a data directory already"} {
		if _, err := server.Restore(t.Context(), s.env, request(dir)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := os.Stat(filepath.Join(used, "mine")); err != nil {
		t.Error(err)
	}
	// What a restore that died left is no hindrance.
	died := t.TempDir()
	if err := os.MkdirAll(filepath.Join(server.Dir(died).Begun(), "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Restore(t.Context(), s.env, request(died)); err != nil {
		t.Error(err)
	}
}
