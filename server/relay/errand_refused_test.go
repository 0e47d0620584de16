package relay_test

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

func TestErrandThatIsNotLetIn(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	for _, test := range []struct {
		name   string
		change func(*world, *relay.Admission)
		reason store.EndReason
		words  string
		issued bool // whether a certificate may have been issued for it
	}{
		{"down", func(_ *world, a *relay.Admission) { a.Address = gone.Addr().String() }, store.EndedUnreachable, "db1 (127.0.0.1:", false},
		{"silent", func(_ *world, a *relay.Admission) { a.Address = silent.Addr().String() }, store.EndedUnreachable, "no SSH connection came about", false},
		{"wrong host key", func(_ *world, a *relay.Admission) { a.HostKeys = []ssh.PublicKey{newKey(t).PublicKey()} }, store.EndedHostKey, "is not the pinned one", false},
		{"host key of another kind", func(_ *world, a *relay.Admission) { a.HostKeys = []ssh.PublicKey{rsaKey(t)} }, store.EndedHostKey, "no host key of a pinned kind", false},
		{"no host key", func(_ *world, a *relay.Admission) { a.HostKeys = nil }, store.EndedHostKey, "no usable host key is pinned", false},
		{"account that is none", func(_ *world, a *relay.Admission) { a.Login = "nobody-here" }, store.EndedRefusedByTarget, "db1 refused the certificate for nobody-here", true},
		{"wrong egress", func(_ *world, a *relay.Admission) { a.Egress = "192.0.2.7" }, store.EndedRefusedByTarget, "the certificate was issued for 192.0.2.7/32", true},
		{
			"certifying refused", func(w *world, _ *relay.Admission) {
				w.gate.setFail("Certify", refused("db1 has just been removed", "vaultpam targets"))
			},
			store.EndedByGrant, "db1 has just been removed", false,
		},
		{
			"certifying failed", func(w *world, _ *relay.Admission) { w.gate.setFail("Certify", errors.New("no disk")) },
			store.EndedRelayFailed, "the server can't decide", false,
		},
		{
			"watching failed", func(w *world, _ *relay.Admission) { w.gate.setFail("Watch", errors.New("no disk")) },
			store.EndedRelayFailed, "can't know any more", true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, func(c *relay.Config, _ *target.SshdConfig) { c.Limits.Connect = 2 * time.Second })
			a := w.admit()
			test.change(w, a)
			e := relay.Errand{Command: "cat; while echo; do :; done", MaxOutput: 1 << 40}
			got, err := w.relay.Run(t.Context(), a, e)
			failedBy(t, err, test.reason, test.words)
			w.checkErrand(a, e, got, err)
			if n := len(w.gate.keys); n > 0 && !test.issued {
				t.Errorf("%d certificates were issued", n)
			}
		})
	}
}

