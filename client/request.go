package client

import (
	"context"
	"strconv"

	"github.com/vaultpam/vaultpam/server/api"
)

// MakeRequest asks for what a grant with conditions says.
func (c *Client) MakeRequest(ctx context.Context, q api.MakeRequest) (api.AccessRequest, error) {
	return call[api.AccessRequest](ctx, c, request{route: api.RouteRequestMake, body: q})
}

// Requests returns the requests that the caller may see.
func (c *Client) Requests(ctx context.Context) ([]api.AccessRequest, error) {
	return call[[]api.AccessRequest](ctx, c, request{route: api.RouteRequests})
}

// Request returns one of them.
func (c *Client) Request(ctx context.Context, id uint64) (api.AccessRequest, error) {
	return call[api.AccessRequest](ctx, c, request{route: api.RouteRequest, path: requestPath(id)})
}

// AwaitRequest waits a while until a request is answered or runs out, and returns
// what it is then.
func (c *Client) AwaitRequest(ctx context.Context, id uint64) (api.AccessRequest, error) {
	return call[api.AccessRequest](ctx, c, request{route: api.RouteRequestWait, path: requestPath(id), body: api.Empty{}})
}

// Approve asks for a page on which to approve a request. AwaitConfirm waits for it.
func (c *Client) Approve(ctx context.Context, id uint64, comment string) (api.ConfirmResponse, error) {
	r, err := call[api.ConfirmResponse](ctx, c, request{route: api.RouteRequestApprove, path: requestPath(id), body: api.AnswerRequest{Comment: comment}})
	if err != nil {
		return r, err
	}
	return r, c.browserPage(r.BrowserResponse)
}

// ApproveWithCode approves a request with a code of an authenticator app.
func (c *Client) ApproveWithCode(ctx context.Context, id uint64, comment, code string, device []byte) error {
	_, err := call[api.ConfirmResponse](ctx, c, request{
		route: api.RouteRequestApprove, path: requestPath(id), body: api.AnswerRequest{Comment: comment, Code: code, Device: device},
	})
	return err
}

// Deny turns a request down.
func (c *Client) Deny(ctx context.Context, id uint64, comment string) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteRequestDeny, path: requestPath(id), body: api.AnswerRequest{Comment: comment}})
	return err
}

// WithdrawRequest takes the caller's own request back.
func (c *Client) WithdrawRequest(ctx context.Context, id uint64) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteRequestWithdraw, path: requestPath(id)})
	return err
}

func requestPath(id uint64) []string { return []string{strconv.FormatUint(id, 10)} }
