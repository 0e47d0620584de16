package ledger

import (
	"maps"
	"sync"

	"github.com/vaultpam/vaultpam/store"
)

// texts are what commitments stand for that a state is filled with, the present
// one and those of the past alike.
type texts struct {
	mu    sync.RWMutex // guards known
	known map[store.Commitment]string
}

// lookup is an access.Texts.
func (t *texts) lookup(c store.Commitment) (string, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	text, ok := t.known[c]
	return text, ok
}

func (t *texts) add(more map[store.Commitment]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.Copy(t.known, more)
}

func (t *texts) replace(all map[store.Commitment]string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known = all
}

// drop forgets what was erased.
func (t *texts) drop(gone []store.Commitment) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range gone {
		delete(t.known, c)
	}
}
