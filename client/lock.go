package client

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/server/api"
)

// Locks returns all locks in force, the oldest first.
func (c *Client) Locks(ctx context.Context) ([]api.Lock, error) {
	return call[[]api.Lock](ctx, c, request{route: api.RouteLocks})
}

// Lock stops something at once.
func (c *Client) Lock(ctx context.Context, q api.LockRequest) (api.Lock, error) {
	l, err := call[api.Lock](ctx, c, request{route: api.RouteLock, body: q})
	if err == nil && (l.Kind != q.Kind || l.Name != q.Name) {
		return api.Lock{}, fmt.Errorf("%w: a lock on something else", ErrAnswer)
	}
	return l, err
}

// Unlock takes a lock away.
func (c *Client) Unlock(ctx context.Context, q api.LockRequest) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteUnlock, body: q})
	return err
}
