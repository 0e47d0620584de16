package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/vaultpam/vaultpam/server/api"
)

// ErrNotServing means that no server answers on a data directory's socket.
var ErrNotServing = errors.New("no vaultpamd serves this data directory")

// Ask calls the running server of a data directory over its unix socket. name
// fills the route's {name}; a nil q sends no body. The answer has the status 200,
// and its body is the caller's to close. Errors are ErrNotServing where no server
// runs, and an *api.Error where it refuses. ctx bounds the whole call.
func (d Dir) Ask(ctx context.Context, route api.Route, name string, q any) (*http.Response, error) {
	var body io.Reader = http.NoBody
	if q != nil {
		data, err := json.Marshal(q)
		if err != nil {
			return nil, fmt.Errorf("asking the server: %w", err)
		}
		body = bytes.NewReader(data)
	}
	path := "http://localhost" + strings.Replace(route.Path, "{name}", url.PathEscape(name), 1)
	req, err := http.NewRequestWithContext(ctx, route.Method, path, body)
	if err != nil {
		return nil, fmt.Errorf("asking the server: %w", err)
	}
	res, err := d.localClient().Do(req)
	if dialing, ok := errors.AsType[*url.Error](err); ok {
		err = dialing.Err // the rest is a URL that nobody typed
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("asking the server takes its own account, or root: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotServing, err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	defer res.Body.Close()
	var problem api.Error
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&problem); err != nil {
		return nil, fmt.Errorf("asking the server: %s", res.Status)
	}
	return nil, &problem
}

// localClient speaks to the unix socket, whatever the URL's host. A connection is
// for one call.
func (d Dir) localClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var dialer net.Dialer
				return dialer.DialContext(ctx, "unix", d.Socket())
			},
		},
	}
}
