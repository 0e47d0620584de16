package relay

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// A directTCP is the payload of a direct-tcpip channel (RFC 4254, section 7.2).
type directTCP struct {
	Host       string
	Port       uint32
	OriginHost string
	OriginPort uint32
}

// serveJump serves a connection to the relay itself. All it leads to is targets,
// and the relay answers for each of them: nothing reaches a target unrecorded.
func (c *conn) serveJump(ctx context.Context, server ssh.Conn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts, inner sync.WaitGroup
	// These end with the connection, or with live.
	parts.Go(func() { answerKeepalives(requests) })
	parts.Go(func() { keepalive(live, server, c.relay.limits.Keepalive) })
	over := make(chan struct{})
	parts.Go(func() { c.cutOff(ctx, over) })
	places := make(chan struct{}, c.relay.limits.Channels)
	for open := true; open; {
		select {
		case nc, ok := <-channels:
			if open = ok; ok {
				c.jump(ctx, nc, places, &inner)
			}
		case <-ctx.Done():
			open = false
		}
	}
	// The sessions inside end by themselves, with a word to their users, and
	// need the connection until then.
	parts.Go(func() { rejectAll(channels) })
	inner.Wait()
	cancel()
	close(over)
	server.Close()
	parts.Wait()
}

// cutOff closes the connection when the relay has been stopped and what is
// inside has not ended in time: the client may have ceased to read.
func (c *conn) cutOff(ctx context.Context, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-ctx.Done():
	}
	timer := time.AfterFunc(c.relay.limits.Stop, func() { c.raw.Close() })
	defer timer.Stop()
	<-over
}

// jump answers one channel.
func (c *conn) jump(ctx context.Context, nc ssh.NewChannel, places chan struct{}, inner *sync.WaitGroup) {
	target, text := c.jumpTarget(nc)
	if text != "" {
		_ = nc.Reject(ssh.Prohibited, strings.TrimSuffix(text, "\n"))
		return
	}
	select {
	case places <- struct{}{}:
	default:
		_ = nc.Reject(ssh.ResourceShortage, "vaultpam: too many targets on one connection; close some, or connect again")
		return
	}
	channel, requests, err := nc.Accept()
	if err != nil {
		<-places
		return
	}
	// Ends with the session inside, with the outer connection, or soon after ctx.
	inner.Go(func() {
		defer func() { <-places }()
		c.serveInner(ctx, channel, requests, target)
	})
}

// jumpTarget returns the target that a channel is to reach, or what the user
// reads because there is none.
func (c *conn) jumpTarget(nc ssh.NewChannel) (store.TargetName, string) {
	if nc.ChannelType() == "session" {
		return "", relayItselfText(c.relay.suffix)
	}
	if nc.ChannelType() != "direct-tcpip" {
		return "", refusedChannelText(nc.ChannelType())
	}
	var d directTCP
	if err := ssh.Unmarshal(nc.ExtraData(), &d); err != nil {
		return "", sentence("malformed request", "")
	}
	name, ok := strings.CutSuffix(strings.ToLower(d.Host), "."+c.relay.suffix)
	target, err := store.ParseTargetName(name)
	if !ok || err != nil || d.Port != 22 {
		return "", notAWayInText(d.Host, d.Port, c.relay.suffix)
	}
	return target, ""
}

// serveInner speaks SSH as the target on a channel of the outer connection. The
// user proves their key again: the outer proof is for the relay's own name.
func (c *conn) serveInner(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request, target store.TargetName) {
	raw := &innerConn{channel: channel, outer: c.raw, patience: c.relay.limits.Stop}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		ssh.DiscardRequests(requests) // ends when the client has closed the channel
		raw.clientClosed()
	}()
	defer func() {
		raw.Close()
		<-gone
	}()
	deadline := time.AfterFunc(c.relay.limits.Handshake, func() { raw.Close() })
	defer deadline.Stop()
	unhook := context.AfterFunc(ctx, func() { raw.Close() })
	defer unhook()
	inside := &conn{
		relay: c.relay, raw: raw, ssh: raw, source: c.source, way: store.WayJump, target: target,
		deadline: deadline, unhook: unhook, leave: func() {},
	}
	inside.serve(ctx)
}

// An innerConn is a channel as a connection. Its addresses are those of the
// outer connection, so that a certificate's source-address means what it says.
type innerConn struct {
	channel  ssh.Channel
	outer    net.Conn
	patience time.Duration

	mu     sync.Mutex  // guards the fields below
	closed bool        // by either side
	cut    *time.Timer // closes the outer connection
}

func (i *innerConn) Read(p []byte) (int, error)  { return i.channel.Read(p) }
func (i *innerConn) Write(p []byte) (int, error) { return i.channel.Write(p) }

// Close closes the channel. Reads end when the client has closed it too; with a
// client that does not, the outer connection is closed.
func (i *innerConn) Close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return nil
	}
	i.closed = true
	i.cut = time.AfterFunc(i.patience, func() { i.outer.Close() })
	return i.channel.Close()
}

func (i *innerConn) clientClosed() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	if i.cut != nil {
		i.cut.Stop()
	}
}

func (i *innerConn) LocalAddr() net.Addr  { return i.outer.LocalAddr() }
func (i *innerConn) RemoteAddr() net.Addr { return i.outer.RemoteAddr() }

// There are no deadlines on a channel: whoever needs one closes it.
func (i *innerConn) SetDeadline(time.Time) error      { return nil }
func (i *innerConn) SetReadDeadline(time.Time) error  { return nil }
func (i *innerConn) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*innerConn)(nil)

// answerKeepalives refuses all global requests but the question for life.
func answerKeepalives(requests <-chan *ssh.Request) {
	for r := range requests {
		_ = r.Reply(r.Type == "keepalive@openssh.com", nil)
	}
}