// TestErrandWithoutItsCommand is about targets that let the relay in and then do
// not do what they were asked, or not to the end.
func TestErrandWithoutItsCommand(t *testing.T) {
	exit := func(c ssh.Channel) { c.SendRequest("exit-status", false, []byte{0, 0, 0, 0}) }
	for _, test := range []struct {
		name   string
		serve  func(*ssh.ServerConn, ssh.NewChannel)
		reason store.EndReason
		words  string
	}{
		{"channel refused", func(_ *ssh.ServerConn, nc ssh.NewChannel) {
			nc.Reject(ssh.ResourceShortage, "no \x1b room")
		}, store.EndedRefusedByTarget, "ran no command: no ? room"},
		{"command refused", func(_ *ssh.ServerConn, nc ssh.NewChannel) {
			_, asked, _ := nc.Accept()
			(<-asked).Reply(false, nil)
			ssh.DiscardRequests(asked)
		}, store.EndedRefusedByTarget, "db1 let"},
		{"closed before it answers", func(_ *ssh.ServerConn, nc ssh.NewChannel) {
			c, asked, _ := nc.Accept()
			<-asked
			c.Close()
		}, store.EndedRefusedByTarget, "db1 let"},
		{"hangs up before it answers", func(conn *ssh.ServerConn, nc ssh.NewChannel) {
			_, asked, _ := nc.Accept()
			<-asked
			conn.Close()
		}, store.EndedByTarget, "db1 closed the connection"},
		{"hangs up instead of opening", func(conn *ssh.ServerConn, _ ssh.NewChannel) { conn.Close() }, store.EndedByTarget, "db1 closed the connection"},
		{"no exit status", func(_ *ssh.ServerConn, nc ssh.NewChannel) {
			c, asked, _ := nc.Accept()
			(<-asked).Reply(true, nil)
			io.WriteString(c, "half")
			c.Close()
		}, store.EndedByTarget, "db1 did not say how the command ended"},
		{"hangs up without an exit status", func(conn *ssh.ServerConn, nc ssh.NewChannel) {
			c, asked, _ := nc.Accept()
			(<-asked).Reply(true, nil)
			io.WriteString(c, "half")
			conn.Close()
		}, store.EndedByTarget, "db1 closed the connection"},
		{"hangs up between exit status and the end of output", func(conn *ssh.ServerConn, nc ssh.NewChannel) {
			c, asked, _ := nc.Accept()
			(<-asked).Reply(true, nil)
			io.WriteString(c, "half")
			exit(c)
			conn.Close()
		}, store.EndedByTarget, "db1 closed the connection"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, withoutSshd)
			s := newStub(t, nil, func(conn *ssh.ServerConn, channels <-chan ssh.NewChannel, requests <-chan *ssh.Request) {
				go ssh.DiscardRequests(requests)
				test.serve(conn, <-channels)
				conn.Wait()
			})
			s.behind(w)
			_, err := w.errand(t.Context(), relay.Errand{Command: "a command", MaxOutput: 100})
			failedBy(t, err, test.reason, test.words)
		})
	}
}

// TestErrandThatIsTakenBack lets the gate end errands that are under way.
func TestErrandThatIsTakenBack(t *testing.T) {
	w := newWorld(t, withoutSshd)
	for _, at := range []step{atOpening, atCommand, atProgram, atPing} {
		s, reached := hanging(t, at)
		s.behind(w)
		go func() {
			<-reached
			w.gate.endAll(store.EndedByGrant)
		}()
		_, err := w.errand(t.Context(), relay.Errand{Command: "a command", MaxOutput: 100})
		failedBy(t, err, store.EndedByGrant, "the server itself may not be on db1")
	}
}

// TestErrandAtItsTime has an admission that ends.
func TestErrandAtItsTime(t *testing.T) {
	w := newWorld(t)
	w.change(func(a *relay.Admission) { a.Ends = time.Now().Add(time.Second) })
	_, err := w.errand(t.Context(), relay.Errand{Command: "while echo; do :; done", MaxOutput: 1 << 40})
	failedBy(t, err, store.EndedByGrant, "the server itself may not be on db1")
}

// TestErrandWhoseEndIsNotWritten has done its work: the gate writes the end when
// it can.
func TestErrandWhoseEndIsNotWritten(t *testing.T) {
	w := newWorld(t)
	w.gate.setFail("End", errors.New("no disk"))
	if _, err := w.errand(t.Context(), relay.Errand{Command: "true"}); err != nil {
		t.Error(err)
	}
}

func TestErrandThatCannotBe(t *testing.T) {
	w := newWorld(t, withoutSshd)
	if _, err := w.relay.Run(t.Context(), nil, relay.Errand{Command: "true"}); err == nil {
		t.Error("an errand without an admission ran")
	}
	for _, command := range []string{"", "a\x00b", strings.Repeat("x", 64<<10+1)} {
		a := w.admit()
		if _, err := w.relay.Run(t.Context(), a, relay.Errand{Command: command}); err == nil {
			t.Errorf("%.10q ran", command)
		}
		if reason := w.endOf(a).Reason; reason != store.EndedRelayFailed {
			t.Errorf("session ended by %s", reason)
		}
	}
	if len(w.gate.keys) > 0 {
		t.Error("a certificate was issued")
	}
}
