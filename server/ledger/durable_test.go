package ledger_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
)

// TestS8NoAnswerBeforeDurable: while the append has not returned, nobody has an
// answer and nobody sees another state.
func TestS8NoAnswerBeforeDurable(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	size := l.State().Next()
	var got <-chan answer
	held := h.backend.holdFirst()
	released := make(chan error, 1)
	h.backend.mu.Lock()
	h.backend.after = func(int, store.Batch) error {
		var err error
		select {
		case a := <-got:
			err = fmt.Errorf("answered %+v before the append returned", a)
		default:
		}
		if l.State().Next() != size {
			err = errors.Join(err, errors.New("the state is ahead of what is durable"))
		}
		released <- err
		return nil
	}
	h.backend.mu.Unlock()
	got = ask(t, l, 0, p.certificate())
	<-held.reached
	close(held.release)
	if err := <-released; err != nil {
		t.Error(err)
	}
	if a := <-got; a.err != nil || a.cert == nil || l.State().Next() != size+1 {
		t.Errorf("answer %+v, %d entries", a, l.State().Next())
	}
}

// A watchedKey is a CA's key that looks into the ledger before it signs.
type watchedKey struct {
	*ca.Key
	mu   sync.Mutex // guards look
	look func(tbs []byte) error
}

func (k *watchedKey) Sign(r io.Reader, tbs []byte) (*ssh.Signature, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.look != nil {
		if err := k.look(tbs); err != nil {
			return nil, err
		}
	}
	return k.Key.Sign(r, tbs)
}

func (k *watchedKey) SignWithAlgorithm(r io.Reader, tbs []byte, _ string) (*ssh.Signature, error) {
	return k.Sign(r, tbs)
}

func (k *watchedKey) PublicKey() ssh.PublicKey { return k.Key.PublicKey() }

// TestS8EntryBeforeSignature: at the moment at which the key signs, the entry
// with the hash of exactly those bytes can be read from the back end.
func TestS8EntryBeforeSignature(t *testing.T) {
	h := build(t)
	key := &watchedKey{Key: newKey(t)}
	h.rebuild(func(c *ledger.Config) { c.UserCA = newAuthority(t, ca.User, key) })
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	signed := 0
	key.mu.Lock()
	key.look = func(tbs []byte) error {
		head, err := h.backend.Head(context.Background())
		if err != nil {
			return err
		}
		records, err := h.backend.Records(context.Background(), store.Index(head.Size)-1, 1)
		if err != nil || len(records) != 1 {
			return fmt.Errorf("reading the last entry: %d, %w", len(records), err)
		}
		hash := sha256.Sum256(tbs)
		if !bytes.Contains(records[0], hash[:]) {
			return errors.New("signing what is not in the ledger")
		}
		signed++
		return nil
	}
	key.mu.Unlock()
	for range 5 {
		if _, _, err := l.Issue(t.Context(), p.certificate()); err != nil {
			t.Fatal(err)
		}
	}
	if signed != 5 {
		t.Errorf("%d certificates were looked at", signed)
	}
}

// TestSignerFails: an entry whose certificate could not be signed stands, and
// the writer goes on.
func TestSignerFails(t *testing.T) {
	h := build(t)
	key := &watchedKey{Key: newKey(t)}
	h.rebuild(func(c *ledger.Config) { c.UserCA = newAuthority(t, ca.User, key) })
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	broken := errors.New("the HSM was pulled out")
	key.mu.Lock()
	key.look = func([]byte) error { return broken }
	key.mu.Unlock()
	size := l.State().Next()
	if cert, _, err := l.Issue(t.Context(), p.certificate()); !errors.Is(err, broken) || cert != nil {
		t.Errorf("certificate %v, error %v", cert, err)
	}
	if l.State().Next() != size+1 {
		t.Errorf("%d entries, want %d", l.State().Next(), size+1)
	}
	key.mu.Lock()
	key.look = nil
	key.mu.Unlock()
	if _, r, err := l.Issue(t.Context(), p.certificate()); err != nil || r.First != size+1 {
		t.Errorf("entry %d, error %v", r.First, err)
	}
}

// TestFull: where there is no room the command is refused, nothing has changed,
// and the next one works.
func TestFull(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	size, checkpoint := l.State().Next(), l.Checkpoint()
	h.backend.set(func(n int, _ store.Batch) error {
		if n <= 2 {
			return fmt.Errorf("%w: as the disk says", store.ErrFull)
		}
		return nil
	}, nil)
	for range 2 {
		if cert, _, err := l.Issue(t.Context(), p.certificate()); !errors.Is(err, store.ErrFull) || cert != nil {
			t.Fatalf("certificate %v, error %v, want ErrFull", cert, err)
		}
		if l.State().Next() != size || !bytes.Equal(l.Checkpoint(), checkpoint) || l.Err() != nil {
			t.Fatal("something has changed")
		}
	}
	if _, r, err := l.Issue(t.Context(), p.certificate()); err != nil || r.First != size {
		t.Fatalf("entry %d, error %v", r.First, err)
	}
	h.close(l)
	h.check()
}

