package relay

import (
	"errors"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store/recording"
)

// Sizes of the buffers between the two sides, in bytes. Nothing else queues:
// what a side does not take stays in the window of the other (2 MiB a channel in
// x/crypto), so a slow reader slows the writer down.
const (
	copyBuffer   = 32 << 10
	stderrBuffer = 8 << 10
)

// A channel is a session channel of the client, or the desk of an errand, and
// the one that was opened for it at the target.
type channel struct {
	session        *session
	client, target ssh.Channel
	state          requestState // of the goroutine that serves the client's requests

	started    chan struct{} // closed when the channel is recorded and the target runs something
	clientGone chan struct{} // closed when the client has closed the channel
	targetGone chan struct{} // closed when the target has
	inDone     chan struct{} // closed when nothing more goes to the target
	outDone    chan struct{} // closed when nothing more goes to the client
	exited     chan struct{} // closed when the exit status has been passed on

	// asking is held while a program is being started, until data flows.
	asking sync.Mutex
	dead   bool // guarded by asking: nothing can be started any more

	log   *recording.Channel // set before started is closed
	tty   bool               // the same
	guard *sftpGuard         // the same; of sftp that may only read

	use          use            // what it is for; guarded by the session's mu
	revoked      atomic.Bool    // nothing passes any more
	toldReadOnly bool           // of the goroutine that carries input
	exit         recording.Exit // written before exited is closed

	// toClient guards what is written to the client: data of the two streams,
	// the relay's own words and EOF, in the order in which they are recorded.
	toClient sync.Mutex
	eofSent  bool
}

// serveChannels takes what the client opens, until its connection ends.
func (s *session) serveChannels(channels <-chan ssh.NewChannel, open *sync.WaitGroup) {
	for nc := range channels {
		switch nc.ChannelType() {
		case "session":
		case "direct-tcpip", "direct-streamlocal@openssh.com":
			s.serveForward(nc, open)
			continue
		default:
			s.noteRefused("channel.refused", nc.ChannelType())
			_ = nc.Reject(ssh.Prohibited, refusedChannelText(nc.ChannelType()))
			continue
		}
		if text := s.reserve(); text != "" {
			_ = nc.Reject(ssh.ResourceShortage, text)
			continue
		}
		// Ends when both sides have closed the channel, or with the connections.
		open.Go(func() {
			defer s.release()
			s.serveChannel(nc)
		})
	}
}

// reserve counts a channel in, or returns why it can't be had.
func (s *session) reserve() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noMore {
		return "vaultpam: the client itself ruled out more sessions on this connection"
	}
	if s.opening >= s.relay.limits.Channels {
		return "vaultpam: too many sessions on one connection; close some, or connect again"
	}
	if s.total >= maxTotal {
		return "vaultpam: this connection has had all the sessions that one recording takes; connect again"
	}
	s.opening++
	s.total++
	return ""
}

func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening--
}

// serveChannel opens the target's side first, so that its refusal is the
// client's.
func (s *session) serveChannel(nc ssh.NewChannel) {
	target, targetRequests, err := s.target.OpenChannel("session", nil)
	if err != nil {
		reason, text := ssh.ConnectionFailed, "the target's connection ended"
		if refused, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			reason, text = refused.Reason, clean(refused.Message, maxForeign)
		}
		_ = nc.Reject(reason, text)
		return
	}
	client, clientRequests, err := nc.Accept()
	if err != nil {
		target.Close()
		ssh.DiscardRequests(targetRequests)
		return
	}
	c := newChannel(s, client, target)
	s.mu.Lock()
	s.channels[c] = true
	s.mu.Unlock()
	c.run(func() { c.serveClient(clientRequests) }, targetRequests)
	s.mu.Lock()
	delete(s.channels, c)
	s.mu.Unlock()
}

func newChannel(s *session, client, target ssh.Channel) *channel {
	return &channel{
		session: s, client: client, target: target,
		started:    make(chan struct{}),
		clientGone: make(chan struct{}),
		targetGone: make(chan struct{}),
		inDone:     make(chan struct{}),
		outDone:    make(chan struct{}),
		exited:     make(chan struct{}),
	}
}

// run passes on what the two sides say until both have closed the channel. What
// the client asks for is served by serve, which returns when the client has
// closed it.
func (c *channel) run(serve func(), targetRequests <-chan *ssh.Request) {
	var parts sync.WaitGroup
	parts.Go(func() {
		defer close(c.clientGone)
		serve()
	})
	parts.Go(func() {
		defer close(c.targetGone)
		c.serveTarget(targetRequests)
	})
	if c.awaitStart() {
		parts.Go(c.carryIn)
		parts.Go(c.carryOut)
	} else {
		close(c.inDone)
		close(c.outDone)
	}
	parts.Go(func() {
		<-c.clientGone
		<-c.inDone // what the user sent before is still for the target
		c.target.Close()
	})
	parts.Go(func() {
		<-c.targetGone
		<-c.outDone // what the target sent before is still for the user
		c.client.Close()
	})
	parts.Wait()
	if c.log != nil {
		if _, err := c.log.Close(c.exit); err != nil {
			c.session.recorderFailed(err)
		}
	}
}

// awaitStart waits until there is something to carry, or there never will be. A
// short command can be over before its start has been told: what it wrote counts.
func (c *channel) awaitStart() bool {
	select {
	case <-c.started:
		return true
	case <-c.clientGone:
	case <-c.targetGone:
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	select {
	case <-c.started:
		return true
	default:
		c.dead = true
		return false
	}
}

// say writes the relay's own words to the user's standard error, where something
// runs and somebody can read them.
func (c *channel) say(text string) {
	select {
	case <-c.started:
		c.tell(text)
	default:
	}
}

// tell records the relay's own words, where that is still possible, and writes
// them.
func (c *channel) tell(text string) {
	words := []byte(text)
	if c.tty {
		words = terminal(text)
	}
	c.toClient.Lock()
	defer c.toClient.Unlock()
	if c.eofSent || text == "" {
		return
	}
	if err := c.log.Stderr(words); err != nil {
		c.session.recorderFailed(err)
	}
	// Said even so: the words are the relay's, and may be that it can't record.
	_, _ = c.client.Stderr().Write(words)
}

// awaitTarget waits until what the target sent has been passed on.
func (c *channel) awaitTarget() {
	select {
	case <-c.started:
		<-c.outDone
	default:
	}
}

// awaitUser waits until what the user sent has been passed on.
func (c *channel) awaitUser() {
	select {
	case <-c.started:
		<-c.inDone
	default:
	}
}

// rejectAll refuses every channel that a target opens, where nobody is there who
// could have asked for one.
func rejectAll(channels <-chan ssh.NewChannel) {
	for nc := range channels {
		_ = nc.Reject(ssh.Prohibited, "not allowed through the relay")
	}
}
