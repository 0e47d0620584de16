package client

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/server/api"
)

// ChangeAccess makes several changes of who may reach what, or none of them: those
// that the answer has as refused are what it failed for.
func (c *Client) ChangeAccess(ctx context.Context, q api.ChangesRequest) (api.ChangesResponse, error) {
	r, err := call[api.ChangesResponse](ctx, c, request{route: api.RouteAccess, body: q})
	if err != nil {
		return r, err
	}
	for _, refused := range r.Refused {
		if r.Done || refused.Change < 0 || refused.Change >= len(q.Changes) {
			return api.ChangesResponse{}, fmt.Errorf("%w: a refusal of no change", ErrAnswer)
		}
	}
	if len(r.Refused) == 0 && r.Done == q.DryRun {
		return api.ChangesResponse{}, fmt.Errorf("%w: neither made nor refused", ErrAnswer)
	}
	return r, nil
}
