package ledger_test

import (
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// TestConfig: nothing that is missing is made up for.
func TestConfig(t *testing.T) {
	h := build(t)
	for name, spoil := range map[string]func(*ledger.Config){
		"no back end":                   func(c *ledger.Config) { c.Backend = nil },
		"no log key":                    func(c *ledger.Config) { c.LogKey = nil },
		"half a log key":                func(c *ledger.Config) { c.LogKey = c.LogKey[:32] },
		"no snapshot key":               func(c *ledger.Config) { c.SnapshotKey = nil },
		"a short snapshot key":          func(c *ledger.Config) { c.SnapshotKey = c.SnapshotKey[:31] },
		"no user CA":                    func(c *ledger.Config) { c.UserCA = nil },
		"no target CA":                  func(c *ledger.Config) { c.TargetCA = nil },
		"the CAs in each other's place": func(c *ledger.Config) { c.UserCA, c.TargetCA = c.TargetCA, c.UserCA },
		"no clock":                      func(c *ledger.Config) { c.Now = nil },
	} {
		b, err := bolt.Open(h.path())
		if err != nil {
			t.Fatal(err)
		}
		c := h.config
		c.Backend = b
		spoil(&c)
		if l, err := ledger.Open(t.Context(), c); err == nil {
			t.Errorf("%s: opened, error %v", name, l.Close())
		}
		if err := ledger.Create(t.Context(), c, birth(h.config)); err == nil {
			t.Errorf("%s: created", name)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCreate(t *testing.T) {
	create := func(spoil func(*ledger.Config, *access.CreateLedger)) (store.Head, error) {
		c := newConfig(t)
		b, err := bolt.Create(t.TempDir() + "/ledger.db")
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		c.Backend = b
		first := birth(c)
		spoil(&c, &first)
		err = ledger.Create(t.Context(), c, first)
		head, headErr := b.Head(t.Context())
		if headErr != nil {
			t.Fatal(headErr)
		}
		return head, err
	}
	if head, err := create(func(*ledger.Config, *access.CreateLedger) {}); err != nil || head.Size != 4 {
		t.Errorf("%d entries, error %v", head.Size, err)
	}
	for name, spoil := range map[string]func(*ledger.Config, *access.CreateLedger){
		"no name":                 func(_ *ledger.Config, c *access.CreateLedger) { c.Name = "" },
		"a name with a space":     func(_ *ledger.Config, c *access.CreateLedger) { c.Name = "pam example" },
		"a bad handle":            func(_ *ledger.Config, c *access.CreateLedger) { c.Administrator.Handle = "a b" },
		"no invitation":           func(_ *ledger.Config, c *access.CreateLedger) { c.Administrator.Invite.Token = store.Hash{} },
		"an unknown setting":      func(_ *ledger.Config, c *access.CreateLedger) { c.SelfGrant = "perhaps" },
		"another log key":         func(c *ledger.Config, _ *access.CreateLedger) { c.LogKey = newConfig(t).LogKey },
		"another user CA":         func(c *ledger.Config, _ *access.CreateLedger) { c.UserCA = newConfig(t).UserCA },
		"another target CA":       func(c *ledger.Config, _ *access.CreateLedger) { c.TargetCA = newConfig(t).TargetCA },
		"no host CA":              func(_ *ledger.Config, c *access.CreateLedger) { c.HostCA = nil },
		"no log key in the birth": func(_ *ledger.Config, c *access.CreateLedger) { c.LogKey = nil },
		"no CAs in the birth":     func(_ *ledger.Config, c *access.CreateLedger) { c.UserCA, c.TargetCA, c.EmergencyCA = nil, nil, nil },
	} {
		if head, err := create(spoil); err == nil || head.Size != 0 {
			t.Errorf("%s: %d entries, error %v", name, head.Size, err)
		}
	}
	h := build(t)
	b, err := bolt.Open(h.path())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	h.config.Backend = b
	if err := ledger.Create(t.Context(), h.config, birth(h.config)); err == nil {
		t.Error("a ledger began twice")
	}
}

func TestOpenEmpty(t *testing.T) {
	c := newConfig(t)
	b, err := bolt.Create(t.TempDir() + "/ledger.db")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c.Backend = b
	if l, err := ledger.Open(t.Context(), c); err == nil {
		t.Errorf("opened what never began, %v", l.Close())
	}
}
