//go:build unix

package target_test

import (
	"errors"
	"slices"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
)

// TestS34OtherHostKeysAreRefused connects to a real sshd with the right pins,
// and with pins as they look when the host was swapped.
func TestS34OtherHostKeysAreRefused(t *testing.T) {
	ca := newSigner(t)
	sshd := startSshd(t, ca)
	own := certify(t, ca, target.Principal(me(t), db1), nil)
	ed, ec := sshd.HostKeys()[0], sshd.HostKeys()[1]
	other := newSigner(t).PublicKey()
	for _, c := range []struct {
		name    string
		pins    []ssh.PublicKey
		opens   bool
		swapped bool
	}{
		{name: "all keys", pins: []ssh.PublicKey{ed, ec}, opens: true},
		{name: "the one that ssh doesn't prefer", pins: []ssh.PublicKey{ec}, opens: true},
		{name: "an old key beside", pins: []ssh.PublicKey{other, ed}, opens: true},
		{name: "another host's key", pins: []ssh.PublicKey{other}, swapped: true},
		{name: "a kind that the host lacks", pins: []ssh.PublicKey{rsaSigner(t, 2048).PublicKey()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := connectTo(t, sshd.Address(), c.pins, me(t), own)
			if (err == nil) != c.opens {
				t.Fatalf("error %v, want a connection: %v", err, c.opens)
			}
			var swapped *target.HostKeyError
			if errors.As(err, &swapped) != c.swapped {
				t.Errorf("error %v, want a host key error: %v", err, c.swapped)
			}
		})
	}
}

func TestS34PinsAreNeverEmpty(t *testing.T) {
	key := newSigner(t).PublicKey()
	certificate := certify(t, newSigner(t), "db1", nil).PublicKey()
	for name, pins := range map[string][]ssh.PublicKey{
		"none": nil, "empty": {}, "nil": {nil}, "a certificate": {key, certificate},
	} {
		if callback, _, err := target.PinnedCallback(pins); err == nil || callback != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestS34CallbackRefusesByItself(t *testing.T) {
	key, other := newSigner(t).PublicKey(), newSigner(t).PublicKey()
	callback, algorithms, err := target.PinnedCallback([]ssh.PublicKey{key})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(algorithms, []string{ssh.KeyAlgoED25519}) {
		t.Errorf("algorithms %v", algorithms)
	}
	if err := callback("db1:22", nil, key); err != nil {
		t.Errorf("pinned key: %v", err)
	}
	for name, offered := range map[string]ssh.PublicKey{
		"unknown": other, "none": nil,
		"certificate over the pinned key": &ssh.Certificate{Key: key, SignatureKey: other, Signature: &ssh.Signature{}},
	} {
		if err := callback("db1:22", nil, offered); err == nil {
			t.Errorf("%s key: accepted", name)
		}
	}
	_, algorithms, err = target.PinnedCallback([]ssh.PublicKey{rsaSigner(t, 2048).PublicKey(), key})
	if err != nil || slices.Contains(algorithms, ssh.KeyAlgoRSA) || len(algorithms) != 3 {
		t.Errorf("algorithms %v (%v), want Ed25519 and RSA with SHA-2", algorithms, err)
	}
}
