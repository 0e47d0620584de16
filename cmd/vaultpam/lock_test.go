package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestLock(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	s.set(api.RouteLock, api.Lock{ID: 17, Kind: "user", Name: "carol"})
	s.set(api.RouteLocks, []api.Lock{
		{ID: 17, Kind: "user", Name: "carol", Since: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC), By: "ada", Why: "a stolen\x1b[31m laptop"},
		{ID: 18, Kind: "serial", Name: "12", Of: "dave", Since: time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC), By: "ada", Why: "copied"},
	})
	m.run("lock", "user", "carol", "--why", "a stolen laptop").want(t, exitOK,
		"locked user carol (lock 17); live sessions end now", "to take it away: vaultpam unlock user carol")
	if got, want := s.body(api.RouteLock), `/v1/admin/locks {"kind":"user","name":"carol","why":"a stolen laptop"}`; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	// An answer about something else is none.
	m.run("lock", "user", "dave", "--why", "a stolen laptop").want(t, exitOther)
	r := m.run("lock", "ls")
	r.want(t, exitOK)
	want := "kind    name   of    since                    by   why                      lock\n" +
		"user    carol  -     2026-08-01 12:00:00 UTC  ada  a stolen\\x1b[31m laptop  17\n" +
		"serial  12     dave  2026-08-01 12:00:00 UTC  ada  copied                   18\n"
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Error(diff)
	}
	s.set(api.RouteLocks, []api.Lock{})
	m.run("lock", "ls").want(t, exitOK, "nothing is locked")
	s.set(api.RouteUnlock, api.Empty{})
	m.run("unlock", "serial", "12").want(t, exitOK, "unlocked serial 12")
	if got, want := s.body(api.RouteUnlock), `/v1/admin/unlock {"kind":"serial","name":"12"}`; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	m.run("unlock", "target", "db1", "--why", "it was rebuilt").want(t, exitOK, "unlocked target db1")
	for _, bad := range [][]string{
		{"lock"}, {"lock", "user"}, {"lock", "user", "carol"}, {"lock", "user", "carol", "--why", "a\nb"}, {"lock", "user", "Carol!", "--why", "x"},
		{"lock", "group", "dba", "--why", "x"}, {"lock", "serial", "0", "--why", "x"}, {"lock", "serial", "-1", "--why", "x"}, {"lock", "session", "1", "--why", "x"},
		{"lock", "target", "a b", "--why", "x"}, {"unlock", "user", "carol", "dave"}, {"unlock", "user", "carol", "--why", " x"}, {"unlock"},
	} {
		m.run(bad...).want(t, exitUsage)
	}
}
