package notice_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/vaultpam/vaultpam/server/notice"
)

// TestS32HostileMailServer: one that never stops talking, one that never answers,
// and one that goes away.
func TestS32HostileMailServer(t *testing.T) {
	for name, behave := range map[string]func(net.Conn){
		"endless line":  func(c net.Conn) { _, _ = io.Copy(c, endless('x')) },
		"endless lines": func(c net.Conn) { _, _ = io.Copy(c, endless('\n')) },
		"endless 220":   func(c net.Conn) { forever(c, "220-x\r\n") },
		"endless 250": func(c net.Conn) {
			fmt.Fprint(c, "220 x\r\n")
			_, _ = bufio.NewReader(c).ReadString('\n')
			forever(c, "250-X\r\n")
		},
		"a long answer":    func(c net.Conn) { fmt.Fprintf(c, "%s\r\n", strings.Repeat("\x1b[31m", 20_000)) },
		"a long extension": func(c net.Conn) { say(c, "220 x", "250-x\r\n250 "+strings.Repeat("\x1b", 100_000)) },
		"a long refusal":   func(c net.Conn) { say(c, "220 x", "250 x", "\xff\u2028"+strings.Repeat("x", 100_000)) },
		"silence":          func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"nobody":           func(net.Conn) {},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { // ended by Close
				defer close(ended)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					behave(c)
					_ = c.Close()
				}
			}()
			host, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			m := newMail(t, notice.MailConfig{Host: host, Port: port, TLS: notice.NoneOnLoopback, From: mailFrom, Server: serverName})
			ctx := t.Context()
			if name == "silence" { // the deadline is the sender's own, a minute; the caller's counts as well
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
				defer cancel()
			}
			err = m.Send(ctx, aMessage("carol@example.eu"))
			if err == nil || len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x1b\r\n\u2028") || !utf8.ValidString(err.Error()) {
				t.Errorf("error %.600q", err)
			}
			if name == "silence" && !(errors.Is(err, context.DeadlineExceeded) && strings.Contains(err.Error(), "too slow")) {
				t.Errorf("error %q", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			<-ended
		})
	}
}

// say answers each line of a client's, the greeting before the first.
func say(c net.Conn, lines ...string) {
	in := bufio.NewReader(c)
	for _, line := range lines {
		_, _ = fmt.Fprintf(c, "%s\r\n", line)
		if _, err := in.ReadString('\n'); err != nil {
			return
		}
	}
}

// endless reads one byte for ever.
type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

func forever(c net.Conn, text string) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}
