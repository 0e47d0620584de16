//go:build !windows

package agent

import (
	"context"
	"fmt"
	"net"
)

// SystemDialer connects to the agent's unix socket, the value of
// $SSH_AUTH_SOCK. Every failure to connect is ErrNoAgent: a path left over from
// an agent that is gone is the usual one.
func SystemDialer(socket string) Dialer {
	return func(ctx context.Context) (net.Conn, error) {
		if socket == "" {
			return nil, fmt.Errorf("SSH_AUTH_SOCK is not set: %w", ErrNoAgent)
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
		}
		return conn, nil
	}
}
