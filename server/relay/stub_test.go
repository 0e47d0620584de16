package relay_test

import (
	"net"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
)

// A stub is a target that does what sshd can't be made to do.
type stub struct {
	address string
	key     ssh.Signer

	mu    sync.Mutex // guards the fields below
	certs []*ssh.Certificate
	conns []net.Conn
}

// newStub starts a target that lets everybody in whom refuse (if any) does not
// stop, and hands their channels to serve.
func newStub(t testing.TB, refuse error, serve func(*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request)) *stub {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &stub{address: listener.Addr().String(), key: newKey(t)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			raw, err := listener.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, raw)
			s.mu.Unlock()
			wg.Go(func() { s.serve(raw, refuse, serve) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		wg.Wait()
	})
	return s
}

func (s *stub) serve(raw net.Conn, refuse error, serve func(*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request)) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if cert, ok := key.(*ssh.Certificate); ok {
			s.mu.Lock()
			s.certs = append(s.certs, cert)
			s.mu.Unlock()
		}
		return nil, refuse
	}}
	config.AddHostKey(s.key)
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	serve(conn, channels, requests)
	conn.Close()
}

// issued returns the certificates that were shown to it.
func (s *stub) issued() []*ssh.Certificate {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*ssh.Certificate(nil), s.certs...)
}

// behind makes the stub what db1 is.
func (s *stub) behind(w *world) {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	w.gate.targets[db1] = relay.Admission{Target: db1, Address: s.address, HostKeys: []ssh.PublicKey{s.key.PublicKey()}, Egress: "127.0.0.1"}
}

// A request is one that a stub has seen.
type request struct {
	Type    string
	Want    bool
	Payload string
}

// transcript is a target on which every program does what do says, and which
// writes the requests of its channels down.
func transcript(t testing.TB, do func(ssh.Channel)) (*stub, func() []request) {
	var mu sync.Mutex // guards seen
	var seen []request
	s := newStub(t, nil, func(_ *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
		go ssh.DiscardRequests(requests)
		var wg sync.WaitGroup
		for nc := range channels {
			channel, requests, err := nc.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				for r := range requests {
					mu.Lock()
					seen = append(seen, request{r.Type, r.WantReply, string(r.Payload)})
					mu.Unlock()
					r.Reply(true, nil)
					switch r.Type {
					case "shell", "exec", "subsystem":
						wg.Go(func() { do(channel) })
					}
				}
			})
		}
		wg.Wait()
	})
	return s, func() []request {
		mu.Lock()
		defer mu.Unlock()
		return append([]request(nil), seen...)
	}
}
