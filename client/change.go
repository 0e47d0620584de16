package client

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/server/api"
)

// A WaitsError is returned for a change that was not made, because it would give the
// caller access: it waits for another administrator. It is an error, so that whoever
// knows nothing of proposals does not take one for a change that was made.
type WaitsError struct{ Proposal api.AccessRequest }

func (e *WaitsError) Error() string {
	return fmt.Sprintf("this would give yourself access, so another administrator has to approve it: %d", e.Proposal.ID)
}

// change makes an administrator's change.
func (c *Client) change(ctx context.Context, r request) error {
	answer, err := call[api.Changed](ctx, c, r)
	if err == nil && answer.Waits != nil {
		return &WaitsError{*answer.Waits}
	}
	return err
}
