package store_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/vaultpam/vaultpam/store"
)

const origin = "pam.example.eu/ledger"

// logKey returns a key that is the same in every run, for golden files.
func logKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func signer(t testing.TB, origin string, key ed25519.PrivateKey) *store.CheckpointSigner {
	t.Helper()
	s, err := store.NewCheckpointSigner(origin, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signText signs any text as a note of the log key.
func signText(t testing.TB, s note.Signer, text string) []byte {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func TestCheckpointGolden(t *testing.T) {
	s := signer(t, origin, logKey())
	var all strings.Builder
	for _, size := range []int{0, 1, 2, 1000} {
		tree, _ := buildTree(t, size)
		signed, err := s.Checkpoint(tree)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n", signed)
		got, err := store.OpenCheckpoint(signed, origin, public(logKey()))
		if err != nil {
			t.Fatal(err)
		}
		if want := (store.Checkpoint{Origin: origin, Size: uint64(size), Root: tree.Root()}); got != want {
			t.Errorf("checkpoint %+v, want %+v", got, want)
		}
	}
	golden(t, "checkpoints.golden", all.String())
}

// TestCheckpointFormat reads a checkpoint as any C2SP verifier does: with
// nothing but the verifier key, and line by line.
func TestCheckpointFormat(t *testing.T) {
	tree, _ := buildTree(t, 5)
	signed, err := signer(t, origin, logKey()).Checkpoint(tree)
	if err != nil {
		t.Fatal(err)
	}
	vkey, err := note.NewEd25519VerifierKey(origin, public(logKey()))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(n.Text, "\n")
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(lines) != 4 || lines[0] != origin || lines[1] != "5" || store.Hash(root) != tree.Root() || lines[3] != "" {
		t.Errorf("text %q, error %v", n.Text, err)
	}
	// The checksum database's own parser wants its origin and is otherwise the same.
	parsed, err := tlog.ParseTree([]byte("go.sum database tree" + strings.TrimPrefix(n.Text, origin)))
	if err != nil || parsed.N != 5 || store.Hash(parsed.Hash) != tree.Root() {
		t.Errorf("tlog reads %+v, error %v", parsed, err)
	}
}

func TestS30CheckpointRefused(t *testing.T) {
	tree, _ := buildTree(t, 3)
	good, err := signer(t, origin, logKey()).Checkpoint(tree)
	if err != nil {
		t.Fatal(err)
	}
	_, otherKey, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	byOther, err := signer(t, origin, otherKey).Checkpoint(tree)
	if err != nil {
		t.Fatal(err)
	}
	root := tree.Root()
	hash := base64.StdEncoding.EncodeToString(root[:])
	s := signer(t, origin, logKey())
	for name, signed := range map[string][]byte{
		"nothing":         nil,
		"other key":       byOther,
		"unsigned":        good[:bytes.Index(good, []byte("\n\n"))+2],
		"too long":        append(bytes.Clone(good), bytes.Repeat([]byte("— x AAAAAAAA\n"), store.MaxCheckpoint/10)...),
		"other origin":    signText(t, s, "other.example.eu/ledger\n3\n"+hash+"\n"),
		"no origin":       signText(t, s, "\n3\n"+hash+"\n"),
		"leading zero":    signText(t, s, origin+"\n03\n"+hash+"\n"),
		"plus":            signText(t, s, origin+"\n+3\n"+hash+"\n"),
		"negative":        signText(t, s, origin+"\n-3\n"+hash+"\n"),
		"huge":            signText(t, s, origin+"\n18446744073709551615\n"+hash+"\n"),
		"no root":         signText(t, s, origin+"\n3\n"),
		"short root":      signText(t, s, origin+"\n3\n"+hash[:40]+"\n"),
		"loose base64":    signText(t, s, origin+"\n3\n"+hash[:42]+"x=\n"),
		"unpadded base64": signText(t, s, origin+"\n3\n"+strings.TrimRight(hash, "=")+"\n"),
	} {
		if c, err := store.OpenCheckpoint(signed, origin, public(logKey())); !errors.Is(err, store.ErrCheckpoint) || c != (store.Checkpoint{}) {
			t.Errorf("%s: %+v, error %v, want ErrCheckpoint", name, c, err)
		}
	}
	if _, err := store.OpenCheckpoint(good, "other.example.eu/ledger", public(logKey())); !errors.Is(err, store.ErrCheckpoint) {
		t.Errorf("asked for another origin: error %v, want ErrCheckpoint", err)
	}
	if _, err := store.OpenCheckpoint(good, origin, nil); err == nil {
		t.Error("verified without a key")
	}
	if _, err := store.NewCheckpointSigner(origin, nil); err == nil {
		t.Error("a signer without a key")
	}
	if _, err := store.NewCheckpointSigner("", logKey()); err == nil {
		t.Error("a signer without an origin")
	}
}

func TestCheckpointExtensions(t *testing.T) {
	tree, _ := buildTree(t, 3)
	root := tree.Root()
	text := origin + "\n3\n" + base64.StdEncoding.EncodeToString(root[:]) + "\nextension\n"
	_, witness, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer(t, "witness.example", witness), signer(t, origin, logKey()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := store.OpenCheckpoint(signed, origin, public(logKey()))
	if err != nil || c.Size != 3 || c.Root != tree.Root() {
		t.Errorf("with an extension line and a witness: %+v, error %v", c, err)
	}
}

// FuzzOpenCheckpoint replaces a part of a signed checkpoint: it verifies only
// where the signed text is still the same.
func FuzzOpenCheckpoint(f *testing.F) {
	tree, _ := buildTree(f, 1000)
	signed, err := signer(f, origin, logKey()).Checkpoint(tree)
	if err != nil {
		f.Fatal(err)
	}
	want, err := store.OpenCheckpoint(signed, origin, public(logKey()))
	if err != nil {
		f.Fatal(err)
	}
	for at := range len(signed) {
		f.Add(uint16(at), uint16(1), []byte{signed[at] ^ 1})
		f.Add(uint16(at), uint16(0), []byte("\n"))
		f.Add(uint16(at), uint16(1), []byte{})
	}
	f.Fuzz(func(t *testing.T, at, cut uint16, insert []byte) {
		from := min(int(at), len(signed))
		to := min(from+int(cut), len(signed))
		changed := append(append(bytes.Clone(signed[:from]), insert...), signed[to:]...)
		got, err := store.OpenCheckpoint(changed, origin, public(logKey()))
		if err != nil {
			return
		}
		text := signed[:bytes.LastIndex(signed, []byte("\n\n"))+2]
		if !bytes.HasPrefix(changed, text) || got != want {
			t.Fatalf("verified as %+v:\n%s", got, changed)
		}
	})
}
