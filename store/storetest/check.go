package storetest

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// checkPage is how many entries the suite holds at a time.
const checkPage = 1000

// Check reads the whole ledger in b and returns an error where it is not whole:
// where store.Verify finds a fault, or an index finds too much, too little or in
// the wrong order. What it holds the indexes to does not come from the code that
// wrote them, as what Verify holds them to does.
//
// Nobody may append meanwhile. It keeps every index in memory several times.
func Check(ctx context.Context, b store.Backend, origin string, logKey ed25519.PublicKey) error {
	ref := newReference()
	faults, err := store.Verify(ctx, b, store.Verification{Origin: origin, LogKey: logKey, Each: ref.add})
	if err == nil && len(faults) > 0 {
		err = faults[0]
	}
	if err == nil {
		err = ref.compare(ctx, b)
	}
	if err != nil {
		return fmt.Errorf("checking the ledger: %w", err)
	}
	return nil
}
