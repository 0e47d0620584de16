package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// S41: what every command that looks at the ledger does when it forked.
func TestS41ForkNamesIndex(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(s *fakeServer)
		index  string
	}{
		"rolled back": {func(s *fakeServer) { s.rewrite(5, "a") }, "5"},
		"rewritten":   {func(s *fakeServer) { s.rewrite(40, "b") }, "9"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			m := enrolled(t, s)
			s.grow(4, "a")
			m.run("status").want(t, exitOK, "9 entries")
			tt.change(s)
			for _, args := range []string{"status", "audit ls", "audit show 2", "audit verify", "login --code-stdin"} {
				r := m.runWith(strings.NewReader(goodCode), strings.Fields(args)...)
				r.want(t, exitLedger, "vaultpam: ledger fork at index "+tt.index+"\nhint: the ledger was rewritten or rolled back")
				if r.out != "" {
					t.Errorf("%s: standard output: %q", args, r.out)
				}
			}
			if body := s.body(api.RouteSignIn); body != "" {
				t.Errorf("a code was sent to a server that forked: %s", body)
			}
			// What the hint says, after an auditor confirmed it.
			kept := filepath.Join(m.home(), "checkpoints")
			if err := os.Rename(kept, kept+".before"); err != nil {
				t.Fatal(err)
			}
			m.run("status").want(t, exitOK)
		})
	}
}

func TestAudit(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.grow(1, "a")
	r := m.run("audit", "show", "2")
	r.want(t, exitOK, "reason       no-grant", "verified     in the ledger of 6 entries with root ")
	m.run("audit", "show", "6").want(t, exitNotFound, "there is no entry 6: the ledger has 6")
	m.run("audit", "verify").want(t, exitOK, "size     6\n", "since    6 entries", "\nverified\n")
	s.mu.Lock()
	s.records[3] = []byte("edited")
	s.mu.Unlock()
	m.run("audit", "verify").want(t, exitLedger, "vaultpam: entry 3 of the ledger does not verify")
	m.run("audit", "show", "3").want(t, exitLedger, "vaultpam: entry 3 of the ledger does not verify")
}

func TestAuditLs(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	want := "index  time                  type             actor   user   target  summary\n" +
		"3      2023-11-14T22:13:20Z  session.refused  server  carol  -       carol was refused a session: no-grant\n" +
		"4      2023-11-14T22:13:20Z  session.refused  server  carol  -       carol was refused a session: no-grant\n"
	r := m.run("audit", "ls", "--limit", "2")
	r.want(t, exitOK, "hint: older entries were left out")
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Error(diff)
	}
	s.grow(1200, "a")
	var entries []api.Entry
	if err := json.Unmarshal([]byte(m.run("audit", "ls", "--json", "--limit", "0").out), &entries); err != nil || len(entries) != 1205 {
		t.Errorf("%d entries (%v), want all 1205", len(entries), err)
	}
	for i, e := range entries {
		if e.Index != uint64(i) {
			t.Fatalf("entry %d stands at %d", e.Index, i)
		}
	}
	s.set(api.RouteEntries, api.EntriesResponse{Entries: []api.Entry{{
		Index: 7, Type: "certificate.issued", User: "carol", Target: "db1", Summary: "=cmd|x",
		Fields: map[string]any{"factor": "totp", "principal": "root@db1", "target": "db1", "expires": "2026-11-23T12:00:00Z", "session": "\x1b[2J"},
	}}})
	r = m.run("audit", "ls", "--type", "certificate.issued", "--user", "carol", "--since", "30d")
	want = "index  time  factor  principal  target  expiry                session\n" +
		`7      -     totp    root@db1   db1     2026-11-23T12:00:00Z  \x1b[2J` + "\n"
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Error(diff)
	}
	if q := s.body(api.RouteEntries); !strings.Contains(q, "type=certificate.issued&user=carol") || !strings.Contains(q, "since=") {
		t.Errorf("asked %s", q)
	}
	rows, err := csv.NewReader(strings.NewReader(m.run("audit", "ls", "--csv").out)).ReadAll()
	wantRows := [][]string{
		{"index", "time", "type", "actor", "user", "target", "summary"},
		{"7", "", "certificate.issued", "", "carol", "db1", "'=cmd|x"},
	}
	if diff := cmp.Diff(wantRows, rows); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}
