package client

import (
	"context"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// LinkSSO links a user to an account of the company's provider, in place of the one
// before it.
func (c *Client) LinkSSO(ctx context.Context, handle store.Handle, subject string) error {
	_, err := call[api.Empty](ctx, c, request{
		route: api.RouteUserSSO, path: []string{string(handle)}, body: api.LinkSSORequest{Subject: subject},
	})
	return err
}
