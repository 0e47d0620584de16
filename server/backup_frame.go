package server

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// A backup, once it is decrypted and unpacked, is the line backupMagic and then
// frames: one byte of kind, the length of the body (4 bytes, big-endian, at most
// maxFrame) and the body. Frames come in the order of the kinds below; a frame
// that is anywhere else, is missing or is twice makes the backup damaged.
// docs/backup.md describes each body.
const (
	backupMagic = "VaultPAM backup 1\n"
	maxFrame    = 1 << 20
)

type frameKind byte

const (
	frameHeader frameKind = 'H' // JSON: backupHeader; the first, once
	frameConfig frameKind = 'C' // the configuration file; once, of a ledger
	frameSide   frameKind = 'S' // a row of the side table
	frameEntry  frameKind = 'E' // an entry's stored bytes; as many as the header says
	frameFile   frameKind = 'F' // JSON: backupFile; the data frames behind it are its content
	frameData   frameKind = 'D'
	frameEnd    frameKind = 'T' // JSON: backupTrailer; the last, once
)

// What a backup holds.
const (
	holdsLedger = "ledger"
	holdsKeys   = "keys"
)

// A backupHeader says what a backup is of. Size and Checkpoint are of a ledger's
// alone: the signed checkpoint is the moment that the backup is consistent with.
type backupHeader struct {
	Holds      string `json:"holds"`
	Name       string `json:"name"`
	Made       string `json:"made"` // RFC 3339
	Size       uint64 `json:"size,omitempty"`
	Checkpoint string `json:"checkpoint,omitempty"`
}

// A backupFile begins a file. Ended is the index of the session.ended whose
// recording it is of.
type backupFile struct {
	Name  string `json:"name"` // with slashes, below the data directory
	Ended uint64 `json:"ended,omitempty"`
}

// backupCounts are how much of everything there is.
type backupCounts struct {
	Entries uint64 `json:"entries"`
	Rows    uint64 `json:"rows"`
	Files   uint64 `json:"files"`
	Bytes   uint64 `json:"bytes"` // of files
}

func (c *backupCounts) add(kind frameKind, body []byte) {
	switch kind {
	case frameEntry:
		c.Entries++
	case frameSide:
		c.Rows++
	case frameFile:
		c.Files++
	case frameData:
		c.Bytes += uint64(len(body))
	}
}

// A backupTrailer ends a backup. SHA256 is of everything before its frame, in
// hexadecimal. Signature is the log key's, over signedBackup of it: whoever can
// write where backups lie knows the recipient too, and could make one up with
// another configuration. A backup of keys has none: keys are held to the ledger.
type backupTrailer struct {
	backupCounts
	SHA256    string `json:"sha256"`
	Signature []byte `json:"signature,omitempty"`
}

// signedBackup is what the log key signs. No checkpoint begins like it: a
// server's name holds no space.
func signedBackup(sha256 string) []byte { return []byte("VaultPAM backup\x00" + sha256) }

// errCutOff is what a backup is that has no trailer.
var errCutOff = errors.New("the backup is cut off: take another copy of it")

func damaged(format string, args ...any) error {
	return fmt.Errorf("the backup is damaged: %s", fmt.Sprintf(format, args...))
}

// A frameWriter writes frames and counts them.
type frameWriter struct {
	w      io.Writer
	sum    hash.Hash
	counts backupCounts
}

func newFrameWriter(w io.Writer, h backupHeader) (*frameWriter, error) {
	f := &frameWriter{sum: sha256.New()}
	f.w = io.MultiWriter(w, f.sum)
	if _, err := io.WriteString(f.w, backupMagic); err != nil {
		return nil, err
	}
	return f, f.json(frameHeader, h)
}

func (f *frameWriter) write(kind frameKind, body []byte) error {
	if len(body) > maxFrame {
		return fmt.Errorf("%d bytes are more than a backup holds in one piece (%d)", len(body), maxFrame)
	}
	f.counts.add(kind, body)
	head := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(len(body)))
	if _, err := f.w.Write(head); err != nil {
		return err
	}
	_, err := f.w.Write(body)
	return err
}

func (f *frameWriter) json(kind frameKind, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.write(kind, body)
}

// file writes a file to its end.
func (f *frameWriter) file(h backupFile, r io.Reader) error {
	if err := f.json(frameFile, h); err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := f.write(frameData, buf[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// end writes the trailer, signed where there is a key.
func (f *frameWriter) end(key ed25519.PrivateKey) error {
	t := backupTrailer{backupCounts: f.counts, SHA256: hex.EncodeToString(f.sum.Sum(nil))}
	if key != nil {
		t.Signature = ed25519.Sign(key, signedBackup(t.SHA256))
	}
	return f.json(frameEnd, t)
}
