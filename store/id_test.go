package store_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/store"
)

func TestUserIDRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var id store.UserID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		if id.IsZero() {
			return
		}
		s := id.String()
		if got, err := store.ParseUserID(s); err != nil || got != id {
			t.Fatalf("%x as %q is read as %x, error %v", id, s, got, err)
		}
		if _, err := store.ParseLogin(s); err == nil {
			t.Fatalf("user ID %q is also a login", s)
		}
	})
}

func TestUserIDRefused(t *testing.T) {
	good := store.UserID{1}.String()
	for _, s := range []string{
		"", "u:", good[2:], "U:" + good[2:], strings.ToUpper(good), good + "a", good[:27], good + "=", " " + good,
		good[:27] + "b", // unused bits set
		good[:10] + "\n" + good[10:],
		store.UserID{}.String(),
	} {
		if id, err := store.ParseUserID(s); err == nil || !id.IsZero() {
			t.Errorf("%q is read as %x, error %v", s, id, err)
		}
	}
}

func FuzzParseUserID(f *testing.F) {
	f.Add(store.UserID{1, 2, 3}.String())
	f.Add("u:")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := store.ParseUserID(s)
		if err == nil && (id.String() != s || id.IsZero()) {
			t.Fatalf("%q is read as %q", s, id)
		}
	})
}

func TestSessionIDRefused(t *testing.T) {
	good := uuid.New().String()
	if id, err := store.ParseSessionID(good); err != nil || id.String() != good || id.IsZero() {
		t.Fatalf("%q is read as %v, error %v", good, id, err)
	}
	for _, s := range []string{
		"", "../../etc/passwd", strings.ToUpper("a" + good[1:]), "{" + good + "}", "urn:uuid:" + good,
		strings.ReplaceAll(good, "-", ""), good + "\n",
		uuid.Nil.String(), uuid.Max.String(),
		good[:14] + "1" + good[15:], // version 1
		good[:19] + "c" + good[20:], // Microsoft variant
	} {
		if id, err := store.ParseSessionID(s); err == nil || !id.IsZero() {
			t.Errorf("%q is read as %v, error %v", s, id, err)
		}
	}
}

func FuzzParseSessionID(f *testing.F) {
	f.Add("f81d4fae-7dec-41d0-a765-00a0c91e6bf6")
	f.Add("f81d4fae7dec41d0a76500a0c91e6bf6")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := store.ParseSessionID(s)
		if err != nil {
			return
		}
		if id.String() != s || len(s) != 36 || strings.Trim(s, "0123456789abcdef-") != "" {
			t.Fatalf("%q is read as %q", s, id)
		}
	})
}
