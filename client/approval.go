package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// An Approval is one that stands in the ledger, with what it is of. Its entries were
// proved to be there.
type Approval struct {
	Asked    ProvedEntry // request.made or change.proposed
	Approved ProvedEntry
	Factor   ProvedEntry // its approver's
	// Verified is set where the approver's passkey signed exactly what was asked. An
	// approval with a code of an authenticator app has no signature: it is what the
	// server says, and nobody can verify it.
	Verified bool
}

// ErrNoApproval is returned for an entry that is no approval.
var ErrNoApproval = errors.New("not an approval")

// Approval proves an approval, what it is of and the approver's factor to be in the
// ledger, and verifies that the factor signed it (store.VerifyApproval). One that has
// a signature which does not verify is a *BadEntryError: no server writes it.
func (l *Ledger) Approval(ctx context.Context, index store.Index) (Approval, error) {
	approved, err := l.Entry(ctx, index)
	if err != nil {
		return Approval{}, err
	}
	if approved.Entry == nil {
		return Approval{}, fmt.Errorf("entry %d is %w", index, ErrNoApproval)
	}
	e, ok := approved.Entry.Event.(*store.RequestApproved)
	if !ok {
		return Approval{}, fmt.Errorf("entry %d is %s, %w", index, approved.Entry.Event.EventType(), ErrNoApproval)
	}
	a := Approval{Approved: approved}
	if a.Asked, err = l.Entry(ctx, e.Request); err != nil {
		return Approval{}, err
	}
	if a.Factor, err = l.Entry(ctx, e.Factor); err != nil || e.Assertion == nil {
		return a, err
	}
	if err := store.VerifyApproval(a.Asked.Data, a.Approved.Data, a.Factor.Data, l.name); err != nil {
		return Approval{}, &BadEntryError{Index: uint64(index), Why: Clean(err.Error())}
	}
	a.Verified = true
	return a, nil
}
