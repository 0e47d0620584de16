package relay

import (
	"net"
	"sync/atomic"
)

// A prompt is a TCP connection that acknowledges at once what it reads, until it
// is settled. OpenSSH and sshd leave Nagle's algorithm on during a handshake and
// send it in small pieces: with delayed acknowledgements (RFC 9293, section
// 3.8.6.3) each piece then waits 40 ms for the one before. A session's data needs
// no such help, and would pay for it with a system call a read.
type prompt struct {
	net.Conn
	settled atomic.Bool
}

func (p *prompt) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 && !p.settled.Load() {
		acknowledge(p.Conn)
	}
	return n, err
}

// settle says that the handshake is over.
func (p *prompt) settle() { p.settled.Store(true) }
