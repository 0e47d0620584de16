package ledger_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// TestStolenCAKeyIsFoundOut: a certificate that the real CA key signed, that
// every check of the certificate alone accepts, and that the ledger has not
// issued, is recognised as a forgery.
func TestStolenCAKeyIsFoundOut(t *testing.T) {
	h := build(t)
	stolen := newKey(t)
	h.rebuild(func(c *ledger.Config) { c.UserCA = newAuthority(t, ca.User, stolen) })
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	genuine, r, err := l.Issue(t.Context(), p.certificate())
	if err != nil {
		t.Fatal(err)
	}
	index, issued, err := l.Issued(t.Context(), genuine)
	if err != nil || index != r.First || issued.User != p.id || issued.TBS != store.Hash(ca.Hash(genuine)) {
		t.Errorf("genuine: entry %d, %+v, error %v", index, issued, err)
	}
	forge := func(change func(*ssh.Certificate)) *ssh.Certificate {
		forged := *genuine
		change(&forged)
		if err := forged.SignCert(rand.Reader, stolen); err != nil {
			t.Fatal(err)
		}
		return &forged
	}
	thief := newKey(t)
	for name, forged := range map[string]*ssh.Certificate{
		"the same, with another nonce": forge(func(*ssh.Certificate) {}),
		"for the thief's own key":      forge(func(c *ssh.Certificate) { c.Key = thief.PublicKey() }),
		"for another user":             forge(func(c *ssh.Certificate) { c.ValidPrincipals = []string{store.UserID{1}.String()} }),
		"valid for longer":             forge(func(c *ssh.Certificate) { c.ValidBefore += 60 }),
		"with the serial to come":      forge(func(c *ssh.Certificate) { c.Serial = uint64(l.State().Next()) }),
		"with a serial far away":       forge(func(c *ssh.Certificate) { c.Serial = 1 << 51 }),
		"with an emergency serial":     forge(func(c *ssh.Certificate) { c.Serial = uint64(store.EmergencySerial) }),
		"with serial 0":                forge(func(c *ssh.Certificate) { c.Serial = 0 }),
		"with a serial of the largest": forge(func(c *ssh.Certificate) { c.Serial = 1<<64 - 1 }),
		"with a sign-in's serial":      forge(func(c *ssh.Certificate) { c.Serial = uint64(p.signIn) }),
	} {
		if _, err := ca.CheckUser(forged, h.config.UserCA.PublicKey(), time.Now(), netip.MustParseAddr("192.0.2.7")); err != nil &&
			!errors.Is(err, ca.ErrSerial) {
			t.Errorf("%s: the forgery is not good enough for this test: %v", name, err)
		}
		if _, _, err := l.Issued(t.Context(), forged); !errors.Is(err, ledger.ErrForgery) {
			t.Errorf("%s: error %v, want ErrForgery", name, err)
		}
	}
}

// A liar is a back end that shows another entry in the place of one.
type liar struct {
	store.Backend
	index store.Index
	data  []byte
}

func (b *liar) Records(ctx context.Context, from store.Index, limit int) ([][]byte, error) {
	records, err := b.Backend.Records(ctx, from, limit)
	if i := int(b.index) - int(from); err == nil && i >= 0 && i < len(records) {
		records[i] = b.data
	}
	return records, err
}

// TestS8StolenCAKeyAndDatabase: who has the CA's key and can write the back end
// still has no entry that the tree vouches for.
func TestS8StolenCAKeyAndDatabase(t *testing.T) {
	h := build(t)
	stolen := newKey(t)
	h.rebuild(func(c *ledger.Config) { c.UserCA = newAuthority(t, ca.User, stolen) })
	l := h.open()
	defer h.close(l)
	p := employ(t, l, "carol", h.subject)
	genuine, r, err := l.Issue(t.Context(), p.certificate())
	if err != nil {
		t.Fatal(err)
	}
	forged := *genuine
	forged.Key = newKey(t).PublicKey()
	if err := forged.SignCert(rand.Reader, stolen); err != nil {
		t.Fatal(err)
	}
	entry, _, err := l.Entry(t.Context(), r.First)
	if err != nil {
		t.Fatal(err)
	}
	changed := *entry.Event.(*store.CertificateIssued)
	changed.TBS = store.Hash(ca.Hash(&forged))
	data, err := (&store.Entry{Index: entry.Index, Time: entry.Time, Actor: entry.Actor, Event: &changed}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	h.backend.Backend = &liar{h.backend.Backend, r.First, data}
	if e, _, err := l.Entry(t.Context(), r.First); err != nil || e.Event.(*store.CertificateIssued).TBS != changed.TBS {
		t.Fatalf("the database was not changed: %+v, error %v", e, err)
	}
	if _, _, err := l.Issued(t.Context(), &forged); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("the forgery: error %v, want ErrCorrupt", err)
	}
	if _, err := l.Proved(t.Context(), r.First); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("its entry: error %v, want ErrCorrupt", err)
	}
}

// TestRead: what was appended is found again, by index, key, time and proof.
func TestRead(t *testing.T) {
	h := build(t)
	now := time.Now().Truncate(time.Millisecond)
	h.config.Now = func() time.Time { return now }
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	now = now.Add(time.Hour)
	changed := l.Changed()
	start := p.start()
	r := do(t, l, start)
	select {
	case <-changed:
	default:
		t.Error("a change that nobody was told of")
	}
	if r.Time != store.At(now) {
		t.Errorf("time %d, want %d", r.Time, store.At(now))
	}
	e, data, err := l.Entry(t.Context(), r.First)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r.Events[0], e.Event); diff != "" || e.Actor.User != p.id {
		t.Errorf("entry of %+v (-result +stored):\n%s", e.Actor, diff)
	}
	records, err := l.Records(t.Context(), r.First, 10)
	if err != nil || len(records) != 1 || string(records[0]) != string(data) {
		t.Errorf("%d records, error %v", len(records), err)
	}
	if _, _, err := l.Entry(t.Context(), l.State().Next()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("behind the end: error %v, want ErrNotFound", err)
	}
	for _, tc := range []struct {
		at   store.Millis
		want store.Index
	}{
		{0, 0}, {r.Time, r.First}, {r.Time - 1, r.First}, {r.Time + 1, r.First + 1},
	} {
		if i, err := l.Since(t.Context(), tc.at); err != nil || i != tc.want {
			t.Errorf("since %d: entry %d, error %v, want %d", tc.at, i, err, tc.want)
		}
	}
	found, err := l.Find(t.Context(), store.Query{User: p.id, Type: store.TypeSessionStarted})
	if err != nil || len(found) != 1 || found[0].Index != r.First {
		t.Errorf("found %+v, error %v", found, err)
	}
	source := e.Event.(*store.SessionStarted).Source
	if text, err := l.Text(t.Context(), p.id, source); err != nil || text != start.Source {
		t.Errorf("text %q, error %v", text, err)
	}
	if text, err := l.Text(t.Context(), store.UserID{1}, source); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("somebody else's text %q, error %v", text, err)
	}
	if err := provesAll(t, l); err != nil {
		t.Error(err)
	}
}
