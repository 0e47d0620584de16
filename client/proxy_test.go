package client_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func TestS35ParseHost(t *testing.T) {
	for host, want := range map[string]store.TargetName{
		"db1.pam":      "db1",
		"DB1.Pam":      "db1",
		"db1.prod.pam": "db1.prod",
		"pam.pam":      "pam",
	} {
		if got, err := client.ParseHost(host, "pam"); err != nil || got != want {
			t.Errorf("%s: got %q (%v), want %q", host, got, err, want)
		}
	}
	for _, host := range []string{
		"", "db1", ".pam", "pam", "db1.pam.", "db1.other", "-oProxyCommand=sh.pam", "$(x).pam", "`x`.pam", "a b.pam",
		"a\nb.pam", "a'b.pam", "a,b.pam", "*.pam", "a_b.pam", "a/b.pam", "a..pam", "(unsafe name)", "root@db1.pam", "db1.pam\x00",
	} {
		got, err := client.ParseHost(host, "pam")
		if err == nil {
			t.Errorf("%q: accepted as %q", host, got)
		} else if client.Clean(err.Error()) != err.Error() {
			t.Errorf("%q: the message acts on terminals: %q", host, err)
		}
	}
	if _, err := client.ParseHost("db1.", ""); err == nil {
		t.Error("an empty suffix was accepted")
	}
}

func FuzzParseHost(f *testing.F) {
	f.Add("db1.pam")
	f.Add("$(x).pam")
	f.Fuzz(func(t *testing.T, host string) {
		target, err := client.ParseHost(host, "pam")
		if err != nil {
			if client.Clean(err.Error()) != err.Error() {
				t.Errorf("the message acts on terminals: %q", err)
			}
			return
		}
		again, err := client.ParseHost(string(target)+".pam", "pam")
		if err != nil || again != target {
			t.Errorf("%q: %q is read again as %q (%v)", host, target, again, err)
		}
		name, err := api.ParsePreamble(api.FormatPreamble(string(target)))
		if err != nil || name != string(target) {
			t.Errorf("%q: the preamble says %q (%v)", host, name, err)
		}
	})
}

// A relay hears the preamble and everything of one side, answers when that side
// is done, and hangs up.
func TestSplice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	payload := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	heard := make(chan error, 1)
	go func() { // ends with the test's connection
		heard <- func() error {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			defer conn.Close()
			r := bufio.NewReader(conn)
			line, err := r.ReadString('\n')
			if err != nil || line != "VAULTPAM/1 db1\n" {
				return errors.Join(err, errors.New("preamble: "+line))
			}
			up, err := io.ReadAll(r) // until the half-close
			if err != nil || !bytes.Equal(up, payload) {
				return errors.Join(err, errors.New("other bytes arrived"))
			}
			_, err = conn.Write(payload)
			return err
		}()
	}()
	relay, err := client.DialRelay(t.Context(), l.Addr().String(), "db1", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var down bytes.Buffer
	if err := client.Splice(t.Context(), relay, bytes.NewReader(payload), &down); err != nil {
		t.Error(err)
	}
	if err := <-heard; err != nil {
		t.Error(err)
	}
	if !bytes.Equal(down.Bytes(), payload) {
		t.Errorf("%d bytes came back, want %d", down.Len(), len(payload))
	}
}

// The relay hangs up while standard input says nothing: ssh must not wait.
func TestSpliceEndsWithTheRelay(t *testing.T) {
	relay, other := connected(t)
	in, silent := io.Pipe()
	defer silent.Close()
	other.Close()
	if err := client.Splice(t.Context(), relay, in, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestSpliceEndsWithItsContext(t *testing.T) {
	relay, other := connected(t)
	defer other.Close()
	in, silent := io.Pipe()
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- client.Splice(ctx, relay, in, io.Discard) }() // ends with ctx
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func connected(t *testing.T) (relay *net.TCPConn, other net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	relay, err = client.DialRelay(t.Context(), l.Addr().String(), "db1", 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	other, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(other).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return relay, other
}

func TestDialRelay(t *testing.T) {
	if _, err := client.DialRelay(t.Context(), "127.0.0.1:1", "-x", time.Second); err == nil {
		t.Error("a name that nobody parsed was accepted")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, err = client.DialRelay(t.Context(), address, "db1", 10*time.Second)
	if want := "cannot reach " + address + ": connection refused"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
