package login_test

import (
	"context"
	"sync"

	"github.com/vaultpam/vaultpam/store"
)

// watched is a back end that counts reads of secrets and can hold them up.
type watched struct {
	store.Backend
	mu      sync.Mutex // guards the fields below
	secrets int        // reads of a factor's secret
	gate    chan struct{}
}

func (w *watched) Side(ctx context.Context, table store.SideTable, key []byte) ([]byte, error) {
	if table == store.SideSecrets && len(key) == len(store.UserID{}) {
		w.mu.Lock()
		w.secrets++
		gate := w.gate
		w.mu.Unlock()
		if gate != nil {
			<-gate
		}
	}
	return w.Backend.Side(ctx, table, key)
}

// hold keeps reads of secrets from going on until it is closed.
func (w *watched) hold() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gate, w.secrets = make(chan struct{}), 0
	return w.gate
}

func (w *watched) secretsRead() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.secrets
}
