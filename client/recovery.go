package client

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/server/api"
)

// NewRecoveryCodes gets recovery codes in place of all before, for a code that
// the authenticator shows now.
func (c *Client) NewRecoveryCodes(ctx context.Context, code string, device []byte) ([]string, error) {
	r, err := call[api.RecoveryResponse](ctx, c, request{
		route: api.RouteRecovery, body: api.RecoveryRequest{Code: code, Device: device},
	})
	if err != nil {
		return nil, err
	}
	if len(r.Codes) == 0 {
		return nil, fmt.Errorf("%w: no recovery codes", ErrAnswer)
	}
	return r.Codes, recoveryCodes(r.Codes)
}

// recoveryCodes holds codes that are going to be shown to their grammar.
func recoveryCodes(codes []string) error {
	for _, code := range codes {
		if text, err := api.ParseRecoveryCode(code); err != nil || text != code {
			return fmt.Errorf("%w: not a recovery code", ErrAnswer)
		}
	}
	return nil
}

// RenewFactor returns an invitation to enrol another authenticator. The caller
// has just signed in with a recovery code.
func (c *Client) RenewFactor(ctx context.Context) (api.RenewResponse, error) {
	r, err := call[api.RenewResponse](ctx, c, request{route: api.RouteRenew, body: api.Empty{}})
	if err != nil {
		return r, err
	}
	return held(r, api.ParseInvitation, r.Invitation)
}
