package relay

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// maxTunnels bounds the forwarded connections of one session over its life: each
// is two lines of the recording.
const maxTunnels = 20000

// A directSocket is the payload of a direct-streamlocal@openssh.com channel
// (OpenSSH PROTOCOL, section 2.4).
type directSocket struct {
	Path, Reserved string
	ReservedPort   uint32
}

// A tunnel is one forwarded connection. Its lines are in the recording, its
// content is not: what passes is opaque.
type tunnel struct {
	session *session
	number  int
	kind    store.Purpose
	where   string
	from    *listener     // or nil
	use     use           // guarded by the session's mu; nil until it is known
	in, out atomic.Uint64 // bytes from the user, and to the user

	mu    sync.Mutex // guards the fields below
	isCut bool
	ends  []ssh.Channel
}

func (t *tunnel) what() string { return fmt.Sprintf("%d %s %s", t.number, t.kind, t.where) }

// serveForward answers a channel that the client opens for a connection onward
// from the target.
func (s *session) serveForward(nc ssh.NewChannel, open *sync.WaitGroup) {
	where, payload, u, err := parseDirect(nc.ChannelType(), nc.ExtraData())
	if err != nil {
		s.noteRefused("channel.refused", nc.ChannelType())
		_ = nc.Reject(ssh.Prohibited, inline(sentence("malformed request", "")))
		return
	}
	s.forwardChannel(nc, s.target, payload, open, &tunnel{
		kind: store.PurposeLocalForward, where: where, use: s.extended("permit-port-forwarding", u),
	})
}

// parseDirect reads where a connection is to lead.
func parseDirect(kind string, data []byte) (where string, payload []byte, u use, err error) {
	if kind == "direct-tcpip" {
		var d directTCP
		if err := ssh.Unmarshal(data, &d); err != nil {
			return "", nil, nil, errPayload
		}
		where := net.JoinHostPort(clean(d.Host, 255), strconv.FormatUint(uint64(d.Port), 10))
		return where, ssh.Marshal(&d), func(p store.Purposes) (bool, string) { return p.AllowsForward(d.Host, d.Port) }, nil
	}
	var d directSocket
	if err := ssh.Unmarshal(data, &d); err != nil {
		return "", nil, nil, errPayload
	}
	return "unix:" + clean(d.Path, 255), ssh.Marshal(&d), func(p store.Purposes) (bool, string) { return p.AllowsSocket(d.Path) }, nil
}

// forwardChannel takes a channel of one side to the other, where that is allowed.
// In its own goroutine it asks, opens the other side, and carries.
func (s *session) forwardChannel(nc ssh.NewChannel, to ssh.Conn, payload []byte, open *sync.WaitGroup, t *tunnel) {
	t.session = s
	if text := s.addTunnel(t); text != "" {
		_ = nc.Reject(ssh.ResourceShortage, text)
		return
	}
	// Ends when the connection that is forwarded has ended, or with the session's.
	open.Go(func() {
		defer s.removeTunnel(t)
		if t.from != nil && !s.adopt(t) {
			s.noteRefused("forward.refused", fmt.Sprintf("%s %s: nobody asked for it", t.kind, t.where))
			_ = nc.Reject(ssh.Prohibited, "not allowed through the relay")
			return
		}
		if text := s.may(t.use); text != "" {
			s.noteRefused("forward.refused", fmt.Sprintf("%s %s: %s", t.kind, t.where, whyOf(text)))
			_ = nc.Reject(ssh.Prohibited, inline(text))
			return
		}
		t.run(nc, to, payload)
	})
}

// addTunnel counts a tunnel in, where narrow finds it, or says why it can't be had.
func (s *session) addTunnel(t *tunnel) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.tunnels) >= s.relay.limits.Forwards:
		return "vaultpam: too many forwarded connections at once; close some"
	case s.tunnelled >= maxTunnels:
		return "vaultpam: this connection has had all the forwarded connections that one recording takes; connect again"
	}
	s.tunnelled++
	t.number = s.tunnelled
	s.tunnels[t] = true
	return ""
}

