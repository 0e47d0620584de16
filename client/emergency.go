package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// maxHostOutput bounds what is kept of what a host's command writes, in bytes.
const maxHostOutput = 64 << 10

// An EmergencyLogin is a connection to a host's own sshd with an emergency
// certificate, past relay and server: what is left when VaultPAM is down.
type EmergencyLogin struct {
	client *ssh.Client
}

// DialEmergency logs in on a host. The host keys are those that are pinned; a
// host that shows another one is refused. ctx bounds the login alone.
func DialEmergency(ctx context.Context, address, login string, hostKeys []ssh.PublicKey, signer ssh.Signer) (*EmergencyLogin, error) {
	if len(hostKeys) == 0 {
		return nil, errors.New("no host key is pinned")
	}
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	sound := ssh.SupportedAlgorithms()
	conn, channels, requests, err := ssh.NewClientConn(raw, address, &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges: sound.KeyExchanges,
			Ciphers:      sound.Ciphers,
			MACs:         slices.DeleteFunc(sound.MACs, func(mac string) bool { return mac == ssh.HMACSHA1 }),
		},
		User: login,
		Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			if !slices.ContainsFunc(hostKeys, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }) {
				return fmt.Errorf("it shows the host key %s, which is not pinned", ssh.FingerprintSHA256(key))
			}
			return nil
		},
		HostKeyAlgorithms: hostKeyAlgorithms(hostKeys),
	})
	if err != nil {
		raw.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, err
	}
	return &EmergencyLogin{client: ssh.NewClient(conn, channels, requests)}, nil
}

// hostKeyAlgorithms are those by which a host shows a key of a pinned type.
func hostKeyAlgorithms(keys []ssh.PublicKey) []string {
	var all []string
	for _, k := range keys {
		if k.Type() == ssh.KeyAlgoRSA {
			all = append(all, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
			continue
		}
		all = append(all, k.Type())
	}
	return all
}

// Run has the host's shell carry a command out and returns the lines that it
// wrote on both streams, made harmless for a terminal. A command that ended with another
// status than 0 is an *ssh.ExitError. When ctx is done the connection is closed.
func (e *EmergencyLogin) Run(ctx context.Context, command, input string) ([]string, error) {
	session, err := e.client.NewSession()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	defer context.AfterFunc(ctx, func() { e.client.Close() })()
	output := &head{}
	session.Stdin, session.Stdout, session.Stderr = strings.NewReader(input), output, output
	err = session.Run(command)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return output.lines(), err
}

// A head keeps the beginning of what is written to it and takes all of it.
type head struct {
	mu   sync.Mutex // guards kept: two streams are read at once
	kept []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, p[:min(len(p), maxHostOutput-len(h.kept))]...)
	return len(p), nil
}

func (h *head) lines() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for line := range strings.Lines(string(h.kept)) {
		all = append(all, Clean(strings.TrimRight(line, "\r\n")))
	}
	return all
}

// Close ends the connection. What was run on it has been answered, so that how it
// ends says nothing.
func (e *EmergencyLogin) Close() { _ = e.client.Close() }
