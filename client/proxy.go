package client

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// ParseHost returns the target that a host name as users type it stands for:
// "db1.pam" is db1 where the suffix is "pam". ssh hands names over unfiltered
// (CVE-2023-51385), so nothing but the grammar comes through. ssh has lower-cased
// the name where it made it canonical; upper case is accepted alike.
func ParseHost(host, suffix string) (store.TargetName, error) {
	name, ok := strings.CutSuffix(strings.ToLower(host), "."+suffix)
	if !ok || suffix == "" {
		return "", fmt.Errorf("host %q: want NAME.%s", Clean(clip(host)), suffix)
	}
	target, err := store.ParseTargetName(name)
	if err != nil {
		return "", fmt.Errorf("host %q: %s", Clean(clip(host)), Clean(err.Error()))
	}
	return target, nil
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// DialRelay connects to the relay at HOST:PORT and tells it the target, so that
// what follows is an SSH connection to that target.
func DialRelay(ctx context.Context, relay string, target store.TargetName, timeout time.Duration) (*net.TCPConn, error) {
	if _, err := store.ParseTargetName(string(target)); err != nil {
		return nil, err
	}
	tcp, err := dial(ctx, relay, timeout)
	if err != nil {
		return nil, err
	}
	// No deadline: the line is short enough for any socket's buffer.
	if _, err := io.WriteString(tcp, api.FormatPreamble(string(target))); err != nil {
		tcp.Close()
		return nil, &UnreachableError{Address: relay, Err: err}
	}
	return tcp, nil
}

func dial(ctx context.Context, address string, timeout time.Duration) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: timeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &UnreachableError{Address: address, Err: err}
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("%s is no address of TCP", address)
	}
	return tcp, nil
}

// DialHost connects to a target itself, past the relay.
func DialHost(ctx context.Context, host DirectHost, timeout time.Duration) (*net.TCPConn, error) {
	return dial(ctx, host.Address, timeout)
}

// Splice passes in to the relay, or to a target itself, and what that says to out,
// until it has said everything or the context ends, and closes the connection. The end
// of in is passed on as a half-close, so that what is still on its way back
// arrives.
//
// The goroutine that reads in ends when in does, or with the process: a read of
// standard input can't be called back.
func Splice(ctx context.Context, relay *net.TCPConn, in io.Reader, out io.Writer) error {
	defer relay.Close()
	defer context.AfterFunc(ctx, func() { relay.Close() })()
	go func() {
		if _, err := io.Copy(relay, in); err == nil {
			_ = relay.CloseWrite()
		}
		// Where the relay hung up, the other direction tells.
	}()
	_, err := io.Copy(out, relay)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("the connection broke: %s", reason(err))
	}
	return nil
}
