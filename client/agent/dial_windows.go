package agent

import (
	"context"
	"fmt"
	"net"
	"strings"

	winio "github.com/Microsoft/go-winio"
)

const (
	pipePrefix = `\\.\pipe\`
	systemPipe = pipePrefix + "openssh-ssh-agent"
)

// SystemDialer connects to the named pipe of the OpenSSH agent service, or to
// the pipe that $SSH_AUTH_SOCK names. Every failure to connect is ErrNoAgent.
// Another value of $SSH_AUTH_SOCK (a unix socket of Cygwin or WSL) is passed
// over: the system's ssh does not speak to it either.
func SystemDialer(socket string) Dialer {
	pipe := systemPipe
	if strings.HasPrefix(socket, pipePrefix) {
		pipe = socket
	}
	return func(ctx context.Context) (net.Conn, error) {
		conn, err := winio.DialPipeContext(ctx, pipe)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoAgent, err)
		}
		return conn, nil
	}
}
