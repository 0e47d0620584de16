package server

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
)

const (
	// hostCertificateLife is how long a host certificate is valid; it is made
	// anew when half of that is over.
	hostCertificateLife = 24 * time.Hour
	// maxHostCertificates bounds the cache: strangers choose the names.
	maxHostCertificates = 4096
)

// hostKeys gives the relay host certificates for its own name and for any name
// of a target. They are no ledger entries: before authentication strangers ask
// for them, under names that nobody has looked up. One key pair, made at start
// and never stored, is behind all of them.
type hostKeys struct {
	authority *ca.Authority
	key       *ca.Key
	now       func() time.Time
	random    io.Reader

	mu    sync.Mutex // guards cache
	cache map[ca.HostName]hostCertificate
}

type hostCertificate struct {
	signer ssh.Signer
	renew  time.Time
}

func newHostKeys(authority *ca.Authority, now func() time.Time, random io.Reader) (*hostKeys, error) {
	key, err := ca.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("making the relay's host key: %w", err)
	}
	return &hostKeys{
		authority: authority, key: key, now: now, random: random,
		cache: map[ca.HostName]hostCertificate{},
	}, nil
}

// signer returns the host key with a certificate for name.
func (h *hostKeys) signer(_ context.Context, name string) (ssh.Signer, error) {
	host, err := ca.ParseHostName(name)
	if err != nil {
		return nil, fmt.Errorf("host certificate: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.now()
	if c, ok := h.cache[host]; ok && now.Before(c.renew) {
		return c.signer, nil
	}
	c, err := h.issue(host, now)
	if err != nil {
		return nil, err
	}
	if len(h.cache) >= maxHostCertificates {
		clear(h.cache)
	}
	h.cache[host] = c
	return c.signer, nil
}

func (h *hostKeys) issue(host ca.HostName, now time.Time) (hostCertificate, error) {
	r := ca.Request{
		Kind: ca.Host, Authority: h.authority.PublicKey(), Key: h.key.PublicKey(),
		KeyID: ca.HostKeyID(host), Principal: string(host),
		ValidAfter: now.Add(-time.Hour), ValidBefore: now.Add(hostCertificateLife),
	}
	if err := draw(h.random, r.Nonce[:]); err != nil {
		return hostCertificate{}, err
	}
	unsigned, err := ca.Build(r)
	if err != nil {
		return hostCertificate{}, fmt.Errorf("host certificate: %w", err)
	}
	cert, err := h.authority.Sign(unsigned)
	if err != nil {
		return hostCertificate{}, fmt.Errorf("host certificate: %w", err)
	}
	signer, err := ssh.NewCertSigner(cert, h.key)
	if err != nil {
		return hostCertificate{}, fmt.Errorf("host certificate: %w", err)
	}
	return hostCertificate{signer: signer, renew: now.Add(hostCertificateLife / 2)}, nil
}
