package server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A frameReader reads what a frameWriter wrote, and nothing else: io.EOF comes
// after a trailer that agrees with everything before it. It holds one frame.
type frameReader struct {
	r      *bufio.Reader
	sum    hash.Hash
	header backupHeader
	end    backupTrailer // after io.EOF
	counts backupCounts
	last   frameKind
	buf    []byte
}

func newFrameReader(r io.Reader) (*frameReader, error) {
	f := &frameReader{r: bufio.NewReader(r), sum: sha256.New()}
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(f.r, magic); err != nil {
		return nil, cutOff(err)
	}
	if string(magic) != backupMagic {
		return nil, damaged("it does not begin as a backup of this version does")
	}
	f.sum.Write(magic)
	kind, body, err := f.read()
	if err != nil {
		return nil, err
	}
	if kind != frameHeader {
		return nil, damaged("it has no header")
	}
	if err := decodeStrict(body, &f.header); err != nil {
		return nil, damaged("its header: %v", err)
	}
	if h := f.header; h.Holds != holdsLedger && h.Holds != holdsKeys {
		return nil, damaged("it holds %.40q, which this program does not know", h.Holds)
	}
	f.last = frameHeader
	return f, nil
}

// next returns the next frame; its body is good until the call after it.
func (f *frameReader) next() (frameKind, []byte, error) {
	if f.last == frameEnd {
		return 0, nil, io.EOF
	}
	var before []byte
	if kind, err := f.r.Peek(1); err == nil && frameKind(kind[0]) == frameEnd {
		before = f.sum.Sum(nil)
	}
	kind, body, err := f.read()
	if err != nil {
		return 0, nil, err
	}
	if !f.follows(kind) {
		return 0, nil, damaged("a part %.8q after one %.8q", string(kind), string(f.last))
	}
	f.last = kind
	f.counts.add(kind, body)
	if kind == frameEnd {
		return 0, nil, f.finish(body, before)
	}
	return kind, body, nil
}

// follows reports whether a frame of this kind may come after the last.
func (f *frameReader) follows(kind frameKind) bool {
	const order = "HCSEFT"
	if f.header.Holds == holdsKeys && !bytes.ContainsRune([]byte("FDT"), rune(kind)) {
		return false
	}
	if kind == frameData {
		return f.last == frameFile || f.last == frameData
	}
	if f.last == frameData {
		return kind == frameFile || kind == frameEnd
	}
	was, is := bytes.IndexByte([]byte(order), byte(f.last)), bytes.IndexByte([]byte(order), byte(kind))
	switch {
	case is < 0, is < was:
		return false
	case is == was:
		return kind == frameSide || kind == frameEntry || kind == frameFile
	case f.last == frameHeader && f.header.Holds == holdsLedger:
		return kind == frameConfig
	}
	return true
}

func (f *frameReader) finish(body, sum []byte) error {
	if err := decodeStrict(body, &f.end); err != nil {
		return damaged("its trailer: %v", err)
	}
	switch t := f.end; {
	case t.SHA256 != hex.EncodeToString(sum):
		return damaged("its content is not what was written")
	case t.backupCounts != f.counts:
		return damaged("it should have %d entries, %d rows and %d files, and has %d, %d and %d", t.Entries, t.Rows, t.Files, f.counts.Entries, f.counts.Rows, f.counts.Files)
	case f.counts.Entries != f.header.Size:
		return damaged("it has %d entries, and its header says %d", f.counts.Entries, f.header.Size)
	}
	if _, err := f.r.ReadByte(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("something is behind its end")
		}
		return damaged("%v", err)
	}
	return io.EOF
}

func (f *frameReader) read() (frameKind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(f.r, head[:]); err != nil {
		return 0, nil, cutOff(err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, damaged("a part of %d bytes", n)
	}
	if uint32(cap(f.buf)) < n {
		f.buf = make([]byte, n)
	}
	body := f.buf[:n]
	if _, err := io.ReadFull(f.r, body); err != nil {
		return 0, nil, cutOff(err)
	}
	f.sum.Write(head[:])
	f.sum.Write(body)
	return frameKind(head[0]), body, nil
}

// cutOff is an end where none may be. Other errors, those of age and zstd among
// them, are passed on.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCutOff
	}
	return fmt.Errorf("reading the backup: %w", err)
}

func decodeStrict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one value")
	}
	return nil
}
