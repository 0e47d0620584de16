package access

import (
	"crypto/ed25519"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// CreateLedger is the first command of a ledger and of no other.
type CreateLedger struct {
	Name                                  string
	LogKey                                ed25519.PublicKey
	UserCA, TargetCA, HostCA, EmergencyCA ssh.PublicKey
	// SelfGrant is the setting's first value.
	SelfGrant string
	// Administrator is the handle of the first administrator, who is invited.
	Administrator AddUser
}

func (c CreateLedger) decide(s State, now store.Millis) (Decision, error) {
	if s.next != 0 {
		return Decision{}, &Refusal{Kind: Conflict, Message: "this ledger has begun already"}
	}
	for _, key := range []ssh.PublicKey{c.UserCA, c.TargetCA, c.HostCA, c.EmergencyCA} {
		if key == nil {
			return Decision{}, &Refusal{Kind: Invalid, Message: "a ledger needs the public keys of four authorities"}
		}
	}
	c.Administrator.Roles = []store.Role{store.RoleAdministrator}
	c.Administrator.By = Caller{Local: true}
	d, err := c.Administrator.decide(s, now)
	if err != nil {
		return Decision{}, err
	}
	d.Events = append([]store.Event{
		&store.LedgerCreated{
			Name: c.Name, Rules: Rules, LogKey: c.LogKey,
			UserCA: c.UserCA.Marshal(), TargetCA: c.TargetCA.Marshal(),
			HostCA: c.HostCA.Marshal(), EmergencyCA: c.EmergencyCA.Marshal(),
		},
		&store.SettingChanged{Setting: store.SettingSelfGrant, Value: c.SelfGrant},
	}, d.Events...)
	return d, nil
}

const (
	// serialStep is the least that a restore raises the base of serials by.
	serialStep = 1 << 36
	// serialRate is how many serials a millisecond is worth, and serialEpoch is
	// 2026-01-01: a base made from the time of the restore is beyond what any
	// ledger has given out until then, also one that was restored from the same
	// backup before. It stays below 2^52 until 2168.
	serialRate  = 1 << 10
	serialEpoch = store.Millis(1_767_225_600_000)
)

// RestoreLedger is the first command after a restore that may have lost entries.
// Size and Root are of a later checkpoint that was shown, or zero. No certificate
// can be issued on the restored ledger before it: whoever restores appends it
// before anything is served.
type RestoreLedger struct {
	Size uint64
	Root store.Hash
}

//nolint:unparam // a Command may be refused; this one never is
func (c RestoreLedger) decide(s State, now store.Millis) (Decision, error) {
	base := s.base() + serialStep
	if now > serialEpoch {
		base = max(base, uint64(now-serialEpoch)*serialRate)
	}
	return Decision{
		Actor:  store.Actor{Local: true},
		Events: []store.Event{&store.LedgerRestored{Base: base, Size: c.Size, Root: c.Root}},
	}, nil
}
