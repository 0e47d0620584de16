package target

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"

	"golang.org/x/crypto/ssh"
)

// A hostKeyFamily is a kind of host key and the signature algorithms that are
// asked of it.
type hostKeyFamily struct {
	keyType    string
	algorithms []string
}

// hostKeyFamilies are the kinds of host key that are read and pinned, in order
// of preference. ssh-rsa signatures (SHA-1) and DSA are not among them.
var hostKeyFamilies = []hostKeyFamily{
	{ssh.KeyAlgoED25519, []string{ssh.KeyAlgoED25519}},
	{ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoECDSA256}},
	{ssh.KeyAlgoECDSA384, []string{ssh.KeyAlgoECDSA384}},
	{ssh.KeyAlgoECDSA521, []string{ssh.KeyAlgoECDSA521}},
	{ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
}

// PinnedCallback returns what an ssh.ClientConfig needs to accept exactly the
// pinned keys: the callback, and the algorithms to ask for, so that a host with
// several keys shows one that is pinned. It refuses an empty list, and keys of
// kinds that Scan doesn't read.
func PinnedCallback(keys []ssh.PublicKey) (ssh.HostKeyCallback, []string, error) {
	if len(keys) == 0 {
		return nil, nil, errors.New("no host key is pinned")
	}
	var pinned [][]byte
	var types []string
	for _, key := range keys {
		if key == nil || familyRank(key.Type()) < 0 {
			return nil, nil, fmt.Errorf("pinned host key: want a plain Ed25519, ECDSA or RSA key, got %s", typeName(key))
		}
		pinned, types = append(pinned, key.Marshal()), append(types, key.Type())
	}
	var algorithms []string
	for _, family := range hostKeyFamilies {
		if slices.Contains(types, family.keyType) {
			algorithms = append(algorithms, family.algorithms...)
		}
	}
	return func(_ string, _ net.Addr, key ssh.PublicKey) error {
		if key != nil {
			offered := key.Marshal()
			if slices.ContainsFunc(pinned, func(p []byte) bool { return bytes.Equal(p, offered) }) {
				return nil
			}
		}
		return &HostKeyError{Offered: key}
	}, algorithms, nil
}

// HostKeyError says that a host showed a key that is not pinned: the host was
// set up anew, or somebody stands in its place.
type HostKeyError struct {
	Offered ssh.PublicKey
}

func (e *HostKeyError) Error() string {
	if e.Offered == nil {
		return "host showed no host key"
	}
	return fmt.Sprintf("host key %s %s is not the pinned one: the host was set up anew, or another machine answers in its place",
		e.Offered.Type(), ssh.FingerprintSHA256(e.Offered))
}

// familyRank is a key type's place in hostKeyFamilies, or -1.
func familyRank(keyType string) int {
	for i, family := range hostKeyFamilies {
		if family.keyType == keyType {
			return i
		}
	}
	return -1
}

func typeName(key ssh.PublicKey) string {
	if key == nil {
		return "none"
	}
	return key.Type()
}
