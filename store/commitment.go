package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"reflect"
	"strings"
)

// A Commitment stands in an entry for a text about a person: it proves later
// which text was meant and says nothing about it. It is HMAC-SHA256 over the
// field's name, a zero byte and the text, keyed with 32 random bytes of salt.
type Commitment Hash

// A Field names what a committed text is, so that the opening of one can't be
// shown for another.
type Field string

const (
	FieldHandle Field = "handle"
	FieldSource Field = "source"
	// FieldFactor is what a person calls one of their factors.
	FieldFactor Field = "factor"
	// FieldMachine is the name of the machine that a sign-in was asked for on.
	FieldMachine Field = "machine"
	// FieldEmail is the text of an Email.
	FieldEmail Field = "email"
	// FieldSSO is an account of the company's OpenID provider: issuer, line feed and
	// subject.
	FieldSSO Field = "sso"
	// FieldReason and FieldTicket are what somebody gave with a request, FieldComment
	// what somebody answered, to a request or in a review.
	FieldReason  Field = "reason"
	FieldTicket  Field = "ticket"
	FieldComment Field = "comment"
	// FieldDoors is the text of a DoorReport.
	FieldDoors Field = "doors"
	// FieldLock is why somebody locked something, or took the lock away.
	FieldLock Field = "lock"
	// FieldReview is what whoever started a review calls it.
	FieldReview Field = "review"
)

// An Opening is the text and the salt behind a commitment. It is kept in the
// side table under its owner; erasing the owner's openings erases the text for
// ever while every proof still verifies.
type Opening struct {
	Owner UserID
	Field Field
	Salt  [32]byte
	Text  string
}

// Commit returns the commitment that o opens.
func (o Opening) Commit() Commitment {
	mac := hmac.New(sha256.New, o.Salt[:])
	mac.Write([]byte(o.Field))
	mac.Write([]byte{0})
	mac.Write([]byte(o.Text))
	return Commitment(mac.Sum(nil))
}

// Opens reports whether o is what c committed to.
func (o Opening) Opens(c Commitment) bool {
	got := o.Commit()
	return subtle.ConstantTimeCompare(got[:], c[:]) == 1
}

// A WordError says that a word is not in the closed set it must come from.
type WordError struct {
	What, Word, Want string
}

func (e *WordError) Error() string {
	return fmt.Sprintf("%s %q: want one of %s", e.What, e.Word, e.Want)
}

func words[T ~string](set []T) string {
	s := make([]string, len(set))
	for i, w := range set {
		s[i] = string(w)
	}
	return strings.Join(s, ", ")
}

// Commitments returns what an event commits to, nothing where it does to nothing.
// It looks at the body's fields, so that no event type is forgotten.
func Commitments(e Event) []Commitment {
	var all []Commitment
	body := reflect.ValueOf(e).Elem()
	for i := range body.NumField() {
		if c, ok := reflect.TypeAssert[Commitment](body.Field(i)); ok && c != (Commitment{}) {
			all = append(all, c)
		}
	}
	return all
}
