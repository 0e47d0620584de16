package server

import (
	"errors"
	"io"
)

// ReadFrames reads what a backup is once it is decrypted and unpacked, and
// returns how many frames there were before an error, which is nil at the end.
func ReadFrames(r io.Reader) (int, error) {
	f, err := newFrameReader(r)
	if err != nil {
		return 0, err
	}
	for n := 0; ; n++ {
		kind, body, err := f.next()
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err == nil && kind == frameSide {
			_, err = decodeRow(body)
		}
		if err != nil {
			return n, err
		}
	}
}
