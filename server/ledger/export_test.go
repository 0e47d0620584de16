package ledger

import (
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// Waiting returns how many commands wait for the writer.
func (l *Ledger) Waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Remembered returns how many texts the writer keeps in memory, after Close.
func (l *Ledger) Remembered() int {
	<-l.stopped
	return len(l.texts.known)
}

// SnapshotEvery sets after how many entries a snapshot is saved. It is called
// before the first command.
func (l *Ledger) SnapshotEvery(entries store.Index) { l.every = entries }

// KeepEvery returns a configuration in which a snapshot of the past is kept after
// so many entries, without rests between.
func KeepEvery(c Config, entries store.Index) Config {
	c.keepEvery, c.longestRest = entries, time.Nanosecond
	return c
}
