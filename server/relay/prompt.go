package relay

import (
	"net"
	"sync/atomic"
)

// promptFor is how many bytes of a connection are acknowledged at once: those of
// the handshake and of the first channels.
const promptFor = 64 << 10

// A prompt is a TCP connection that acknowledges at once the first bytes that it
// reads. OpenSSH and sshd leave Nagle's algorithm on until a session runs and
// send what comes before in small pieces: with delayed acknowledgements (RFC
// 9293, section 3.8.6.3) each piece then waits 40 ms for the one before. The data
// of a long session needs no such help, and would pay for it with a system call a
// read.
type prompt struct {
	net.Conn
	read atomic.Int64
}

func (p *prompt) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if n > 0 && p.read.Add(int64(n)) <= promptFor {
		acknowledge(p.Conn)
	}
	return n, err
}
