package relay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A refusal is why a session did not come about: for the ledger, the user and
// the log.
type refusal struct {
	reason store.EndReason
	text   string
	err    error
}

// An onward is the SSH connection from the relay to a target.
type onward struct {
	ssh.Conn
	channels <-chan ssh.NewChannel
	requests <-chan *ssh.Request
}

// A knock is one attempt to get into a target. Its fields say how far it came,
// because x/crypto's errors don't. They are written by x/crypto's goroutines and
// read when the attempt is over.
type knock struct {
	relay     *Relay
	ctx       context.Context
	admission *Admission

	mu      sync.Mutex // guards the fields below
	wrong   ssh.PublicKey
	issued  *ssh.Certificate
	certify error
}

// connect dials the target, holds it to its pinned host keys, and logs in with a
// certificate that is issued only when the host key was right: a host that is
// down or that somebody stands in for costs no certificate.
func (r *Relay) connect(ctx context.Context, a *Admission, banner func(string)) (*onward, *refusal) {
	algorithms := hostKeyAlgorithms(a.HostKeys)
	if len(algorithms) == 0 {
		return nil, &refusal{store.EndedHostKey, noHostKeyText(a), errors.New("no usable host key is pinned")}
	}
	raw, err := (&net.Dialer{Timeout: r.limits.Connect / 3}).DialContext(ctx, "tcp", a.Address)
	if err != nil {
		return nil, r.interrupted(ctx, &refusal{store.EndedUnreachable, unreachableText(a, err), err})
	}
	// A target that accepts and then says nothing is cut off by the context.
	cut := context.AfterFunc(ctx, func() { raw.Close() })
	defer cut()
	k := &knock{relay: r, ctx: ctx, admission: a}
	conn, channels, requests, err := ssh.NewClientConn(&prompt{Conn: raw}, a.Address, &ssh.ClientConfig{
		Config: ssh.Config{
			KeyExchanges: keyExchanges(),
			Ciphers:      ciphers(),
			MACs:         macs(),
		},
		User:              string(a.Login),
		Auth:              []ssh.AuthMethod{ssh.PublicKeysCallback(k.signers)},
		HostKeyCallback:   k.checkHostKey,
		HostKeyAlgorithms: algorithms,
		ClientVersion:     clientVersion,
		BannerCallback: func(text string) error {
			banner(text)
			return nil
		},
	})
	if err != nil {
		return nil, r.interrupted(ctx, k.explain(err, raw.LocalAddr()))
	}
	return &onward{conn, channels, requests}, nil
}

// interrupted says so where it was the relay's own end that cut an attempt off.
func (r *Relay) interrupted(ctx context.Context, f *refusal) *refusal {
	if errors.Is(ctx.Err(), context.Canceled) {
		f.reason = store.EndedByShutdown
		f.text = sentence("the relay is being stopped", "connect again in a minute")
	}
	return f
}

// checkHostKey accepts the pinned keys and nothing else.
func (k *knock) checkHostKey(_ string, _ net.Addr, key ssh.PublicKey) error {
	shown := key.Marshal()
	for _, pinned := range k.admission.HostKeys {
		if pinned != nil && bytes.Equal(pinned.Marshal(), shown) {
			return nil
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.wrong = key
	return errors.New("host key is not the pinned one")
}

// signers makes a key that lives as long as the connection and has it certified.
func (k *knock) signers() ([]ssh.Signer, error) {
	signer, err := k.certified()
	if err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.certify = err
		return nil, err
	}
	return []ssh.Signer{signer}, nil
}

func (k *knock) certified() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(k.relay.rand)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	cert, err := k.relay.gate.Certify(k.ctx, k.admission, key.PublicKey())
	if err != nil {
		return nil, fmt.Errorf("certifying: %w", err)
	}
	if cert == nil {
		return nil, errors.New("certifying: no certificate was returned")
	}
	signer, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		return nil, fmt.Errorf("using the certificate: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.issued = cert
	return signer, nil
}

// explain turns the error of a handshake into what is to be said of it.
func (k *knock) explain(err error, local net.Addr) *refusal {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.admission
	switch {
	case k.wrong != nil:
		return &refusal{store.EndedHostKey, hostKeyText(a, k.wrong), err}
	case k.certify != nil:
		// The Gate took back what it had allowed, or can't write.
		reason := store.EndedRelayFailed
		if r, ok := errors.AsType[*access.Refusal](k.certify); ok {
			reason = store.EndedByGrant
			if r.Reason == store.RefusedLock {
				reason = store.EndedByLock
			}
		}
		return &refusal{reason, refusalText(k.certify), k.certify}
	case lostIt(err):
		return &refusal{store.EndedUnreachable, noHandshakeText(a), err}
	case k.issued != nil:
		allowed := k.issued.CriticalOptions["source-address"]
		return &refusal{store.EndedRefusedByTarget, refusedByTargetText(a, hostOf(local), allowed), err}
	}
	if n, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err); ok && n.What == "host key" {
		return &refusal{store.EndedHostKey, otherHostKeysText(a), err}
	}
	return &refusal{store.EndedUnreachable, noHandshakeText(a), err}
}

// lostIt reports whether an error is of the network and not an answer.
func lostIt(err error) bool {
	_, network := errors.AsType[net.Error](err)
	return network || errors.Is(err, io.EOF)
}

// alive asks the target for any answer: one that comes shows that the connection
// had not been lost before.
func (o *onward) alive() bool {
	_, _, err := o.SendRequest("keepalive@openssh.com", true, nil)
	return err == nil
}

// hostOf is an address without its port.
func hostOf(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return ""
	}
	return tcp.AddrPort().Addr().Unmap().WithZone("").String()
}

// covers reports whether the networks of a source-address option hold address.
func covers(networks, address string) bool {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return false
	}
	for network := range strings.SplitSeq(networks, ",") {
		if prefix, err := netip.ParsePrefix(network); err == nil && prefix.Contains(ip) {
			return true
		}
		if single, err := netip.ParseAddr(network); err == nil && single == ip {
			return true
		}
	}
	return false
}

// keepalive asks every interval whether the peer lives, and closes the
// connection when an answer takes longer than two. Any answer is a sign of life,
// "no" as well. It ends with ctx or the connection.
func keepalive(ctx context.Context, conn ssh.Conn, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		watchdog := time.AfterFunc(2*interval, func() { conn.Close() })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		watchdog.Stop()
		if err != nil {
			return
		}
	}
}
