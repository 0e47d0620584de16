package ca

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// emergencyBackdate allows for a host whose clock is behind.
const emergencyBackdate = time.Minute

// MaxEmergencyFor is the longest time that an emergency certificate can be
// asked for.
const MaxEmergencyFor = MaxEmergencyValidity - emergencyBackdate

// An EmergencyRequest is what a person asks for while VaultPAM is down: an
// account on a target, for a key of their own, for a time.
type EmergencyRequest struct {
	Principal TargetPrincipal
	Key       ssh.PublicKey
	For       time.Duration // at least a second, at most MaxEmergencyFor
}

// IssueEmergency builds and signs an emergency certificate without the ledger:
// its serial is drawn at random from the emergency range. The certificate is
// valid from a minute before now, from any address, and permits what stock
// ssh-keygen permits. Hosts log its key ID and serial, by which it is found
// afterwards.
//
// Where not even this program is at hand, stock OpenSSH does the same with the
// same key file and passphrase (SERIAL is any number from 4503599627370496, 2^52,
// up to and without 9007199254740992, 2^53):
//
//	ssh-keygen -s emergency-ca -I vaultpam:emergency:db1 -n root@db1 -V +1h -z SERIAL id.pub
func IssueEmergency(a *Authority, r EmergencyRequest, now time.Time, random io.Reader) (*ssh.Certificate, error) {
	if a == nil || a.kind != Emergency {
		return nil, errors.New("issuing emergency certificate: not the emergency CA's key")
	}
	if r.For < time.Second || r.For > MaxEmergencyFor {
		return nil, fmt.Errorf("issuing emergency certificate: %w: asked for %v, want 1s to %v", ErrValidity, r.For, MaxEmergencyFor)
	}
	var drawn struct {
		Serial uint64
		Nonce  [nonceSize]byte
	}
	if err := binary.Read(random, binary.BigEndian, &drawn); err != nil {
		return nil, fmt.Errorf("issuing emergency certificate: drawing serial and nonce: %w", err)
	}
	// The range is as wide as it is high, and a power of two: no bias.
	serial := store.EmergencySerial + store.Serial(drawn.Serial)%(store.SerialLimit-store.EmergencySerial)
	unsigned, err := Build(Request{
		Kind:        Emergency,
		Authority:   a.public,
		Key:         r.Key,
		Serial:      serial,
		KeyID:       EmergencyKeyID(r.Principal.Target),
		Principal:   r.Principal.String(),
		ValidAfter:  now.Add(-emergencyBackdate),
		ValidBefore: now.Add(r.For),
		Extensions:  []string{PermitX11Forwarding, PermitAgentForwarding, PermitPortForwarding, PermitPTY, PermitUserRC},
		Nonce:       drawn.Nonce,
	})
	if err != nil {
		return nil, fmt.Errorf("issuing emergency certificate: %w", err)
	}
	return a.Sign(unsigned)
}
