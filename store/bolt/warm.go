package bolt

import (
	"os"
)

const (
	// warmPiece is how much of the file is read at a time.
	warmPiece = 1 << 20
	// warmShare is which part of the machine's memory the file may take up.
	warmShare = 4
)

// A warmer reads a file into the system's cache. Opening has just had the system
// forget the file, and bbolt maps it with the advice that reading ahead is of no
// use: without a warmer every page of the first questions, and of a long fold,
// waits for the disk by itself.
type warmer struct {
	stop chan struct{} // closed to end it
	over chan struct{} // closed when it has ended
}

// warm begins to read the file from its end, where most of what is new lies. What
// can't be read is left to whoever needs it.
func warm(path string) *warmer {
	w := &warmer{stop: make(chan struct{}), over: make(chan struct{})}
	go func() { // ends by itself, and with the Backend
		defer close(w.over)
		f, err := os.Open(path)
		if err != nil {
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return
		}
		w.read(f, info.Size(), max(0, info.Size()-memory()/warmShare))
	}()
	return w
}

func (w *warmer) read(f *os.File, from, to int64) {
	piece := make([]byte, warmPiece)
	for from > to {
		n := min(from-to, warmPiece)
		from -= n
		select {
		case <-w.stop:
			return
		default:
		}
		if _, err := f.ReadAt(piece[:n], from); err != nil {
			return
		}
	}
}

func (w *warmer) end() {
	close(w.stop)
	<-w.over
}
