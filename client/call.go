package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/vaultpam/vaultpam/server/api"
)

// Bounds of answers in bytes. What is longer is refused, so that a server can't
// fill the memory of its users' machines.
const (
	maxAnswer    = 4 << 20
	maxPage      = 64 << 20
	maxRecording = 512 << 20
	maxRefusal   = 64 << 10
)

// ErrAnswer is returned for an answer that no VaultPAM server gives: not JSON,
// too long, or with names that break their grammar.
var ErrAnswer = errors.New("the server's answer makes no sense")

// A request is one call of a route.
type request struct {
	route api.Route
	path  []string // values of the path's wildcards, in order
	query url.Values
	body  any   // nil sends none
	limit int64 // of the answer in bytes; 0 is maxAnswer
}

// call makes a request and reads its answer. A refusal comes back as
// *api.Error, a server that can't be reached as *UnreachableError.
func call[T any](ctx context.Context, c *Client, r request) (T, error) {
	var answer T
	limit := cmp.Or(r.limit, maxAnswer)
	ctx, cancel := c.deadline(ctx, limit)
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return answer, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		limit = maxRefusal
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return answer, c.explain(err)
	case int64(len(body)) > limit:
		return answer, fmt.Errorf("%w: more than %d bytes", ErrAnswer, limit)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return answer, refusal(resp.StatusCode, body)
	case len(body) == 0 && resp.StatusCode == http.StatusNoContent:
		return answer, nil
	}
	if err := decode(body, &answer); err != nil {
		// What was read before the error is not handed out.
		return *new(T), fmt.Errorf("%w: %s %s", ErrAnswer, r.route.Path, Clean(err.Error()))
	}
	return answer, nil
}

func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	var data []byte
	if r.body != nil {
		var err error
		if data, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("writing the request: %w", err)
		}
		if len(data) > api.MaxBody {
			return nil, api.NewError(api.KindInvalid, "", "the request is too long: %d bytes, at most %d", len(data), api.MaxBody)
		}
		body = bytes.NewReader(data)
	}
	target, err := c.url(r)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, r.route.Method, target, body)
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	if err := c.authorize(req, r.route, data); err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	return resp, nil
}

// url fills the wildcards of the route's path with escaped values.
func (c *Client) url(r request) (string, error) {
	path := r.route.Path
	for _, value := range r.path {
		from, to := strings.IndexByte(path, '{'), strings.IndexByte(path, '}')
		if from < 0 || to < from {
			return "", fmt.Errorf("route %s has no place for %q", r.route.Path, Clean(value))
		}
		// "." and ".." are names to nobody and directions to an HTTP server.
		if value == "" || value == "." || value == ".." {
			return "", api.NewError(api.KindInvalid, "", "%q is not a name", value)
		}
		path = path[:from] + url.PathEscape(value) + path[to+1:]
	}
	if strings.ContainsAny(path, "{}") {
		return "", fmt.Errorf("route %s lacks a value", r.route.Path)
	}
	target := "https://" + c.server + path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	return target, nil
}

// decode reads exactly one JSON value. Numbers stay as they were written, so
// that a 64-bit index in a free-form field is not rounded.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