// TestFullTakesRefusalsBack: a refusal that rests on an entry which never came
// to be is not given.
func TestFullTakesRefusalsBack(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	held := h.backend.holdFirst()
	h.backend.mu.Lock()
	before := h.backend.before
	h.backend.before = func(n int, b store.Batch) error {
		if n == 2 {
			return store.ErrFull
		}
		return before(n, b)
	}
	h.backend.mu.Unlock()
	first := ask(t, l, 0, addUser("bob"))
	<-held.reached
	removal := ask(t, l, 1, access.RemoveGrant{By: local, Grant: p.grant})
	start := ask(t, l, 2, p.start())
	close(held.release)
	if a := <-first; a.err != nil {
		t.Fatal(a.err)
	}
	for _, got := range []<-chan answer{removal, start} {
		if a := <-got; !errors.Is(a.err, store.ErrFull) || len(a.Events) != 0 {
			t.Errorf("answer %+v, want ErrFull", a)
		}
	}
	do(t, l, p.start())
}

// TestUncertain: where it is not known what is durable, the writer stops for
// good, and the next start finds out.
func TestUncertain(t *testing.T) {
	arbitrary := errors.New("input/output error")
	for _, tc := range []struct {
		name     string
		err      error
		appended bool
	}{
		{"lost", store.ErrUncertain, false},
		{"durable after all", store.ErrUncertain, true},
		{"an unknown error, lost", arbitrary, false},
		{"an unknown error, durable", arbitrary, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := build(t)
			l := h.open()
			p := employ(t, l, "carol", h.subject)
			size := l.State().Next()
			held := h.backend.holdFirst()
			hold := h.backend.before
			h.backend.set(hold, nil)
			if tc.appended {
				h.backend.set(hold, func(int, store.Batch) error { return tc.err })
			} else {
				h.backend.set(func(n int, b store.Batch) error { return errors.Join(hold(n, b), tc.err) }, nil)
			}
			issue := ask(t, l, 0, p.certificate())
			<-held.reached
			waiting := ask(t, l, 1, addUser("bob"))
			changed := l.Changed()
			close(held.release)

			if a := <-issue; !errors.Is(a.err, store.ErrUncertain) || !errors.Is(a.err, tc.err) || a.cert != nil {
				t.Errorf("answer %+v, want ErrUncertain and %v", a, tc.err)
			}
			if a := <-waiting; !errors.Is(a.err, ledger.ErrStopped) {
				t.Errorf("who waited got %+v, want ErrStopped", a)
			}
			<-l.Stopped()
			<-changed
			if !errors.Is(l.Err(), tc.err) || !errors.Is(l.Close(), tc.err) {
				t.Errorf("error %v", l.Err())
			}
			for range 3 {
				if _, err := l.Do(t.Context(), addUser("dave")); !errors.Is(err, ledger.ErrStopped) || !errors.Is(err, tc.err) {
					t.Errorf("error %v, want ErrStopped", err)
				}
			}
			if got := len(h.backend.appends()); got != 1 {
				t.Errorf("%d appends were tried, want no other", got)
			}
			if l.State().Next() != size {
				t.Errorf("the state has %d entries, %d are known to be durable", l.State().Next(), size)
			}
			h.close(l)
			h.check()
			l = h.open()
			want := size
			if tc.appended {
				want++
			}
			if l.State().Next() != want {
				t.Errorf("%d entries after the next start, want %d", l.State().Next(), want)
			}
			if _, r, err := l.Issue(t.Context(), p.certificate()); err != nil || r.First != want {
				t.Errorf("entry %d, error %v", r.First, err)
			}
		})
	}
}

// TestS40NothingUnreadableIsAppended: an event that a start could not read back
// never becomes an entry.
func TestS40NothingUnreadableIsAppended(t *testing.T) {
	h := build(t)
	l := h.open()
	p := employ(t, l, "carol", h.subject)
	start := p.start()
	do(t, l, start)
	size := l.State().Next()
	for name, end := range map[string]access.EndSession{
		"text that is not UTF-8": {Session: start.Session, Reason: store.EndedByUser, Files: []store.RecordingFile{{Name: "\xff", Label: store.LabelMetadata}}},
		"an unknown reason":      {Session: start.Session, Reason: "because"},
		"too long":               {Session: start.Session, Reason: store.EndedByUser, Files: []store.RecordingFile{{Name: string(bytes.Repeat([]byte("x"), store.MaxEntry)), Label: store.LabelMetadata}}},
	} {
		_, err := l.Do(t.Context(), end)
		if err == nil || errors.Is(err, ledger.ErrStopped) || l.State().Next() != size {
			t.Errorf("%s: error %v, %d entries, want %d", name, err, l.State().Next(), size)
		}
	}
	do(t, l, access.EndSession{Session: start.Session, Reason: store.EndedByUser})
	h.close(l)
	h.check()
	h.open()
}
