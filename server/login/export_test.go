package login

import (
	"context"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// The pieces that are tested by themselves.
var (
	Step = step
	Seal = (*Sealer).seal
	Open = (*Sealer).open
)

// The limits, for tests to reach.
const (
	Window         = window
	LimitPerPair   = limitPerPair
	LimitFree      = limitFree
	LimitUnknown   = limitUnknown
	LimitPerDevice = limitPerDevice
	LimitPerSource = limitPerSource
	MaxDevices     = maxDevices
	DeviceLife     = deviceLife
)

// The bounds of ceremonies.
const (
	MaxGuesses    = maxGuesses
	MaxAllGuesses = maxAllGuesses
	MaxCeremonies = maxCeremonies
	MaxPerSource  = maxPerSource
)

// NewDeviceCode draws a code.
var NewDeviceCode = (*Login).newDeviceCode

// Kept returns how many ceremonies and sources of guesses are kept.
func (l *Login) Kept() (ceremonies, guesses int) {
	l.ceremonies.mu.Lock()
	defer l.ceremonies.mu.Unlock()
	return len(l.ceremonies.open), len(l.ceremonies.guesses)
}

// NotePasskey counts a passkey that did not verify.
func NotePasskey(ctx context.Context, l *Login, user store.UserID, c Client) error {
	return l.failed(ctx, user, c, access.ErrPasskey)
}

// TouchedMeanwhile is a passkey of a user's that was asked for before the provider
// vouched for somebody, and verified after it.
func TouchedMeanwhile(l *Login, id string, user store.UserID) (Outcome, error) {
	var found *ceremony
	err := l.ceremonies.with(id, func(c *ceremony) error {
		found = c
		return nil
	})
	if err != nil {
		return Outcome{}, err
	}
	return l.proven(found, proof{user: user, assertion: &access.Assertion{User: user}})
}
