package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server"
)

var (
	anyUser    = regexp.MustCompile(`u:[a-z2-7]{26}`)
	anySession = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
	anyLength  = regexp.MustCompile(`should have \d+`)
	anyVersion = regexp.MustCompile(`version \d+, want \d+`)
	anyHash    = regexp.MustCompile(`[0-9a-f]{64}`)
)

// described is what fsck says, without what is different every time.
func described(t *testing.T, env server.Environment, dir server.Dir) string {
	t.Helper()
	var text strings.Builder
	err := server.Fsck(t.Context(), env, dir, func(f server.Finding) {
		fmt.Fprintf(&text, "%s %s\n", map[server.Severity]string{server.Repairable: "repairable", server.Damage: "damage"}[f.Severity], f)
	})
	if err != nil {
		fmt.Fprintf(&text, "error %v\n", err)
	}
	said := strings.ReplaceAll(text.String(), string(dir), "DIR")
	said = anySession.ReplaceAllString(said, "SESSION")
	said = anyLength.ReplaceAllString(said, "should have N")
	said = anyVersion.ReplaceAllString(said, "version N, want M")
	return anyHash.ReplaceAllString(anyUser.ReplaceAllString(said, "USER"), "HASH")
}

// TestS40FsckSaysWhatIsWrong with a data directory to which something happened,
// and what can be done; and that it changes nothing.
func TestS40FsckSaysWhatIsWrong(t *testing.T) {
	s, carol := livedIn(t)
	done := s.closed(carol)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, d := range append(fileDamages(), ledgerDamages()...) {
		dir := freshDir(t)
		copied(t, s.dir, dir)
		d.do(&hurt{t, dir, done})
		before := (&site{t: t, dir: dir}).everythingBut("")
		said := described(t, s.env, dir)
		after := (&site{t: t, dir: dir}).everythingBut("")
		for path, data := range before {
			if string(after[path]) != string(data) {
				t.Errorf("%s: fsck changed %s", d.name, path)
			}
		}
		if said == "" {
			said = "nothing is wrong\n"
		}
		fmt.Fprintf(&all, "# %s\n%s\n", d.name, said)
	}
	golden(t, filepath.Join("testdata", "fsck.golden"), []byte(all.String()))
}

func TestFsckOfASessionThatWasLeftOpen(t *testing.T) {
	s, carol := livedIn(t)
	s.recorded(carol)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	want := "repairable session SESSION is open in the ledger, and no server runs: start the server, which mends it\n" +
		"repairable recording SESSION has no end marker: start the server, which mends it\n"
	if got := described(t, s.env, s.dir); got != want {
		t.Errorf("%s", got)
	}
	s.run()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if got := described(t, s.env, s.dir); got != "" {
		t.Errorf("after a start: %s", got)
	}
}

// What a start mends, a start mends.
func TestFsckIsRightThatAStartMends(t *testing.T) {
	s, _ := livedIn(t)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, d := range append(fileDamages(), ledgerDamages()...) {
		next := &site{t: t, dir: freshDir(t), env: s.env, log: &scroll{}}
		copied(t, s.dir, next.dir)
		if !strings.HasPrefix(d.name, "snapshot") && d.name != "init left something" {
			continue
		}
		d.do(&hurt{t: t, dir: next.dir})
		if said := described(t, s.env, next.dir); !strings.HasPrefix(said, "repairable") || strings.Contains(said, "damage") {
			t.Errorf("%s: %s", d.name, said)
		}
		if err := next.open().Close(); err != nil {
			t.Fatal(err)
		}
		if said := described(t, s.env, next.dir); said != "" {
			t.Errorf("%s, after a start: %s", d.name, said)
		}
	}
}

func TestFsckCannotLook(t *testing.T) {
	s := populated(t)
	none := func(server.Finding) { t.Error("a finding") }
	var held *server.HeldError
	if err := server.Fsck(t.Context(), s.env, s.dir, none); !errors.As(err, &held) || !strings.Contains(held.Holder, fmt.Sprint(os.Getpid())) {
		t.Errorf("while it runs: %v", err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]server.Dir{"nothing": server.Dir(filepath.Join(t.TempDir(), "no")), "empty": freshDir(t)} {
		if err := server.Fsck(t.Context(), s.env, dir, none); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := server.Fsck(t.Context(), s.env, s.dir, nil); err == nil {
		t.Error("nobody to tell: no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Fsck(ctx, s.env, s.dir, func(server.Finding) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// What fsck says can be done is done: a backup of a ledger whose lists or hashes
// are damaged makes them anew.
func TestFsckAdviceMendsListsAndHashes(t *testing.T) {
	s, _ := livedIn(t)
	o := newOwner(t)
	keys := s.backupKeys(o)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	for _, d := range ledgerDamages() {
		if d.name != "list gone" && d.name != "list too long" && d.name != "hash changed" {
			continue
		}
		bad := &site{t: t, dir: freshDir(t), env: s.env, log: &scroll{}}
		copied(t, s.dir, bad.dir)
		d.do(&hurt{t: t, dir: bad.dir})
		if said := described(t, s.env, bad.dir); !strings.Contains(said, "take a backup and restore it") {
			t.Errorf("%s: %s", d.name, said)
		}
		var out bytes.Buffer
		n := bad.open()
		checkpoint := n.Ledger().Checkpoint()
		if _, err := n.Backup(t.Context(), &out, o.request(server.WithoutRecordings)); err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		next, _, err := s.restored(o, out.Bytes(), keys, checkpoint, server.RefuseRollback)
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		if said := described(t, s.env, next.dir); strings.Contains(said, "list") || strings.Contains(said, "hash") {
			t.Errorf("%s, restored: %s", d.name, said)
		}
	}
}
