package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A said is what one command said.
type said struct {
	code        int
	out, stderr string
}

// A buffer is written by a server and read by a test.
type buffer struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
	saw chan struct{} // told of every write
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case b.saw <- struct{}{}:
	default: // whoever waits looks again anyway
	}
	return b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// command runs vaultpamd with an environment of its own.
func command(ctx context.Context, env map[string]string, stdin string, args ...string) said {
	var out, stderr bytes.Buffer
	p := &program{stdin: strings.NewReader(stdin), stdout: &out, stderr: &stderr, getenv: func(name string) string { return env[name] }}
	code := p.run(ctx, args)
	return said{code, out.String(), stderr.String()}
}

func run(t *testing.T, args ...string) said {
	t.Helper()
	return command(t.Context(), nil, "", args...)
}

// begun is a data directory, and what init said.
func begun(t *testing.T) (string, said) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	r := run(t, "init", "--dir", dir, "--name", "pam.example.eu", "--https", "127.0.0.1:0", "--ssh", "127.0.0.1:0")
	// Port 0 is for tests: nobody could be told where the server is.
	if r.code != exitFailed || !strings.Contains(r.stderr, "public.https") {
		t.Fatalf("%+v", r)
	}
	r = run(t, "init", "--dir", dir, "--name", "pam.example.eu", "--https", freeAddress(t), "--ssh", freeAddress(t))
	if r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	return dir, r
}

func freeAddress(t *testing.T) string {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serving runs a server until the function it returns is called, which returns
// what the server said.
func serving(t *testing.T, dir string) func() said {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	stderr := &buffer{saw: make(chan struct{}, 1)}
	p := &program{stdin: strings.NewReader(""), stdout: io.Discard, stderr: stderr, getenv: func(string) string { return "" }}
	ended := make(chan int, 1)
	go func() { ended <- p.run(ctx, []string{"serve", "--dir", dir}) }() // ended by stop
	stop := sync.OnceValue(func() said {
		cancel()
		return said{code: <-ended, stderr: stderr.String()}
	})
	t.Cleanup(func() { stop() })
	for !strings.Contains(stderr.String(), "msg=serving") {
		select {
		case <-stderr.saw:
		case code := <-ended:
			t.Fatalf("it ended with %d: %s", code, stderr)
		}
	}
	return stop
}
