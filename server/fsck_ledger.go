package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// readBirth reads entry 0, without which nothing can be held to anything.
func (c *check) readBirth(ctx context.Context) (bool, error) {
	if c.size == 0 {
		c.damage(doRestore, "the ledger is empty")
		return false, nil
	}
	records, err := c.backend.Records(ctx, 0, 1)
	if err != nil {
		return false, c.unless(err, "entry 0")
	}
	e := new(store.Entry)
	if len(records) == 1 {
		if e, err = store.DecodeEntry(records[0]); err != nil {
			c.damage(doForensic, "entry 0: %v", err)
			return false, nil
		}
	}
	birth, ok := e.Event.(*store.LedgerCreated)
	if !ok {
		c.damage(doForensic, "entry 0 is not the ledger's birth")
		return false, nil
	}
	c.birth = birth
	return true, nil
}

// checkSide holds every opening to its commitment.
func (c *check) checkSide(ctx context.Context) error {
	n := 0
	for row, err := range c.backend.SideAll(ctx, store.SideOpenings, nil) {
		if err != nil {
			return c.unless(err, "the side table")
		}
		o, commitment, err := store.OpeningOf(row)
		if err != nil {
			n++
			continue
		}
		if o.Field == store.FieldHandle {
			c.texts[commitment] = o.Text
		}
	}
	if n > 0 {
		c.damage(doRestore, "texts of the side table (handles, addresses) that are not what their entries committed to: %d", n)
	}
	return nil
}

// checkEntries verifies the ledger and folds it.
func (c *check) checkEntries(ctx context.Context) error {
	c.state, c.owners = access.New(), map[store.UserID]bool{}
	faults, err := store.Verify(ctx, c.backend, store.Verification{
		Origin: store.Origin(c.birth.Name), LogKey: ed25519.PublicKey(c.birth.LogKey), Each: c.fold,
	})
	if err != nil {
		return err
	}
	do := map[store.FaultKind]string{
		store.FaultEntries: doForensic, store.FaultTree: doTree, store.FaultCheckpoint: doForensic, store.FaultIndex: doIndex,
	}
	for _, f := range faults {
		if f.Kind == store.FaultEntries || f.Kind == store.FaultCheckpoint {
			do[store.FaultTree] = doForensic // the checkpoint does not prove the entries
		}
	}
	for _, f := range faults {
		c.damage(do[f.Kind], "%s", f.What)
	}
	if c.folded != nil {
		c.damage(doForensic, "%v", c.folded)
	}
	c.whole = c.folded == nil && do[store.FaultTree] == doTree
	if !c.whole {
		return nil // what hangs on it would be wrong for that alone
	}
	c.checkBirth()
	for x := range c.state.Sessions() {
		c.repairable("session %s is open in the ledger, and no server runs", x.ID)
	}
	if len(faults) == 0 {
		if err := c.checkSnapshot(ctx); err != nil {
			return err
		}
	}
	return c.checkOwners(ctx)
}

// checkBirth holds the keys and the configuration to the ledger's first entry.
func (c *check) checkBirth() {
	if c.config.Name != "" && c.config.Name != c.birth.Name {
		c.damage("write the ledger's name into the configuration: it is permanent", "the configuration names the server %s, the ledger %s", c.config.Name, c.birth.Name)
	}
	if c.keys != nil {
		if name := c.keys.foreign(c.birth); name != "" {
			c.damage(doKeys, "the key %s is not the one in the ledger's first entry", c.dir.key(name))
		}
	}
}

func (c *check) fold(e *store.Entry) {
	switch v := e.Event.(type) {
	case *store.UserAdded:
		c.owners[v.User] = true
	case *store.BotAdded:
		c.owners[v.User] = true
	case *store.SessionStarted:
		c.sessions[v.Session] = sessionStarted
	case *store.SessionEnded:
		if len(v.Files) > 0 {
			c.sessions[v.Session] = sessionHeld
		}
	}
	if c.folded != nil {
		return
	}
	// An entry that is missing is a fault, and not one of every entry behind it.
	if e.Index != c.state.Next() {
		c.folded = fmt.Errorf("the state can be made from the first %d entries only", c.state.Next())
		return
	}
	s, err := access.Apply(c.state, e, func(t store.Commitment) (string, bool) { text, ok := c.texts[t]; return text, ok })
	if err != nil {
		c.folded = err
		return
	}
	c.state = s
}

// checkOwners looks for texts and secrets of somebody whom the ledger does not
// know: nobody would ever erase them.
func (c *check) checkOwners(ctx context.Context) error {
	for _, t := range []struct {
		table store.SideTable
		what  string
	}{{store.SideOpenings, "texts"}, {store.SideSecrets, "secrets"}} {
		strangers := map[store.UserID]bool{}
		for row, err := range c.backend.SideAll(ctx, t.table, nil) {
			if err != nil {
				return c.unless(err, "the side table")
			}
			var id store.UserID
			copy(id[:], row.Key)
			if !id.IsZero() && !c.owners[id] {
				strangers[id] = true
			}
		}
		if len(strangers) > 0 {
			c.damage("nobody can use them; "+doRestore+" to be rid of them", "people in the side table, with %s, who are not in the ledger: %d", t.what, len(strangers))
		}
	}
	return nil
}

// checkSnapshot says whether the next start will use the snapshot.
func (c *check) checkSnapshot(ctx context.Context) error {
	if c.secret == nil {
		return nil // which is a finding already
	}
	err := ledger.CheckSnapshot(ctx, ledger.Config{Backend: c.backend, SnapshotKey: c.secret[32:]})
	if err == nil || errors.Is(err, store.ErrClosed) || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	c.repairable("the snapshot: %v", err)
	return nil
}
