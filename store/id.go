package store

import (
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// A UserID names a person in the ledger. It is random and says nothing about
// them. Its text form, "u:" and 26 lower-case base32 digits (RFC 4648, no
// padding), is the principal of a user certificate; because of the colon no
// Unix account can have it.
type UserID [16]byte

// A SessionID names a session and its recording. It is a random UUID (RFC 9562,
// version 4) that the server made.
type SessionID [16]byte

// An Index is an entry's place in the ledger; the ledger's birth is 0. Targets,
// grants and sign-ins are named by the index of the entry that began them.
type Index uint64

// A Serial is a certificate's serial number: the serial base plus the index of
// its entry. Serials stay below 2^53; those from 2^52 on belong to the
// emergency CA.
type Serial uint64

const (
	// EmergencySerial is the first serial of the emergency CA.
	EmergencySerial Serial = 1 << 52
	// SerialLimit is beyond every serial.
	SerialLimit Serial = 1 << 53
)

const userIDPrefix = "u:"

var userIDEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func (id UserID) String() string {
	return userIDPrefix + userIDEncoding.EncodeToString(id[:])
}

// IsZero reports whether id names nobody.
func (id UserID) IsZero() bool { return id == UserID{} }

// ParseUserID parses the text form. Exactly one text names each ID.
func ParseUserID(s string) (UserID, error) {
	var id UserID
	digits, ok := strings.CutPrefix(s, userIDPrefix)
	raw, err := userIDEncoding.DecodeString(digits)
	if !ok || err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("user ID %q: want u: and 26 base32 digits", clip(s))
	}
	copy(id[:], raw)
	if id.String() != s || id.IsZero() {
		return UserID{}, fmt.Errorf("user ID %q: not in canonical form", clip(s))
	}
	return id, nil
}

func (id SessionID) String() string { return uuid.UUID(id).String() }

// IsZero reports whether id names no session.
func (id SessionID) IsZero() bool { return id == SessionID{} }

// ParseSessionID parses the canonical text form of a version 4 UUID: lower-case
// hexadecimal with four hyphens, nothing else. It is safe as a file name.
func ParseSessionID(s string) (SessionID, error) {
	u, err := uuid.Parse(s)
	if err != nil || u.String() != s || u.Version() != 4 || u.Variant() != uuid.RFC4122 {
		return SessionID{}, fmt.Errorf("session ID %q: want a lower-case version 4 UUID", clip(s))
	}
	return SessionID(u), nil
}
