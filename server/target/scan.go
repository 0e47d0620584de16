package target

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// scanLimit bounds one handshake of a scan, from dialling to the host's
// signature.
const scanLimit = 10 * time.Second

// maxScanError bounds what an error repeats of a peer's words, in bytes.
const maxScanError = 300

// RSA host keys outside these sizes are not read: too small can be factored, too
// large costs every connection dearly (and is not what anybody generates).
const minRSABits, maxRSABits = 2048, 8192

// A DialFunc opens a TCP connection, as net.Dialer's DialContext does.
type DialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// errScanned ends a handshake once the host has proved that it holds its key.
var errScanned = errors.New("host key read")

// Scan returns the plain host keys that the host at address offers, Ed25519
// first. The host has signed with each of them; whether it is the right host,
// only somebody who compares fingerprints can say. Host certificates, DSA keys
// and SHA-1 signatures are not asked for. Scan never authenticates. It makes one
// connection for each kind of key that the host has, and one more at most.
func Scan(ctx context.Context, dial DialFunc, address string) ([]ssh.PublicKey, error) {
	if dial == nil {
		return nil, errors.New("scanning host keys: no dialler was given")
	}
	address, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	var keys []ssh.PublicKey
	var offered []string // what the host listed when it lacked a kind of key
	for _, family := range hostKeyFamilies {
		if offered != nil && !overlap(offered, family.algorithms) {
			continue
		}
		key, err := scanOne(ctx, dial, address, family.algorithms)
		var lacking *ssh.AlgorithmNegotiationError
		switch {
		case errors.As(err, &lacking) && !overlap(lacking.RequestedAlgorithms, family.algorithms) && isHostKeyList(lacking):
			offered = lacking.RequestedAlgorithms
			continue
		case err != nil:
			return nil, &scanError{address: address, cause: err}
		case key.Type() == family.keyType && sizeOK(key):
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s offers no host key that can be pinned: want Ed25519, ECDSA, or RSA of %d to %d bits with SHA-2", address, minRSABits, maxRSABits)
	}
	return keys, nil
}

// A scanError says why a host can't be read. The library puts into its errors
// what the peer sent: escape sequences for the administrator's terminal, and as
// many bytes as a packet holds.
type scanError struct {
	address string
	cause   error
}

func (e *scanError) Error() string {
	cause := e.cause
	if op, ok := errors.AsType[*net.OpError](cause); ok {
		cause = op.Err // what is left out is the address, once more
	}
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, cause.Error())
	if len(text) > maxScanError {
		text = text[:maxScanError] + " (cut)"
	}
	return "reading the host keys of " + e.address + ": " + text
}

func (e *scanError) Unwrap() error { return e.cause }

// scanOne makes one handshake and returns the key that the host signed it with.
func scanOne(ctx context.Context, dial DialFunc, address string, algorithms []string) (ssh.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, scanLimit)
	defer cancel()
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// Closing the connection is what ends a handshake that hangs.
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	var key ssh.PublicKey
	config := &ssh.ClientConfig{
		Config:            transport(),
		User:              "vaultpam",
		HostKeyAlgorithms: algorithms,
		HostKeyCallback: func(_ string, _ net.Addr, offered ssh.PublicKey) error {
			key = offered
			return errScanned
		},
	}
	_, _, _, err = ssh.NewClientConn(conn, address, config)
	switch {
	case key != nil:
		return key, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("no SSH handshake within %s: %w", scanLimit, context.Cause(ctx))
	case err == nil:
		return nil, errors.New("handshake ended without a host key")
	}
	return nil, err
}

// transport is the library's list of sound algorithms, named, because its
// defaults still hold SHA-1.
func transport() ssh.Config {
	sound := ssh.SupportedAlgorithms()
	return ssh.Config{
		KeyExchanges: sound.KeyExchanges,
		Ciphers:      sound.Ciphers,
		MACs:         slices.DeleteFunc(sound.MACs, func(mac string) bool { return mac == ssh.HMACSHA1 }),
	}
}

// isHostKeyList tells a host without a kind of key from one without a common
// key exchange or cipher, which fails in the same way.
func isHostKeyList(e *ssh.AlgorithmNegotiationError) bool {
	return len(e.SupportedAlgorithms) > 0 && slices.ContainsFunc(hostKeyFamilies, func(f hostKeyFamily) bool {
		return slices.Contains(f.algorithms, e.SupportedAlgorithms[0])
	})
}

func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}

func sizeOK(key ssh.PublicKey) bool {
	crypto, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return false
	}
	if key, ok := crypto.CryptoPublicKey().(*rsa.PublicKey); ok {
		return key.N.BitLen() >= minRSABits && key.N.BitLen() <= maxRSABits
	}
	return true
}
