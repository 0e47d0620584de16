package store

// MaxRecoveryCodes is the most codes that one RecoveryCreated counts.
const MaxRecoveryCodes = 64

// RecoveryCreated gives a person a set of recovery codes in place of the one
// before it. The set is named by its entry's index. Codes is the SHA-256 hash of
// the record in the side table that holds the hashes of the codes: it ties the
// two together and says nothing about a code, each of which is 120 random bits.
// Step is the TOTP time step that was shown for it, where one was.
type RecoveryCreated struct {
	User  UserID `cbor:"1,keyasint"`
	Codes Hash   `cbor:"2,keyasint"`
	Count uint64 `cbor:"3,keyasint"`
	Step  uint64 `cbor:"4,keyasint,omitempty"`
}

// SignInStopped says that so many attempts at an account failed in a row that
// only its known devices, a recovery code and an invitation still sign in; the
// next sign-in or enrolment ends it. Count is of failures.
type SignInStopped struct {
	User  UserID `cbor:"1,keyasint"`
	Count uint64 `cbor:"2,keyasint"`
}

// EventType returns TypeRecoveryCreated.
func (*RecoveryCreated) EventType() EventType          { return TypeRecoveryCreated }
func (e *RecoveryCreated) about(Index) (UserID, Index) { return e.User, 0 }

func (e *RecoveryCreated) check() error {
	return check(want{!e.User.IsZero(), "a user"}, want{e.Codes != Hash{}, "the hash of a set"},
		want{0 < e.Count && e.Count <= MaxRecoveryCodes, "a count from 1 to 64"})
}

// EventType returns TypeSignInStopped.
func (*SignInStopped) EventType() EventType          { return TypeSignInStopped }
func (e *SignInStopped) about(Index) (UserID, Index) { return e.User, 0 }
func (e *SignInStopped) check() error {
	return check(want{!e.User.IsZero(), "a user"}, want{0 < e.Count && e.Count <= MaxFailureCount, "a count from 1 to 10000"})
}
