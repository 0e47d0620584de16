package server_test

import (
	"context"
	"sync"
	"testing"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/store"
)

// A backup that is taken while entries are appended is one moment of the ledger,
// with the side table's rows of these entries and of no other.
func TestBackupUnderLoad(t *testing.T) {
	s := populated(t)
	o := newOwner(t)
	l := s.burden(4)
	var all [][]byte
	for range 3 {
		l.wait(15)
		all = append(all, s.backup(o, server.WithoutRecordings))
	}
	if issued := l.stop(); len(issued) < 45 {
		t.Errorf("only %d certificates meanwhile", len(issued))
	}
	keys := s.backupKeys(o)
	for _, backup := range all {
		plain := o.plain(t, backup)
		commitments, openings := map[store.Commitment]bool{}, 0
		for _, f := range frames(t, plain) {
			if f.kind == 'E' {
				e, err := store.DecodeEntry(f.body)
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range store.Commitments(e.Event) {
					commitments[c] = true
				}
			}
		}
		for _, f := range frames(t, plain) {
			if f.kind == 'S' && f.body[0] == byte(store.SideOpenings) {
				openings++
				if !commitments[store.Commitment(f.body[3+16:3+48])] {
					t.Error("an opening of no entry in the backup")
				}
			}
		}
		if openings != len(commitments) {
			t.Errorf("%d openings of %d commitments", openings, len(commitments))
		}
		next, _, err := s.restored(o, backup, keys, checkpointIn(t, plain), server.RefuseRollback)
		if err != nil {
			t.Fatal(err)
		}
		if found := next.fsck(); len(found) != 0 {
			t.Errorf("fsck: %q", found)
		}
	}
}

// A burden is workers who add users and issue certificates.
type burden struct {
	group  sync.WaitGroup
	cancel context.CancelFunc
	issued chan uint64 // their serials; room for all that a test waits for

	mu      sync.Mutex // guards serials
	serials []uint64
}

func (s *site) burden(workers int) *burden { return s.burdenNamed(workers, "worker") }

func (s *site) burdenNamed(workers int, prefix string) *burden {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	l := &burden{cancel: cancel, issued: make(chan uint64, 1)}
	for w := range workers {
		name := prefix + string(rune('a'+w))
		who := s.added(name, "engineer")
		l.group.Go(func() { // ended by stop
			for n := 0; ctx.Err() == nil; n++ {
				cert := s.certificate(who)
				l.mu.Lock()
				l.serials = append(l.serials, cert.Serial)
				l.mu.Unlock()
				select {
				case l.issued <- cert.Serial:
				default: // nobody waits
				}
				if n%8 == 0 {
					s.added(name+string(rune('a'+n/8%26))+string(rune('a'+n/208%26)), "engineer")
				}
			}
		})
	}
	return l
}

// wait returns when n more certificates have been issued.
func (l *burden) wait(n int) {
	for range n {
		<-l.issued
	}
}

// stop ends the workers and returns the serials of all certificates.
func (l *burden) stop() []uint64 {
	l.cancel()
	l.group.Wait()
	return l.serials
}
