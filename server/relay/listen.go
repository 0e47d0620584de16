package relay

import (
	"net"
	"strconv"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// maxListeners bounds what one session listens on at a time.
const maxListeners = 64

// A listener is what a target listens on for the user.
type listener struct {
	kind  string // of the channels that come from it
	where string // of the recording
	host  string // as it was asked for; or the path
	port  uint32
}

const (
	fromTCP    = "forwarded-tcpip"
	fromSocket = "forwarded-streamlocal@openssh.com"
	fromAgent  = "auth-agent@openssh.com"
)

// listenTCP is the payload of tcpip-forward and its cancel (RFC 4254, section 7.1).
type listenTCP struct {
	Host string
	Port uint32
}

// listenSocket is that of streamlocal-forward@openssh.com and its cancel (OpenSSH
// PROTOCOL, section 2.4).
type listenSocket struct{ Path string }

// parseListen reads what a request is to listen on, or to cease to.
func parseListen(request string, payload []byte) (listener, use, error) {
	switch request {
	case "tcpip-forward", "cancel-tcpip-forward":
		var l listenTCP
		if err := ssh.Unmarshal(payload, &l); err != nil {
			return listener{}, nil, errPayload
		}
		u := func(p store.Purposes) (bool, string) { return p.AllowsListen(l.Host, l.Port) }
		return tcpListener(l.Host, l.Port), u, nil
	}
	var l listenSocket
	if err := ssh.Unmarshal(payload, &l); err != nil {
		return listener{}, nil, errPayload
	}
	u := func(p store.Purposes) (bool, string) { return p.AllowsListenSocket(l.Path) }
	return socketListener(l.Path), u, nil
}

func tcpListener(host string, port uint32) listener {
	where := net.JoinHostPort(clean(host, 255), strconv.FormatUint(uint64(port), 10))
	return listener{kind: fromTCP, where: where, host: host, port: port}
}

func socketListener(path string) listener {
	return listener{kind: fromSocket, where: "unix:" + clean(path, 255), host: path}
}

// listen has the target listen, where that is allowed. The answer of the target may
// name the port that it chose.
func (s *session) listen(r *ssh.Request) (ok bool, answer []byte) {
	l, u, err := parseListen(r.Type, r.Payload)
	if err != nil {
		s.noteRefused("request.refused", r.Type)
		return false, nil
	}
	u = s.extended("permit-port-forwarding", u)
	// Held until the target's answer is known: what comes from a port that it
	// chose waits for that.
	s.listening.Lock()
	defer s.listening.Unlock()
	if !s.addListener(l, u) {
		s.noteRefused("forward.refused", string(store.PurposeRemoteForward)+" "+l.where+": too many, or twice")
		return false, nil
	}
	if text := s.may(u); text != "" {
		s.dropListener(l)
		s.noteRefused("forward.refused", string(store.PurposeRemoteForward)+" "+l.where+": "+whyOf(text))
		s.leaveNotice(text)
		return false, nil
	}
	if !s.note("forward.listening", string(store.PurposeRemoteForward)+" "+l.where) {
		return false, nil
	}
	ok, answer, err = s.target.SendRequest(r.Type, true, r.Payload)
	var chosen struct{ Port uint32 }
	if err != nil || !ok {
		s.dropListener(l)
		return false, nil
	}
	if l.kind == fromTCP && l.port == 0 {
		s.dropListener(l)
		if ssh.Unmarshal(answer, &chosen) != nil || chosen.Port == 0 || !s.addListener(tcpListener(l.host, chosen.Port), u) {
			return false, nil
		}
	}
	return true, answer
}

// unlistenFor is the user's cancel. It asks for nothing, so it is always passed on
// for what was allowed.
func (s *session) unlistenFor(r *ssh.Request) bool {
	l, _, err := parseListen(r.Type, r.Payload)
	if err != nil || !s.dropListener(l) {
		s.noteRefused("request.refused", r.Type)
		return false
	}
	return s.unlisten(l)
}

// unlisten has the target cease to listen.
func (s *session) unlisten(l listener) bool {
	request, payload := "cancel-tcpip-forward", ssh.Marshal(&listenTCP{l.host, l.port})
	if l.kind == fromSocket {
		request, payload = "cancel-streamlocal-forward@openssh.com", ssh.Marshal(&listenSocket{l.host})
	}
	ok, _, err := s.target.SendRequest(request, true, payload)
	return ok && err == nil
}

func (s *session) addListener(l listener, u use) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, twice := s.listeners[l]; twice || len(s.listeners) >= maxListeners || s.listened >= maxTunnels {
		return false
	}
	s.listened++
	s.listeners[l] = u
	return true
}

func (s *session) dropListener(l listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.listeners[l]
	delete(s.listeners, l)
	return ok
}

// serveBack takes what the target opens towards the user: connections to what it
// was asked to listen on, and to the user's agent where that was asked for.
func (s *session) serveBack(channels <-chan ssh.NewChannel, client ssh.Conn, open *sync.WaitGroup) {
	for nc := range channels {
		t := &tunnel{}
		switch nc.ChannelType() {
		case fromTCP, fromSocket:
			l, err := parseBack(nc.ChannelType(), nc.ExtraData())
			if err != nil {
				_ = nc.Reject(ssh.Prohibited, "not allowed through the relay")
				continue
			}
			t.kind, t.where, t.from = store.PurposeRemoteForward, l.where, &l
		case fromAgent:
			t.kind, t.where, t.use = store.PurposeAgentForward, "agent", s.askedAgent
		default:
			_ = nc.Reject(ssh.Prohibited, "not allowed through the relay")
			continue
		}
		s.forwardChannel(nc, client, nc.ExtraData(), open, t)
	}
}

// parseBack reads which listener a channel comes from.
func parseBack(kind string, data []byte) (listener, error) {
	if kind == fromTCP {
		var d directTCP
		if err := ssh.Unmarshal(data, &d); err != nil {
			return listener{}, errPayload
		}
		return tcpListener(d.Host, d.Port), nil
	}
	var d struct{ Path, Reserved string }
	if err := ssh.Unmarshal(data, &d); err != nil {
		return listener{}, errPayload
	}
	return socketListener(d.Path), nil
}

// adopt gives a tunnel the use of the listener that it comes from, and reports
// whether the user asked for that. It waits for an answer that is under way.
func (s *session) adopt(t *tunnel) bool {
	s.listening.Lock()
	defer s.listening.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.listeners[*t.from]
	if ok {
		t.use = u
	}
	return ok
}

// askedAgent is the use of an agent that the user asked to be forwarded.
func (s *session) askedAgent(p store.Purposes) (bool, string) {
	if !s.agent.Load() {
		return false, "nobody asked for the agent"
	}
	return s.agentUse()(p)
}

func (s *session) agentUse() use {
	return s.extended("permit-agent-forwarding", has(store.PurposeAgentForward, "agent forwarding"))
}

// askAgent has the target make the user's agent reachable, where that is allowed.
func (c *channel) askAgent(r *ssh.Request) bool {
	if len(r.Payload) > 0 || c.state.running || c.state.agent {
		c.session.noteRefused("request.refused", r.Type)
		return false
	}
	if text := c.session.may(c.session.agentUse()); text != "" {
		c.refuseRequest(r, text)
		return false
	}
	c.state.agent = true
	c.session.agent.Store(true)
	return c.session.note("forward.listening", string(store.PurposeAgentForward)) && c.forward(r)
}
