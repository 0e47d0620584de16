package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

// TestS8Faults lets each call of the back end fail once, in every way, while a
// ledger is opened, written to and closed. What was answered is there after the
// next start, what was refused is not, and the ledger is whole.
func TestS8Faults(t *testing.T) {
	arbitrary := errors.New("input/output error")
	type faulty func(store.Backend, int, error) *storetest.FaultyBackend
	runs := 0
	for _, tc := range []struct {
		name   string
		faulty faulty
		err    error
	}{
		{"full", storetest.Faulty, store.ErrFull},
		{"conflict", storetest.Faulty, store.ErrConflict},
		{"uncertain, lost", storetest.Faulty, store.ErrUncertain},
		{"uncertain, durable", storetest.FaultyAfter, store.ErrUncertain},
		{"unknown, lost", storetest.Faulty, arbitrary},
		{"unknown, durable", storetest.FaultyAfter, arbitrary},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for at, calls := 0, 0; at <= calls; at++ {
				h := build(t)
				var f *storetest.FaultyBackend
				acked, refused := h.story(func(b store.Backend) store.Backend {
					f = tc.faulty(b, at, tc.err)
					return f
				})
				if at == 0 {
					calls = f.Calls()
				}
				h.check()
				h.expect(at, acked, refused)
				runs++
			}
		})
	}
	t.Logf("%d runs", runs)
}

// story opens the ledger, adds users one after the other and closes it. It
// returns the handles that were acknowledged, and those of whom it is certain
// that nothing happened.
func (h *house) story(wrap func(store.Backend) store.Backend) (acked, refused []store.Handle) {
	h.Helper()
	b, err := bolt.Open(h.path())
	if err != nil {
		h.Fatal(err)
	}
	defer b.Close()
	c := h.config
	c.Backend = wrap(b)
	l, err := ledger.Open(context.Background(), c)
	if err != nil {
		return nil, nil
	}
	defer l.Close()
	for i := range 5 {
		handle := store.Handle(fmt.Sprintf("user%d", i))
		_, err := l.Do(context.Background(), addUser(string(handle)))
		switch {
		case err == nil:
			acked = append(acked, handle)
		case errors.Is(err, store.ErrFull), errors.Is(err, ledger.ErrStopped) && !errors.Is(err, store.ErrUncertain):
			refused = append(refused, handle)
		case errors.Is(err, store.ErrUncertain):
		default:
			h.Errorf("adding %s: error %v", handle, err)
		}
	}
	return acked, refused
}

func (h *house) expect(at int, acked, refused []store.Handle) {
	h.Helper()
	l := h.open()
	defer h.close(l)
	for _, handle := range acked {
		if _, ok := l.State().UserByHandle(handle); !ok {
			h.Errorf("call %d: %s was acknowledged and is lost", at, handle)
		}
	}
	for _, handle := range refused {
		if _, ok := l.State().UserByHandle(handle); ok {
			h.Errorf("call %d: %s was refused and is there", at, handle)
		}
	}
	do(h, l, addUser("afterwards"))
}