func (s *session) removeTunnel(t *tunnel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tunnels, t)
}

// run opens the other side, so that its refusal is the answer, writes the line, and
// only then lets bytes flow.
func (t *tunnel) run(nc ssh.NewChannel, to ssh.Conn, payload []byte) {
	far, farRequests, err := to.OpenChannel(nc.ChannelType(), payload)
	if err != nil {
		reason, text := ssh.ConnectionFailed, "the other side's connection ended"
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			reason, text = refused.Reason, clean(refused.Message, maxForeign)
		}
		t.session.noteRefused("forward.refused", fmt.Sprintf("%s %s: %s", t.kind, t.where, text))
		_ = nc.Reject(reason, text)
		return
	}
	begun := t.session.relay.now()
	if !t.session.note("forward.opened", t.what()+" "+string(store.LabelOpaque)) {
		far.Close()
		ssh.DiscardRequests(farRequests)
		_ = nc.Reject(ssh.ConnectionFailed, "vaultpam: the recording can't go on")
		return
	}
	near, nearRequests, err := nc.Accept()
	if err != nil { // its connection is gone
		far.Close()
		ssh.DiscardRequests(farRequests)
	} else {
		user, target := &end{near, nearRequests}, &end{far, farRequests}
		if to != ssh.Conn(t.session.target) {
			user, target = target, user
		}
		t.carry(user, target)
	}
	took := t.session.relay.now().Sub(begun).Round(time.Millisecond)
	t.session.note("forward.closed", fmt.Sprintf("%s in=%d out=%d %s", t.what(), t.in.Load(), t.out.Load(), took))
}

// An end is one side of a tunnel.
type end struct {
	ssh.Channel
	requests <-chan *ssh.Request
}

// carry carries both directions until both sides have closed the channel.
func (t *tunnel) carry(user, target *end) {
	t.mu.Lock()
	t.ends = []ssh.Channel{user, target}
	isCut := t.isCut
	t.mu.Unlock()
	if isCut {
		t.cut()
	}
	inDone, outDone := make(chan struct{}), make(chan struct{})
	var parts sync.WaitGroup
	parts.Go(func() {
		defer close(inDone)
		t.pump(target, user, &t.in, &t.session.in)
	})
	parts.Go(func() {
		defer close(outDone)
		t.pump(user, target, &t.out, &t.session.out)
	})
	// What a side sent before it closed is still for the other.
	parts.Go(func() {
		ssh.DiscardRequests(user.requests)
		<-inDone
		target.Close()
	})
	parts.Go(func() {
		ssh.DiscardRequests(target.requests)
		<-outDone
		user.Close()
	})
	<-inDone
	<-outDone
	user.Close()
	target.Close()
	parts.Wait()
}

// pump carries one direction, and its end.
func (t *tunnel) pump(to, from ssh.Channel, mine, all *atomic.Uint64) {
	buf := make([]byte, copyBuffer)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if t.isOver() {
				return
			}
			// Counted before: the line never says less than what passed.
			mine.Add(uint64(n))
			all.Add(uint64(n))
			if _, err := to.Write(buf[:n]); err != nil {
				_, _ = io.Copy(io.Discard, from) // ends when the sender has closed
				return
			}
		}
		if err != nil {
			_ = to.CloseWrite() // the other may be gone
			return
		}
	}
}

func (t *tunnel) isOver() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.isCut
}

// cut closes a tunnel at once.
func (t *tunnel) cut() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.isCut = true
	for _, c := range t.ends {
		_ = c.Close() // an error means that its owner closed it first
	}
}

// inline is a text of the relay's as the reason of a refused channel, which clients
// print in a line of their own.
func inline(text string) string {
	return strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\nhint: ", "; hint: ")
}

// whyOf is the sentence of a text, for the recording.
func whyOf(text string) string {
	message, _ := divide(text)
	return message
}
