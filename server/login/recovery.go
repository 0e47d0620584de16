package login

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"github.com/fxamacker/cbor/v2"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A codeRecord is what is kept of a set of recovery codes, beside the ledger and
// under its owner, where erasing deletes it.
//
// A code's hash is HMAC-SHA256 with a key derived from the sealer's, over the
// user, the set's salt, the code's number and the code. It is fast on purpose:
// slowness helps a secret that people choose, and these are 120 random bits, of
// which 2^119 would have to be tried even by who has the key as well (NIST SP
// 800-63B, section 5.1.2.2, asks for slow hashing below 112 bits). User, salt
// and number are in it so that a row that was copied to another user, or a hash
// to another place, fits nothing; that the record is the one that the ledger
// knows is for the rules to compare.
type codeRecord struct {
	_      struct{} `cbor:",toarray"`
	Salt   [32]byte
	Hashes [][]byte
}

var recoverySuffix = []byte("recovery")

func secretKey(user store.UserID, suffix []byte) []byte { return append(user[:], suffix...) }

// drawCodes draws a set of codes and its record.
func (l *Login) drawCodes(user store.UserID) (codes []string, record []byte, err error) {
	r := codeRecord{Hashes: make([][]byte, access.RecoveryCodes)}
	if _, err := io.ReadFull(l.Random, r.Salt[:]); err != nil {
		return nil, nil, fmt.Errorf("drawing recovery codes: %w", err)
	}
	for i := range r.Hashes {
		code, err := api.NewRecoveryCode(l.Random)
		if err != nil {
			return nil, nil, err
		}
		codes = append(codes, code)
		r.Hashes[i] = l.Sealer.codeHash(user, r.Salt, i, code)
	}
	if record, err = cbor.Marshal(r); err != nil {
		return nil, nil, fmt.Errorf("encoding recovery codes: %w", err)
	}
	return codes, record, nil
}

func (s *Sealer) codeHash(user store.UserID, salt [32]byte, i int, code string) []byte {
	mac := hmac.New(sha256.New, s.codes)
	mac.Write(user[:])
	mac.Write(salt[:])
	mac.Write([]byte{byte(i)})
	mac.Write([]byte(code))
	return mac.Sum(nil)
}

// numberOf returns which code of a record it is, from 1, and 0 for none. It
// compares all of them, so that the time it takes says nothing.
func (l *Login) numberOf(user store.UserID, record []byte, code string) (uint64, error) {
	var r codeRecord
	if err := cbor.Unmarshal(record, &r); err != nil {
		return 0, fmt.Errorf("reading recovery codes: %w", store.ErrCorrupt)
	}
	number := 0
	for i, hash := range r.Hashes {
		same := subtle.ConstantTimeCompare(hash, l.Sealer.codeHash(user, r.Salt, i, code))
		number = subtle.ConstantTimeSelect(same, i+1, number)
	}
	return uint64(number), nil
}

// record returns what is kept of a user's recovery codes, or for whoever has
// none a record that no code fits.
func (l *Login) record(ctx context.Context, u access.User) ([]byte, error) {
	record, err := l.Ledger.Backend.Side(ctx, store.SideSecrets, secretKey(u.ID, recoverySuffix))
	switch {
	case errors.Is(err, store.ErrNotFound):
		if u.Recovery.Entry != 0 {
			return nil, fmt.Errorf("the record of recovery codes is missing: %w", store.ErrCorrupt)
		}
		return bytes.Clone(l.decoy.codes), nil
	case err != nil:
		return nil, fmt.Errorf("reading recovery codes: %w", err)
	}
	return record, nil
}

// tryRecovery checks a recovery code and opens a session, as try does with the
// codes of authenticators.
func (l *Login) tryRecovery(ctx context.Context, u access.User, code string, at entrance) (Session, error) {
	record, err := l.record(ctx, u)
	if err != nil {
		return Session{}, err
	}
	number, err := l.numberOf(u.ID, record, code)
	if err != nil {
		return Session{}, err
	}
	if number == 0 || u.Recovery.Entry == 0 {
		return Session{}, access.ErrSignIn
	}
	return l.open(ctx, u, at, func(h access.Holder) access.Command {
		return access.SignInWithRecoveryCode{User: u.ID, Codes: sha256.Sum256(record), Number: number, Holder: h}
	})
}

// NewRecoveryCodes gives somebody who is signed in other recovery codes in place of
// theirs: for a fresh code of their authenticator, or for none where they have just
// confirmed who they are. Failures count as those of sign-ins do.
func (l *Login) NewRecoveryCodes(ctx context.Context, by access.Caller, p Proof, client Client) ([]string, error) {
	u, _, err := l.Ledger.State().Caller(by, store.At(l.Now()))
	if err != nil {
		return nil, err
	}
	if p.Code == "" {
		return l.replaceCodes(ctx, u, by, 0)
	}
	var codes []string
	err = l.withStep(ctx, u, p, client, func(step uint64) error {
		codes, err = l.replaceCodes(ctx, u, by, step)
		return err
	})
	return codes, err
}

// withStep finds the time step of a code that somebody who is signed in shows, and
// counts how what is done with it ends.
func (l *Login) withStep(ctx context.Context, u access.User, p Proof, client Client, do func(step uint64) error) error {
	return l.counted(ctx, account{u.ID, true}, p, client, func(entrance) error {
		seed, err := l.secret(ctx, u)
		if err != nil {
			return err
		}
		at, ok, err := step(seed, p.Code, l.Now())
		if err != nil {
			return err
		}
		if _, enrolled := u.TOTP(); !ok || !enrolled {
			return access.ErrSecondLook
		}
		return do(at)
	})
}

// ConfirmWithTOTP says that somebody who is signed in is still there, by a code of
// their authenticator.
func (l *Login) ConfirmWithTOTP(ctx context.Context, by access.Caller, p Proof, client Client) error {
	u, _, err := l.Ledger.State().Caller(by, store.At(l.Now()))
	if err != nil {
		return err
	}
	confirm := access.ConfirmWithTOTP{By: by, Source: client.address()}
	if err := l.draw(confirm.Salt[:]); err != nil {
		return err
	}
	return l.withStep(ctx, u, p, client, func(step uint64) error {
		confirm.Step = step
		_, err := l.Ledger.Do(ctx, confirm)
		return err
	})
}

func (l *Login) replaceCodes(ctx context.Context, u access.User, by access.Caller, step uint64) ([]string, error) {
	codes, record, err := l.drawCodes(u.ID)
	if err != nil {
		return nil, err
	}
	_, err = l.Ledger.Do(ctx, access.CreateRecoveryCodes{By: by, Codes: sha256.Sum256(record), Step: step}, codesWrite(u.ID, record))
	if err != nil {
		return nil, err
	}
	return codes, nil
}

func codesWrite(user store.UserID, record []byte) store.SideWrite {
	return store.SideWrite{Table: store.SideSecrets, Key: secretKey(user, recoverySuffix), Value: record}
}

// Forget deletes what signs a user in who was removed. If the process dies before
// it, that stays, and signs nobody in: the state has no such user.
func (l *Login) Forget(ctx context.Context, user store.UserID) error {
	var writes []store.SideWrite
	for w, err := range l.Ledger.Backend.SideAll(ctx, store.SideSecrets, user[:]) {
		if err != nil {
			return fmt.Errorf("forgetting a user's factors: %w", err)
		}
		writes = append(writes, store.SideWrite{Table: store.SideSecrets, Key: w.Key})
	}
	if len(writes) == 0 {
		return nil
	}
	return l.Ledger.Backend.WriteSide(ctx, writes)
}
