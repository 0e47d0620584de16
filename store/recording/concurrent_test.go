package recording_test

import (
	"bytes"
	"sync"
	"testing"

	"github.com/vaultpam/vaultpam/store/recording"
)

// The directions of a channel, the channels of a session and the sessions of a
// store are recorded at once, while the store recovers and the session ends.
func TestConcurrentUse(t *testing.T) {
	s, _ := newStore(t)
	const writes = 200
	var all sync.WaitGroup
	for range 4 {
		r := create(t, s)
		var session sync.WaitGroup
		for range 3 {
			c := channel(t, r, command("cat"))
			for _, write := range []func([]byte) error{c.Output, c.Stderr, c.Input} {
				session.Go(func() {
					for range writes {
						if err := write([]byte("日\xff")); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			session.Go(func() {
				if err := r.Note(c.Number(), "env.refused", "LC_ALL"); err != nil {
					t.Error(err)
				}
				if err := c.Resize(80, 24); err != nil {
					t.Error(err)
				}
			})
		}
		all.Go(func() {
			session.Wait()
			var closers sync.WaitGroup
			for range 2 {
				closers.Go(func() {
					if _, err := r.Close(""); err != nil {
						t.Error(err)
					}
				})
			}
			closers.Wait()
			checkConcurrent(t, s, r, bytes.Repeat([]byte("日\xff"), writes))
		})
	}
	all.Go(func() {
		for range 20 {
			if sums, err := s.Recover(t.Context(), end); err != nil || len(sums) != 0 {
				t.Errorf("recovering beside live sessions: %+v, %v", sums, err)
			}
		}
	})
	all.Wait()
}

func checkConcurrent(t *testing.T, s *recording.Store, r *recording.Recording, want []byte) {
	session, err := s.OpenSession(r.ID())
	if err != nil {
		t.Error(err)
		return
	}
	defer session.Close()
	if err := session.Verify(session.Summary().SHA256); err != nil {
		t.Error(err)
	}
	for number := 1; number <= 3; number++ {
		for _, kind := range []recording.EventKind{recording.Output, recording.Stderr, recording.Input} {
			if got, err := content(session, number, kind); err != nil || !bytes.Equal(got, want) {
				t.Errorf("channel %d, %s: %d bytes of %d, %v", number, kind, len(got), len(want), err)
			}
		}
	}
}
