package bolt_test

import (
	"bufio"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
	"github.com/vaultpam/vaultpam/store/storetest"
)

const killChild = "VAULTPAM_TEST_KILL"

// TestR1Kill kills a process that appends and prints what was acknowledged, at
// a random acknowledgement, again and again on one file. Nothing acknowledged
// is missing, and what is there is whole.
func TestR1Kill(t *testing.T) {
	if dir := os.Getenv(killChild); dir != "" {
		appendForEver(t, dir)
	}
	kills, left := campaign(5, 500), 0
	for range kills {
		dir := t.TempDir()
		logKey, acknowledged := runAndKill(t, dir, 1+rand.IntN(60))
		b, err := bolt.Open(filepath.Join(dir, "ledger.db"))
		if err != nil {
			t.Fatal(err)
		}
		if b.Backlog() > 0 {
			left++
		}
		head, err := b.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if head.Size < acknowledged {
			t.Errorf("%d entries, %d were acknowledged", head.Size, acknowledged)
		}
		err = storetest.Check(t.Context(), b, store.Origin("pam.example.eu"), logKey)
		if err := errors.Join(err, b.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, after %d of them the journal held what the file did not", kills, left)
	if left == 0 {
		t.Error("no kill left anything in the journal alone")
	}
}

// runAndKill starts the child, kills it after so many acknowledgements and
// returns the log key and the size that it acknowledged last.
func runAndKill(t *testing.T, dir string, after int) (ed25519.PublicKey, uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), killChild+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var key, line string
	var size uint64
	for lines := bufio.NewScanner(out); lines.Scan(); after-- {
		line = lines.Text()
		if _, err := fmt.Sscanf(line, "%d %s", &size, &key); err != nil {
			t.Errorf("child says %q: %v", line, err)
		}
		if after == 0 {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("child was not killed: %v, last line %q", err, line)
	}
	logKey, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	return logKey, size
}

// appendForEver prints the size and the log key after every append.
func appendForEver(t *testing.T, dir string) {
	h := storetest.NewHistory(t)
	b := open(t, dir)
	for {
		batch := h.Batch(t, 7)
		if err := b.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		h.Appended(t, batch)
		if _, err := fmt.Fprintf(os.Stdout, "%d %x\n", h.Head().Size, h.LogKey); err != nil {
			t.Fatal(err) // the parent is gone
		}
	}
}
