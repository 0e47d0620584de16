package ledger_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// childDir names, in its environment, the directory of a child of
// TestR1KilledWriter.
const childDir = "VAULTPAM_TEST_LEDGER_CHILD"

// issuers is how many ask for certificates at once.
const issuers = 8

// derived makes the same keys in the parent and in its children.
func derived(seed []byte) (ledger.Config, ssh.PublicKey, error) {
	bytesFor := func(label string) []byte {
		h := sha256.Sum256(append([]byte(label), seed...))
		return h[:]
	}
	c := ledger.KeepEvery(ledger.Config{LogKey: ed25519.NewKeyFromSeed(bytesFor("log")), SnapshotKey: bytesFor("snapshot"), Now: time.Now}, 100)
	var keys [3]*ca.Key
	for i, label := range []string{"user", "target", "subject"} {
		var err error
		if keys[i], err = ca.GenerateKey(bytes.NewReader(bytesFor(label))); err != nil {
			return c, nil, err
		}
	}
	var err error
	if c.UserCA, err = ca.NewAuthority(ca.User, keys[0]); err == nil {
		c.TargetCA, err = ca.NewAuthority(ca.Target, keys[1])
	}
	return c, keys[2].PublicKey(), err
}

// child issues certificates until it is killed, and tells of each on standard
// output after it has it: serial, and hash of the signed bytes.
func child(dir string) int {
	err := issueForEver(dir)
	fmt.Fprintln(os.Stderr, "child:", err)
	return 1
}

func issueForEver(dir string) error {
	seed, err := os.ReadFile(filepath.Join(dir, "seed"))
	if err != nil {
		return err
	}
	c, subject, err := derived(seed)
	if err != nil {
		return err
	}
	if c.Backend, err = bolt.Open(filepath.Join(dir, "ledger.db")); err != nil {
		return err
	}
	l, err := ledger.Open(context.Background(), c)
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range issuers { // they end with the process
		go func() {
			for {
				cert, _, err := l.Issue(context.Background(), access.IssueUserCertificate{
					By: byToken(sha256.Sum256(seed)), Key: subject, Nonce: random32(),
				})
				if err == nil {
					// One write is one line, whoever else writes.
					_, err = fmt.Fprintf(os.Stdout, "%d %x\n", cert.Serial, ca.Hash(cert))
				}
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// An ack is a certificate that somebody has.
type ack struct {
	serial store.Serial
	hash   store.Hash
}

// TestR1KilledWriter kills a process that issues certificates, again and again,
// and holds the ledger against what had been handed out: no certificate is lost
// and none is without its entry (R1, R2, S8). What it kept of its past makes no
// other past.
func TestR1KilledWriter(t *testing.T) {
	kills := 20
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		kills = 500
	}
	h := &house{TB: t, dir: t.TempDir()}
	seed := random(32)
	if err := os.WriteFile(filepath.Join(h.dir, "seed"), seed, 0o600); err != nil {
		t.Fatal(err)
	}
	h.begin(seed)
	acks := map[store.Serial]store.Hash{}
	for range kills {
		for _, a := range h.runAndKill(rand.IntN(300)) {
			if _, twice := acks[a.serial]; twice {
				t.Fatalf("serial %d was handed out twice", a.serial)
			}
			acks[a.serial] = a.hash
		}
		h.check()
	}
	l := h.open()
	issued := 0
	for i := range l.State().Next() {
		e, _, err := l.Entry(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		cert, ok := e.Event.(*store.CertificateIssued)
		if !ok {
			continue
		}
		issued++
		if hash, ok := acks[store.Serial(i)]; ok && hash != cert.TBS {
			t.Errorf("certificate %d is another than its entry", i)
		}
		delete(acks, store.Serial(i))
	}
	for serial := range acks {
		t.Errorf("certificate %d was handed out and is not in the ledger", serial)
	}
	t.Logf("%d kills, %d certificates in the ledger", kills, issued)
	if issued == 0 {
		t.Error("nothing was issued")
	}
	r := readAll(t, h.backend)
	for range 2 {
		for range 5 {
			r.sameAt(t, l, r.entries[rand.IntN(len(r.entries))].Time)
		}
		settle(t, l)
	}
}

// begin makes a ledger in which somebody is signed in with the seed's token.
func (h *house) begin(seed []byte) {
	h.Helper()
	var err error
	if h.config, h.subject, err = derived(seed); err != nil {
		h.Fatal(err)
	}
	b, err := bolt.Create(h.path())
	if err != nil {
		h.Fatal(err)
	}
	h.config.Backend = b
	first := birth(h.config)
	if err := ledger.Create(context.Background(), h.config, first); err != nil {
		h.Fatal(err)
	}
	if err := b.Close(); err != nil {
		h.Fatal(err)
	}
	l := h.open()
	defer h.close(l)
	do(h, l, access.Enroll{Invitation: first.Administrator.Invite.Token, Codes: random32(), Factor: access.NewFactor{Step: 1}, Holder: holder(sha256.Sum256(seed))})
}

// runAndKill runs a child until it has told of n certificates, kills it and
// returns all that it told of. With n = 0 it dies at its start.
func (h *house) runAndKill(n int) []ack {
	h.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+h.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	kill := sync.OnceFunc(func() { _ = cmd.Process.Kill() }) // what is dead already is fine
	defer kill()
	if n == 0 {
		kill()
	}
	acks := readAcks(h, out, func(read int) {
		if read == n {
			kill()
		}
	})
	err = cmd.Wait()
	if len(acks) < n || cmd.ProcessState.Exited() {
		h.Fatalf("the child ended by itself after %d certificates: %v\n%s", len(acks), err, &stderr)
	}
	return acks
}

func readAcks(t testing.TB, r io.Reader, each func(int)) []ack {
	t.Helper()
	var acks []ack
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return acks // a line that was cut off was not told
		}
		var a ack
		var text string
		if _, err := fmt.Sscanf(line, "%d %s", &a.serial, &text); err != nil {
			t.Fatalf("the child says %q", line)
		}
		if n, err := hex.Decode(a.hash[:], []byte(text)); err != nil || n != len(a.hash) {
			t.Fatalf("the child says %q", line)
		}
		acks = append(acks, a)
		each(len(acks))
	}
}
