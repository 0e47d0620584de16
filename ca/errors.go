package ca

import "errors"

// Why a certificate is refused: a closed set, by Build, Lint and CheckUser
// alike. Test with errors.Is; the text around it says what exactly was wrong.
// Nothing of a certificate is repeated in an error before its signature has been
// verified.
var (
	// ErrMalformed: not a certificate in the one encoding we accept.
	ErrMalformed = errors.New("malformed certificate")
	// ErrNested: a certificate stands where a plain key belongs.
	ErrNested = errors.New("certificate inside a certificate")
	// ErrWrongType: a user certificate where a host's is wanted, or the reverse,
	// or a certificate of another of our authorities.
	ErrWrongType = errors.New("wrong type of certificate")
	// ErrForeign: signed by, or meant for, another key than this authority's.
	ErrForeign = errors.New("certificate of another authority")
	// ErrSignature: the signature does not verify, or its algorithm is not allowed.
	ErrSignature = errors.New("bad certificate signature")
	// ErrKey: a key of a type or size that is not allowed.
	ErrKey = errors.New("key not allowed")
	// ErrPrincipal: not exactly one principal of the authority's grammar.
	ErrPrincipal = errors.New("bad principal")
	// ErrKeyID: the key ID is not one that this authority writes.
	ErrKeyID = errors.New("bad key ID")
	// ErrSerial: the serial is outside its authority's range.
	ErrSerial = errors.New("serial out of range")
	// ErrValidity: the time of validity is empty, unbounded or longer than policy.
	ErrValidity = errors.New("bad time of validity")
	// ErrNotYetValid: its time has not come; often a wrong clock.
	ErrNotYetValid = errors.New("certificate not valid yet")
	// ErrExpired: its time is over.
	ErrExpired = errors.New("certificate expired")
	// ErrOption: an unknown or malformed critical option or extension.
	ErrOption = errors.New("bad certificate option")
	// ErrSource: presented from an address that source-address does not list.
	ErrSource = errors.New("certificate not valid from this address")
	// ErrUsed: this Unsigned has been handed to an authority before.
	ErrUsed = errors.New("certificate was already handed out for signing")
)
