package relay_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

// FuzzPreamble holds the reading of a client's first bytes to giving the same
// answer however they are cut into pieces, and to losing none of what follows.
func FuzzPreamble(f *testing.F) {
	for _, seed := range []string{
		"SSH-2.0-OpenSSH_9.2\r\n", "VAULTPAM/1 db1\nSSH-2.0-x\r\n", "VAULTPAM/1 \n", "VAULTPAM/2 db1\n", "GET / HTTP/1.1\r\n",
		"VAULTPAM/1 -oProxyCommand=x\n", "VAULTPAM/1 a b\n", "S", "V", "", "VAULTPAM/1 " + strings.Repeat("a", 300), "VAULTPAM/1 db1\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		target, rest, more, err := relay.ParseHello(b)
		if err != nil {
			if target != "" || more {
				t.Fatalf("an error with target %q, more %v", target, more)
			}
			return
		}
		if more {
			if len(b) >= api.MaxPreamble {
				t.Fatalf("%d bytes are not enough", len(b))
			}
			return
		}
		want := ""
		if target != "" {
			if _, err := store.ParseTargetName(string(target)); err != nil {
				t.Fatal(err)
			}
			want = api.FormatPreamble(string(target))
		}
		if !bytes.Equal(append([]byte(want), rest...), b) {
			t.Fatalf("preamble %q and rest %q are not what was sent", want, rest)
		}
		for i := range len(b) - len(rest) {
			if _, _, more, err := relay.ParseHello(b[:i]); err != nil || !more {
				t.Fatalf("the first %d bytes: more %v, %v", i, more, err)
			}
		}
	})
}

// FuzzRequests holds the parsers of requests to their bounds.
func FuzzRequests(f *testing.F) {
	f.Add(marshal("xterm", uint32(80), uint32(24), uint32(0), uint32(0), "\x00"))
	f.Add(marshal("LC_ALL", "C"))
	f.Add(marshal("LD_PRELOAD", "x"))
	f.Add(marshal("a command"))
	f.Add(marshal(uint32(80), uint32(24), uint32(0), uint32(0)))
	f.Add(marshal(uint32(3)))
	f.Add(marshal("TERM", false, "", ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := relay.ParsePty(b); err == nil && (len(p.Term) > 64 || strings.ContainsAny(p.Term, "/\x00\x1b\n ") || p.Cols > 1<<16 || p.Rows > 1<<16) {
			t.Errorf("terminal %+v", p)
		}
		if w, err := relay.ParseWindow(b); err == nil && (w.Cols > 1<<16 || w.Rows > 1<<16) {
			t.Errorf("window %+v", w)
		}
		if e, err := relay.ParseEnv(b); err == nil {
			if e.Name == "" || strings.ContainsAny(e.Name, "=\x00\n") || strings.HasPrefix(e.Name, "LD_") || strings.Contains(e.Value, "\x00") {
				t.Errorf("environment %+v", e)
			}
			if !bytes.Equal(marshal(e.Name, e.Value), b) {
				t.Error("what was understood is not all that was sent")
			}
		}
		if s, err := relay.ParseText(b); err == nil && (strings.Contains(s, "\x00") || !bytes.Equal(marshal(s), b)) {
			t.Errorf("text %q", s)
		}
		if s, err := relay.ParseSignal(b); err == nil && (s == "" || len(s) > 32) {
			t.Errorf("signal %q", s)
		}
		if e, err := relay.ParseExitStatus(b); err == nil && e.Status == nil {
			t.Error("an exit status without one")
		}
		if e, err := relay.ParseExitSignal(b); err == nil && len(e.Signal) > 32 {
			t.Errorf("exit signal %q", e.Signal)
		}
		if s := relay.Clean(string(b), 100); len(s) > 300 || !utf8.ValidString(s) || strings.ContainsAny(s, "\x1b\x00\u009b\r") {
			t.Errorf("clean text %q", s)
		}
	})
}
