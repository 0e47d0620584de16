package access_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// busy is a company of whose state no part is empty.
func busy(t testing.TB) *company {
	c := found(t)
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed})
	carol, bob := c.employ("carol"), c.employ("bob", store.RoleAdministrator, store.RoleAuditor)
	c.group("dba", carol, bob)
	c.do(c.vouched(&carol, "1"))
	c.target("db1", "root", "deploy")
	c.target("web1", "www")
	c.grant(carol, "db1", 0, 0, "root", "deploy")
	c.grant(bob, "web1", c.at()+1000, c.at()+90_000, "www")
	c.session(carol, "db1", "deploy")
	c.wait(time.Second)
	c.signIn(&carol)
	c.refused(c.start(carol, "web1", "www"))
	c.do(access.SetContact{By: carol.caller(), Email: "c@example.eu", Salt: c.random()})
	c.do(c.recover("carol"))
	c.lock(access.Lockable{Target: "web1"})
	c.lockSerial(c.certificate(bob))
	c.employ("dave")
	c.lock(access.Lockable{User: "dave"})
	return c
}

func TestSnapshot(t *testing.T) {
	c := busy(t)
	data := snapshot(t, c.state)
	opened, err := access.OpenSnapshot(data, c.text)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(snapshot(t, opened), data) {
		t.Error("opened and saved again, it is another")
	}
	if u, ok := opened.UserByHandle("carol"); !ok || u.Handle != "carol" {
		t.Errorf("user %+v, %v", u, ok)
	}
	for _, handle := range []string{"alice", "carol", "bob"} {
		if bytes.Contains(data, []byte(handle)) {
			t.Errorf("the snapshot holds the handle %s", handle)
		}
	}
}

// TestS40DamagedSnapshot: of a snapshot that is not exactly as it was made
// nothing is used.
func TestS40DamagedSnapshot(t *testing.T) {
	c := busy(t)
	data := snapshot(t, c.state)
	for n := range data {
		if _, err := access.OpenSnapshot(data[:n], c.text); err == nil {
			t.Fatalf("the first %d of %d bytes are a snapshot", n, len(data))
		}
	}
	if _, err := access.OpenSnapshot(append(bytes.Clone(data), 0), c.text); err == nil {
		t.Error("a byte more is a snapshot")
	}
	if _, err := access.OpenSnapshot(snapshot(t, access.New()), c.text); err == nil {
		t.Error("a ledger that has not begun has a snapshot")
	}
	var parts []cbor.RawMessage
	if err := cbor.Unmarshal(data, &parts); err != nil {
		t.Fatal(err)
	}
	lists := 0
	for i, part := range parts {
		var list []cbor.RawMessage
		if cbor.Unmarshal(part, &list) != nil || len(list) < 2 {
			continue
		}
		lists++
		list[0], list[1] = list[1], list[0]
		swapped, err := cbor.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		damaged, err := cbor.Marshal(append(append(slices.Clone(parts[:i]), swapped), parts[i+1:]...))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := access.OpenSnapshot(damaged, c.text); err == nil {
			t.Errorf("part %d in another order is a snapshot", i)
		}
	}
	if lists < 4 {
		t.Errorf("only %d lists were put into another order", lists)
	}
}

// FuzzOpenSnapshot: nothing makes it panic, and what opens is exactly what would
// be saved.
func FuzzOpenSnapshot(f *testing.F) {
	empty, full := found(f), busy(f)
	f.Add(snapshot(f, empty.state))
	f.Add(snapshot(f, full.state))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := access.OpenSnapshot(data, noTexts)
		if err != nil {
			return
		}
		again, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, data) {
			t.Errorf("opened %x\nsaves %x", data, again)
		}
		for u := range s.Users() {
			s.Reaches(u.ID, s.Time())
		}
		for x := range s.Sessions() {
			s.SessionEnds(x.ID, s.Time())
		}
	})
}
