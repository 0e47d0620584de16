package client

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A Query chooses entries or sessions. Zero fields choose nothing away.
type Query struct {
	Type   string // of entries
	User   string // handle
	Target string
	Since  time.Time
	Until  time.Time
	// Limit is the most that one answer holds; 0 leaves it to the server.
	Limit int
	// Before is the index that the answer's entries are below; 0 is no bound.
	Before uint64
}

func (q Query) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("type", q.Type)
	set("user", q.User)
	set("target", q.Target)
	if !q.Since.IsZero() {
		v.Set("since", q.Since.UTC().Format(time.RFC3339Nano))
	}
	if !q.Until.IsZero() {
		v.Set("until", q.Until.UTC().Format(time.RFC3339Nano))
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Before > 0 {
		v.Set("before", strconv.FormatUint(q.Before, 10))
	}
	return v
}

// Entries returns a page of the ledger, newest first.
func (c *Client) Entries(ctx context.Context, q Query) (api.EntriesResponse, error) {
	return call[api.EntriesResponse](ctx, c, request{route: api.RouteEntries, query: q.values(), limit: maxPage})
}

// Sessions returns sessions.
func (c *Client) Sessions(ctx context.Context, q Query) ([]api.Session, error) {
	return call[[]api.Session](ctx, c, request{route: api.RouteSessions, query: q.values(), limit: maxPage})
}

// Recording returns a session's recording. Nothing of it was verified;
// Ledger.VerifyRecording does that.
func (c *Client) Recording(ctx context.Context, id store.SessionID) (api.RecordingResponse, error) {
	return call[api.RecordingResponse](ctx, c, request{
		route: api.RouteRecording, path: []string{id.String()}, limit: maxRecording,
	})
}

// entry returns an entry with its proof at size.
func (c *Client) entry(ctx context.Context, index, size uint64) (api.EntryResponse, error) {
	return call[api.EntryResponse](ctx, c, request{
		route: api.RouteEntry, path: []string{strconv.FormatUint(index, 10)},
		query: url.Values{"size": {strconv.FormatUint(size, 10)}},
	})
}

// raw returns stored bytes from an index on, at most limit entries.
func (c *Client) raw(ctx context.Context, from uint64, limit int) (api.RawResponse, error) {
	return call[api.RawResponse](ctx, c, request{
		route: api.RouteRaw, limit: maxPage,
		query: url.Values{"from": {strconv.FormatUint(from, 10)}, "limit": {strconv.Itoa(limit)}},
	})
}

// checkpoint returns the last checkpoint, with the proof that the ledger grew
// out of the one of since entries where since is not 0.
func (c *Client) checkpoint(ctx context.Context, since uint64) (api.CheckpointResponse, error) {
	r := request{route: api.RouteCheckpoint}
	if since > 0 {
		r.query = url.Values{"since": {strconv.FormatUint(since, 10)}}
	}
	return call[api.CheckpointResponse](ctx, c, r)
}
