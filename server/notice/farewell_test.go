package notice_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/notice"
)

// A rude mail server takes mails and never answers a farewell.
type rude struct {
	listener net.Listener
	mails    chan string // what was taken
	quits    chan struct{}
	clients  sync.WaitGroup
}

func newRude(t *testing.T) *rude {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &rude{listener: l, mails: make(chan string, 16), quits: make(chan struct{}, 16)}
	p.clients.Go(func() { // ended by Close
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.clients.Go(func() { p.serve(c) }) // ends when the client goes
		}
	})
	t.Cleanup(func() { _ = l.Close(); p.clients.Wait() })
	return p
}

func (p *rude) serve(c net.Conn) {
	defer c.Close()
	var text strings.Builder
	inData := false
	answer := func(line string) { _, _ = fmt.Fprintf(c, "%s\r\n", line) }
	answer("220 rude")
	for in := bufio.NewScanner(c); in.Scan(); {
		switch line := in.Text(); {
		case inData && line == ".":
			inData = false
			p.mails <- text.String()
			text.Reset()
			answer("250 taken")
		case inData:
			fmt.Fprintln(&text, line)
		case line == "DATA":
			inData = true
			answer("354 go on")
		case line == "QUIT":
			p.quits <- struct{}{}
		default:
			answer("250 fine")
		}
	}
}

func (p *rude) mail(t *testing.T) *notice.Mail {
	t.Helper()
	host, port, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return newMail(t, notice.MailConfig{Host: host, Port: port, TLS: notice.NoneOnLoopback, From: mailFrom, Server: serverName})
}

func (p *rude) next(t *testing.T) string {
	t.Helper()
	select {
	case m := <-p.mails:
		return m
	case <-time.After(patience):
		t.Fatal("no mail came")
		return ""
	}
}

// TestS32FarewellIsNotWaitedFor: a mail that was taken is sent, and the next one
// goes out.
func TestS32FarewellIsNotWaitedFor(t *testing.T) {
	p, h := newRude(t), build(t) // which goes first in the end
	h.mail = p.mail(t)
	h.mail.Pressed(10 * time.Millisecond)
	h.run()
	for i := range 3 {
		name := fmt.Sprintf("user%d", i)
		h.do(addUser(name, name+"@example.eu"))
		if got := p.next(t); !strings.Contains(got, "To: <"+name+"@example.eu>") {
			t.Errorf("mail %d:\n%s", i, got)
		}
	}
	h.settled()
}

// TestStopAfterSending: who is stopped when a mail was taken does not send it
// again.
func TestStopAfterSending(t *testing.T) {
	p, h := newRude(t), build(t) // which goes first in the end
	h.mail = p.mail(t)
	h.mail.Pressed(patience)
	h.run()
	h.do(addUser("carol", "carol@example.eu"))
	p.next(t)
	select {
	case <-p.quits:
	case <-time.After(patience):
		t.Fatal("no farewell")
	}
	h.restart()
	h.run()
	h.do(addUser("dave", "dave@example.eu"))
	if got := p.next(t); !strings.Contains(got, "To: <dave@example.eu>") {
		t.Errorf("then comes\n%s", got)
	}
}
