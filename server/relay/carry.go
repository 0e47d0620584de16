package relay

import (
	"io"
	"sync"
)

// carryIn carries what the user types or sends.
func (c *channel) carryIn() {
	defer close(c.inDone)
	buf := make([]byte, copyBuffer)
	for {
		n, err := c.client.Read(buf)
		if n > 0 && !c.takeIn(buf[:n]) {
			// The target takes no more. What still comes is read, or the client's
			// connection would stand still, and dropped.
			_, _ = io.Copy(io.Discard, c.client)
			return
		}
		if err != nil {
			_ = c.target.CloseWrite() // the target may be gone
			return
		}
	}
}

// takeIn records input and then forwards it.
func (c *channel) takeIn(p []byte) bool {
	if c.revoked.Load() {
		return false
	}
	if c.guard != nil {
		pass, ok := c.guarded(p)
		if !ok || len(pass) == 0 {
			return ok
		}
		p = pass
	}
	if err := c.log.Input(p); err != nil {
		c.session.recorderFailed(err)
		return false
	}
	n, err := c.target.Write(p)
	c.session.in.Add(uint64(n))
	return err == nil
}

// carryOut carries the target's two streams, and then their end. EOF waits until
// the exit status has been passed on or the target has closed the channel: a
// client that has nothing more to send answers EOF with CLOSE, x/crypto answers
// that at once, and an exit status that comes later would be lost.
func (c *channel) carryOut() {
	defer close(c.outDone)
	var streams sync.WaitGroup
	streams.Go(func() { c.carry(c.target, c.client, c.log.Output, copyBuffer) })
	streams.Go(func() { c.carry(c.target.Stderr(), c.client.Stderr(), c.log.Stderr, stderrBuffer) })
	streams.Wait()
	select {
	case <-c.exited:
	case <-c.targetGone:
		c.sayLost()
	}
	c.toClient.Lock()
	defer c.toClient.Unlock()
	c.eofSent = true
	_ = c.client.CloseWrite() // the client may be gone
}

// sayLost tells the user, while they can still be told, when a channel ended
// without an exit status because the connection to the target was lost.
func (c *channel) sayLost() {
	select {
	case <-c.exited:
		return
	default:
	}
	if c.session.target.alive() {
		return // it just does not say
	}
	<-c.session.over // a lost connection ends the session
	c.say(c.session.text)
}

// carry carries one stream towards the client: record, then forward.
func (c *channel) carry(from io.Reader, to io.Writer, record func([]byte) error, size int) {
	buf := make([]byte, size)
	for {
		n, err := from.Read(buf)
		if n > 0 && !c.takeOut(to, buf[:n], record) {
			// Nobody reads any more; the target must not stand still for that.
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if err != nil {
			return
		}
	}
}

func (c *channel) takeOut(to io.Writer, p []byte, record func([]byte) error) bool {
	c.toClient.Lock()
	defer c.toClient.Unlock()
	if c.revoked.Load() {
		return false
	}
	if c.guard != nil && to == io.Writer(c.client) {
		p = c.guard.weave(p)
	}
	if err := record(p); err != nil {
		c.session.recorderFailed(err)
		return false
	}
	n, err := to.Write(p)
	c.session.out.Add(uint64(n))
	return err == nil
}
