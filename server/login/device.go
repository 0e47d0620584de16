package login

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A device is a machine on which a user signed in before. It shows that with a
// token of 32 random bytes that it was given then, of which only the hash is
// kept. The token opens nothing: it is what keeps strangers' failures from
// standing in its owner's way.
type device struct {
	_    struct{} `cbor:",toarray"`
	Hash store.Hash
	Seen int64 // the last sign-in, seconds since the Unix epoch
}

const (
	// maxDevices bounds the devices of a user. With limitPerDevice and limitUnknown
	// it is what keeps consecutive failures at one account to 100.
	maxDevices = 4
	deviceLife = 90 * 24 * time.Hour
	tokenSize  = 32
)

var devicesSuffix = []byte("devices")

// devices returns a user's devices; for whoever has none it decodes as much.
func (l *Login) devices(ctx context.Context, user store.UserID) ([]device, error) {
	value, err := l.Ledger.Backend.Side(ctx, store.SideSecrets, secretKey(user, devicesSuffix))
	none := errors.Is(err, store.ErrNotFound)
	if none {
		value = bytes.Clone(l.decoy.devices)
	} else if err != nil {
		return nil, fmt.Errorf("reading devices: %w", err)
	}
	var all []device
	if err := cbor.Unmarshal(value, &all); err != nil {
		return nil, fmt.Errorf("reading devices: %w", store.ErrCorrupt)
	}
	if none {
		return nil, nil
	}
	now := l.Now()
	return slices.DeleteFunc(all, func(d device) bool { return now.Sub(time.Unix(d.Seen, 0)) >= deviceLife }), nil
}

// knows reports whether a token is of one of the devices.
func knows(all []device, token []byte) bool {
	hash, found := store.Hash(sha256.Sum256(token)), 0
	for _, d := range all {
		found |= subtle.ConstantTimeCompare(d.Hash[:], hash[:])
	}
	return found == 1
}

// remember returns the token that a device keeps from this sign-in on, and what
// has to become durable with it: the device with those before it, of which the
// one that was away longest makes room. Two sign-ins at once may forget one of
// each other's; there are never more than maxDevices.
func (l *Login) remember(user store.UserID, at entrance) ([]byte, store.SideWrite, error) {
	token := at.device
	if !at.known {
		token = make([]byte, tokenSize)
		if _, err := io.ReadFull(l.Random, token); err != nil {
			return nil, store.SideWrite{}, fmt.Errorf("drawing a device's token: %w", err)
		}
	}
	hash := store.Hash(sha256.Sum256(token))
	kept := []device{{Hash: hash, Seen: l.Now().Unix()}}
	older := slices.Clone(at.devices)
	slices.SortFunc(older, func(a, b device) int { return int(b.Seen - a.Seen) })
	for _, d := range older {
		if d.Hash != hash && len(kept) < maxDevices {
			kept = append(kept, d)
		}
	}
	value, err := cbor.Marshal(kept)
	if err != nil {
		return nil, store.SideWrite{}, fmt.Errorf("encoding devices: %w", err)
	}
	return token, store.SideWrite{Table: store.SideSecrets, Key: secretKey(user, devicesSuffix), Value: value}, nil
}

// decoys are what is read in place of what somebody who does not exist has not
// got, so that looking takes as long. Nothing fits them.
type decoys struct {
	seed    []byte // sealed
	codes   []byte
	devices []byte
}

func (l *Login) makeDecoys() (decoys, error) {
	var d decoys
	var nobody store.UserID
	seed, err := l.Sealer.seed(nil)
	if err != nil {
		return d, err
	}
	if d.seed, err = l.Sealer.seal(nobody, seed); err != nil {
		return d, err
	}
	none := codeRecord{Hashes: make([][]byte, access.RecoveryCodes)}
	for i := range none.Hashes {
		none.Hashes[i] = make([]byte, sha256.Size)
	}
	if d.codes, err = cbor.Marshal(none); err != nil {
		return d, err
	}
	d.devices, err = cbor.Marshal([]device{{}})
	return d, err
}
