package client

import (
	"context"

	"github.com/vaultpam/vaultpam/server/api"
)

// EraseUser erases every text about whoever was removed and had a handle, or has an
// ID.
func (c *Client) EraseUser(ctx context.Context, user string) (api.EraseResponse, error) {
	return call[api.EraseResponse](ctx, c, request{route: api.RouteUserErase, path: []string{user}})
}
