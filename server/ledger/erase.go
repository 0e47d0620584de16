package ledger

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// Erase takes every text about a user who was removed out of the side table, with
// the entry that says so, all of it or nothing, and out of this process's memory.
// Every commitment stays, every proof still verifies. It returns how many texts
// there were. Errors are those of Do.
func (l *Ledger) Erase(ctx context.Context, c access.EraseUser) (int, error) {
	var writes []store.SideWrite
	var gone []store.Commitment
	for w, err := range l.Backend.SideAll(ctx, store.SideOpenings, c.User[:]) {
		if err != nil {
			return 0, fmt.Errorf("reading what is to be erased: %w", err)
		}
		_, commitment, err := store.OpeningOf(w)
		if err != nil {
			return 0, fmt.Errorf("reading what is to be erased: %w", err)
		}
		gone = append(gone, commitment)
		writes = append(writes, store.SideWrite{Table: w.Table, Key: w.Key})
	}
	if _, err := l.Do(ctx, c, writes...); err != nil {
		return 0, err
	}
	l.texts.drop(gone)
	return len(gone), nil
}
