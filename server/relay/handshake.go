package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// serverVersion is what the relay calls itself (RFC 4253, section 4.2).
const serverVersion = "SSH-2.0-VaultPAM"

// clientVersion is what it calls itself towards targets.
const clientVersion = "SSH-2.0-VaultPAM"

var errNotSSH = errors.New("the client speaks neither SSH nor the preamble")

// A greeted is a connection on which the relay's version line has been sent and
// the beginning of what the client sent has been read. x/crypto sends the
// version itself, as its first write; that one is swallowed.
type greeted struct {
	net.Conn
	unread  []byte
	version string // to be swallowed
}

func (g *greeted) Read(p []byte) (int, error) {
	if len(g.unread) > 0 {
		n := copy(p, g.unread)
		g.unread = g.unread[n:]
		return n, nil
	}
	return g.Conn.Read(p)
}

func (g *greeted) Write(p []byte) (int, error) {
	if g.version == "" {
		return g.Conn.Write(p)
	}
	if string(p) != g.version {
		return 0, errors.New("first write is not the version line")
	}
	g.version = ""
	return len(p), nil
}

// greet sends the version line at once, because some clients wait for it and
// would never send the line by which the relay tells the ways in apart. It
// returns the target that a preamble named, or "".
func greet(raw net.Conn) (*greeted, store.TargetName, error) {
	const line = serverVersion + "\r\n"
	if _, err := io.WriteString(raw, line); err != nil {
		return nil, "", fmt.Errorf("sending the version: %w", err)
	}
	buf := make([]byte, 0, 2*api.MaxPreamble)
	for {
		n, err := raw.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		target, rest, more, parseErr := parseHello(buf)
		if parseErr != nil {
			return nil, "", parseErr
		}
		if !more {
			return &greeted{Conn: raw, unread: rest, version: line}, target, nil
		}
		if err != nil {
			return nil, "", fmt.Errorf("reading the first line: %w", err)
		}
	}
}

// parseHello reads the beginning of what a client sends. While more is true it
// can't be told yet; otherwise rest is where the SSH version exchange begins,
// and target is what the preamble named, if there was one.
func parseHello(b []byte) (target store.TargetName, rest []byte, more bool, err error) {
	const sshWord, preambleWord = "SSH-", "VAULTPAM/"
	if begins(b, sshWord) {
		return "", b, len(b) < len(sshWord), nil
	}
	if !begins(b, preambleWord) {
		return "", nil, false, errNotSSH
	}
	end := bytes.IndexByte(b, '\n')
	if end < 0 && len(b) < api.MaxPreamble {
		return "", nil, true, nil
	}
	if end < 0 || end >= api.MaxPreamble {
		return "", nil, false, api.ErrPreamble
	}
	name, err := api.ParsePreamble(string(b[:end+1]))
	if err != nil {
		return "", nil, false, err
	}
	if target, err = store.ParseTargetName(name); err != nil {
		return "", nil, false, fmt.Errorf("%w: %w", api.ErrPreamble, err)
	}
	return target, b[end+1:], false, nil
}

// begins reports whether b begins with word, or is the beginning of it.
func begins(b []byte, word string) bool {
	n := min(len(b), len(word))
	return string(b[:n]) == word[:n]
}
