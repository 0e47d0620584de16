package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"

	"github.com/vaultpam/vaultpam/server/api"
)

// An UnreachableError says that no answer came from an address.
type UnreachableError struct {
	Address string // HOST:PORT
	Err     error
}

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("cannot reach %s: %s", e.Address, reason(e.Err))
}

func (e *UnreachableError) Unwrap() error { return e.Err }

// ErrIdentity is returned when the server's certificate does not verify against
// the system's roots.
var ErrIdentity = errors.New("the server's certificate does not verify")

// explain turns what net/http reports into what its user can act on.
func (c *Client) explain(err error) error {
	var verification *tls.CertificateVerificationError
	switch {
	case errors.Is(err, ErrPin):
		return fmt.Errorf("%s: %w", c.server, ErrPin)
	case errors.As(err, &verification):
		return fmt.Errorf("%s: %w: %s", c.server, ErrIdentity, Clean(verification.Err.Error()))
	case errors.Is(err, context.Canceled):
		return context.Canceled
	}
	return &UnreachableError{Address: c.server, Err: err}
}

// reason is the innermost cause in a few words: the addresses and the request
// around it were said already.
func reason(err error) string {
	var (
		dns     *net.DNSError
		errno   syscall.Errno
		timeout interface{ Timeout() bool }
		request *url.Error
	)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &request):
		return Clean(request.Err.Error())
	}
	return Clean(err.Error())
}

// refusal reads problem+json (RFC 9457). Whatever it can't read becomes an
// error of the kind that the status code stands for: gateways in between answer
// too, and not in our words.
func refusal(status int, body []byte) error {
	var e api.Error
	if err := decode(body, &e); err != nil || e.Kind == "" || e.Detail == "" {
		e = api.Error{Kind: kindOf(status), Detail: fmt.Sprintf("the server answered %d %s", status, http.StatusText(status))}
	}
	e.Kind = knownKind(e.Kind)
	e.Detail, e.Hint = Clean(e.Detail), Clean(e.Hint)
	e.Title, e.Type, e.Status = Clean(e.Title), Clean(e.Type), status
	e.RetryAfter = max(0, e.RetryAfter)
	return &e
}

func knownKind(k api.Kind) api.Kind {
	switch k {
	case api.KindInvalid, api.KindUnauthenticated, api.KindForbidden, api.KindNotFound,
		api.KindConflict, api.KindLimited, api.KindUnavailable:
		return k
	}
	return api.KindInternal
}

// kindOf is for answers that name no kind. Only those are read from the status
// that a gateway gives for itself; a bare 401 or 404 says nothing about a
// sign-in or a name here.
func kindOf(status int) api.Kind {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return api.KindUnavailable
	}
	return api.KindInternal
}

// IsKind reports whether err is a refusal of that kind.
func IsKind(err error, kind api.Kind) bool {
	var e *api.Error
	return errors.As(err, &e) && e.Kind == kind
}
