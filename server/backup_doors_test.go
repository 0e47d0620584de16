package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"iter"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A report of the other ways into a target is in the backup when its entry is,
// and one that comes while the backup is taken is not: nobody would erase it.
func TestBackupHasTheReportsOfItsEntries(t *testing.T) {
	s := newSite(t)
	open := s.env.OpenBackend
	var meanwhile func()
	s.env.OpenBackend = func(path string) (store.Backend, error) {
		b, err := open(path)
		return &busyBackend{b, func() { meanwhile() }}, err
	}
	meanwhile = func() {}
	s.run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	s.target("db1")
	s.looked("db1", "before")
	meanwhile = func() { s.looked("db1", "meanwhile") }
	o := newOwner(t)
	backup := s.backup(o, server.WithoutRecordings)
	meanwhile = func() {}
	plain := o.plain(t, backup)
	if !bytes.Contains(plain, []byte("what was found before")) || bytes.Contains(plain, []byte("what was found meanwhile")) {
		t.Error("the reports in the backup are not those of its entries")
	}
	next, _, err := s.restored(o, backup, s.backupKeys(o), checkpointIn(t, plain), server.RefuseRollback)
	if err != nil {
		t.Fatal(err)
	}
	if found := next.fsck(); len(found) != 0 {
		t.Errorf("fsck: %q", found)
	}
	next.run()
	next.signIn(next.admin)
	path := strings.Replace(api.RouteLastCheck.Path, "{name}", "db1", 1)
	if got := must[api.Check](next, next.admin, "GET", path, nil); len(got.Ways) != 1 || got.Ways[0].Detail != "what was found before" {
		t.Errorf("%+v", got)
	}
}

// A busyBackend does something whenever the side table is about to be read.
type busyBackend struct {
	store.Backend
	meanwhile func()
}

func (b *busyBackend) SideAll(ctx context.Context, table store.SideTable, prefix []byte) iter.Seq2[store.SideWrite, error] {
	b.meanwhile()
	return b.Backend.SideAll(ctx, table, prefix)
}

// looked makes the entries of a look at a target, as if it had been carried out.
func (s *site) looked(name store.TargetName, found string) {
	s.t.Helper()
	l := s.node.Ledger()
	start := access.StartErrand{By: access.Caller{Local: true}, Errand: store.ErrandCheck, Target: name}
	if _, err := rand.Read(start.Session[:]); err != nil {
		s.t.Fatal(err)
	}
	start.Session[6], start.Session[8] = start.Session[6]&0x0f|0x40, start.Session[8]&0x3f|0x80
	t, _ := l.State().TargetByName(name)
	record := access.RecordCheck{
		Target: t.Entry, Session: start.Session, BeforeOf: t.Check.Report,
		Report: store.DoorReport{Doors: []store.Door{{Kind: store.DoorDaemon, Detail: "what was found " + found}}},
	}
	if _, err := rand.Read(record.Salt[:]); err != nil {
		s.t.Fatal(err)
	}
	for _, c := range []access.Command{start, access.EndSession{Session: start.Session, Reason: store.EndedByUser}, record} {
		if _, err := l.Do(s.t.Context(), c); err != nil {
			s.t.Errorf("%T: %v", c, err)
		}
	}
}
