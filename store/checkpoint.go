package store

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// A Checkpoint is a statement of the ledger's size and root hash. Signed, it is
// a C2SP signed-note whose text is a C2SP tlog-checkpoint: origin, size in
// decimal, root hash in base64, each on a line. The origin, also the name of
// the log key, is the server's permanent name with "/ledger" behind it.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Hash
}

// ErrCheckpoint is returned for a checkpoint that is malformed, of another
// origin, or not signed by the log key.
var ErrCheckpoint = errors.New("checkpoint does not verify")

// MaxCheckpoint bounds a signed checkpoint's bytes.
const MaxCheckpoint = 4 << 10

// Origin returns the checkpoint origin of the server with this name.
func Origin(name string) string { return name + "/ledger" }

// A CheckpointSigner signs checkpoints with the log key.
type CheckpointSigner struct {
	origin string
	hash   uint32
	key    ed25519.PrivateKey
}

// NewCheckpointSigner returns the signer of the ledger with this origin.
func NewCheckpointSigner(origin string, key ed25519.PrivateKey) (*CheckpointSigner, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, errors.New("log key: not an Ed25519 private key")
	}
	v, err := checkpointVerifier(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return &CheckpointSigner{origin: origin, hash: v.KeyHash(), key: key}, nil
}

// Name returns the origin. With KeyHash and Sign it makes a CheckpointSigner a
// note.Signer.
func (s *CheckpointSigner) Name() string { return s.origin }

// KeyHash returns the signed-note key hash of the log key.
func (s *CheckpointSigner) KeyHash() uint32 { return s.hash }

// Sign signs a note's text.
func (s *CheckpointSigner) Sign(msg []byte) ([]byte, error) {
	return ed25519.Sign(s.key, msg), nil
}

// Checkpoint returns the signed checkpoint of a tree.
func (s *CheckpointSigner) Checkpoint(t *Tree) ([]byte, error) {
	text := fmt.Sprintf("%s\n%d\n%s\n", s.origin, t.Size(), base64.StdEncoding.EncodeToString(t.root[:]))
	signed, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		return nil, fmt.Errorf("signing the checkpoint at %d: %w", t.Size(), err)
	}
	return signed, nil
}

// OpenCheckpoint verifies a signed checkpoint of the ledger with this origin
// against its log key. Signatures of others, such as witnesses, may follow.
func OpenCheckpoint(signed []byte, origin string, key ed25519.PublicKey) (Checkpoint, error) {
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes", ErrCheckpoint, len(signed))
	}
	v, err := checkpointVerifier(origin, key)
	if err != nil {
		return Checkpoint{}, err
	}
	n, err := note.Open(signed, note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: not signed by the log key of %s", ErrCheckpoint, clip(origin))
	}
	c, err := parseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != origin {
		return Checkpoint{}, fmt.Errorf("%w: origin %q, want %q", ErrCheckpoint, clip(c.Origin), clip(origin))
	}
	return c, nil
}

// parseCheckpoint accepts exactly what Checkpoint writes, and the extension
// lines that the specification allows behind it.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, fmt.Errorf("%w: want origin, size and root", ErrCheckpoint)
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] || size > maxTree {
		return Checkpoint{}, fmt.Errorf("%w: size %q", ErrCheckpoint, clip(lines[1]))
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(Hash{}) {
		return Checkpoint{}, fmt.Errorf("%w: root %q", ErrCheckpoint, clip(lines[2]))
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: Hash(root)}, nil
}

func checkpointVerifier(origin string, key ed25519.PublicKey) (note.Verifier, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, errors.New("log key: not an Ed25519 public key")
	}
	vkey, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		return nil, fmt.Errorf("log key of %q: %w", clip(origin), err)
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("log key of %q: %w", clip(origin), err)
	}
	return v, nil
}
