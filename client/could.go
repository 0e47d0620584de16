package client

import (
	"context"
	"net/url"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// Explain says whether somebody may log in to a target, and why or why not. An empty
// handle asks for the caller; another one takes an administrator or an auditor.
func (c *Client) Explain(ctx context.Context, user store.Handle, login store.Login, target store.TargetName) (api.Explanation, error) {
	r := request{route: api.RouteExplain, query: url.Values{"login": {string(login)}, "target": {string(target)}}}
	if user != "" {
		r.route = api.RouteExplainFor
		r.query.Set("user", string(user))
	}
	return call[api.Explanation](ctx, c, r)
}

// A CouldQuery asks who could reach a target, or what a user could reach.
type CouldQuery struct {
	Target, User string    // one of them
	At           time.Time // zero: now
	Why          bool      // with the entries behind each answer
}

// WhoCould answers a CouldQuery.
func (c *Client) WhoCould(ctx context.Context, q CouldQuery) (api.WhoCould, error) {
	v := url.Values{}
	for name, text := range map[string]string{"target": q.Target, "user": q.User} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if !q.At.IsZero() {
		v.Set("at", q.At.UTC().Format(time.RFC3339Nano))
	}
	if q.Why {
		v.Set("why", "1")
	}
	return call[api.WhoCould](ctx, c, request{route: api.RouteWhoCould, query: v, limit: maxPage})
}

// Findings are the weak states that the company is in at a moment; zero is now.
func (c *Client) Findings(ctx context.Context, at time.Time) (api.Findings, error) {
	v := url.Values{}
	if !at.IsZero() {
		v.Set("at", at.UTC().Format(time.RFC3339Nano))
	}
	return call[api.Findings](ctx, c, request{route: api.RouteFindings, query: v, limit: maxPage})
}

// Changes says what changed of who could reach a target, between two moments; zero
// ones are the ledger's birth and now.
func (c *Client) Changes(ctx context.Context, target store.TargetName, from, to time.Time) ([]api.ReachChange, error) {
	v := url.Values{"target": {string(target)}}
	for name, t := range map[string]time.Time{"from": from, "to": to} {
		if !t.IsZero() {
			v.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	return call[[]api.ReachChange](ctx, c, request{route: api.RouteChanges, query: v, limit: maxPage})
}
