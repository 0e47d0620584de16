package server_test

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// makeYear makes a data directory whose ledger has that many entries, of people
// with so many grants each.
func makeYear(t testing.TB, dir server.Dir, entries, grants int) *pastYear {
	t.Helper()
	env := environment(&hand{at: yearBefore(entries)})
	if _, err := server.Init(t.Context(), env, initRequest(dir)); err != nil {
		t.Fatal(err)
	}
	env.Now = time.Now
	began := time.Now()
	y := fillYear(t, env, dir, entries, grants)
	t.Logf("%d entries in %v: %v", y.next(), time.Since(began).Round(time.Second), y.counts)
	return y
}

// TestAnswersFromAYear fills a ledger as BenchmarkLarge does, with fewer
// entries: it verifies and folds, and what the server finds in it by names is
// what reading all of it finds.
func TestAnswersFromAYear(t *testing.T) {
	const entries = 12_000
	dir := server.Dir(filepath.Join(t.TempDir(), "data"))
	y := makeYear(t, dir, entries, grantsEach)
	env := environment(newHand())
	env.Now = time.Now
	iris := &resident{token: comeIn(t, env, dir, "iris")["iris"].token}
	s := siteIn(t, dir, server.InitResult{})
	s.begun.Invitation.Pin = pinOf(t, dir)
	s.env.Now = time.Now
	p := &past{site: s.run(), dana: iris, handles: map[store.UserID]string{}, targets: map[store.Index]string{}}
	p.readYear(entries)
	if want := y.people[0].id; p.node.Ledger().State().Next() < entries || p.handles[want] != "user0" {
		t.Fatalf("the ledger has %d entries and calls its first %q", p.node.Ledger().State().Next(), p.handles[want])
	}
	for _, n := range []int{0, 1, 10, 20, companySize(entries) - 1} {
		p.sameAsReading(fmt.Sprintf("user%d", n), fmt.Sprintf("db%d", n))
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	p.verifies()
}

// readYear reads all entries, page by page, the newest first.
func (p *past) readYear(atLeast int) {
	p.t.Helper()
	var all []*store.Entry
	for {
		path := fmt.Sprintf("%s?from=%d", api.RouteRaw.Path, len(all))
		raw := must[api.RawResponse](p.site, p.dana, "GET", path, nil)
		if len(raw.Records) == 0 {
			break
		}
		for _, data := range raw.Records {
			e, err := store.DecodeEntry(data)
			if err != nil {
				p.t.Fatal(err)
			}
			all = append(all, e)
			p.name(e)
		}
	}
	if len(all) < atLeast {
		p.t.Fatalf("%d entries were read", len(all))
	}
	for i := len(all) - 1; i >= 0; i-- {
		p.entries = append(p.entries, all[i])
	}
}

// sameAsReading asks for the last 50 entries of a user on a target.
func (p *past) sameAsReading(user, target string) {
	p.t.Helper()
	var want []uint64
	for _, e := range p.entries {
		u, h := concerns(e)
		if p.handles[u] == user && p.targets[h] == target && len(want) < 50 {
			want = append(want, uint64(e.Index))
		}
	}
	q := url.Values{"user": {user}, "target": {target}, "limit": {"50"}}
	found := must[api.EntriesResponse](p.site, p.dana, "GET", api.RouteEntries.Path+"?"+q.Encode(), nil)
	var got []uint64
	for _, e := range found.Entries {
		got = append(got, e.Index)
		if e.User != user || e.Target != target {
			p.t.Errorf("entry %d is of %s on %s, not of %s on %s", e.Index, e.User, e.Target, user, target)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		p.t.Errorf("%s on %s, %d entries (-want +got):\n%s", user, target, len(want), diff)
	}
}

// verifies holds the ledger of a server that has stopped to what fsck would.
func (p *past) verifies() {
	p.t.Helper()
	b, err := bolt.Open(filepath.Join(string(p.dir), "ledger.db"))
	if err != nil {
		p.t.Fatal(err)
	}
	defer b.Close()
	l := p.node.Ledger()
	faults, err := store.Verify(context.Background(), b, store.Verification{Origin: l.Origin(), LogKey: l.LogPublicKey()})
	if err != nil || len(faults) != 0 {
		p.t.Errorf("the ledger does not verify: %v %v", faults, err)
	}
}
