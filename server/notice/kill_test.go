package notice_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/ledger"
	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// What a child of TestKilledBetweenSendingAndMarking finds in its environment: the
// ledger's directory, the mail server, and at which mark it dies (0: at none).
const (
	childDir  = "VAULTPAM_TEST_NOTICE_CHILD"
	childMail = "VAULTPAM_TEST_NOTICE_MAIL"
	childMark = "VAULTPAM_TEST_NOTICE_MARK"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		err := notifyForEver(dir)
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// derived makes the same keys in the parent and in its children.
func derived(seed []byte) (ledger.Config, error) {
	bytesFor := func(label string) []byte {
		h := sha256.Sum256(append([]byte(label), seed...))
		return h[:]
	}
	c := ledger.Config{LogKey: ed25519.NewKeyFromSeed(bytesFor("log")), SnapshotKey: bytesFor("snapshot"), Now: time.Now}
	var keys [2]*ca.Key
	for i, label := range []string{"user", "target"} {
		var err error
		if keys[i], err = ca.GenerateKey(bytes.NewReader(bytesFor(label))); err != nil {
			return c, err
		}
	}
	var err error
	if c.UserCA, err = ca.NewAuthority(ca.User, keys[0]); err == nil {
		c.TargetCA, err = ca.NewAuthority(ca.Target, keys[1])
	}
	return c, err
}

// A mortal back end is killed at a mark: a mail was taken, and the write that says
// so does not begin.
type mortal struct {
	store.Backend
	left int // marks until then; 0 for never. Of the sender's goroutine alone.
}

func (m *mortal) WriteSide(ctx context.Context, writes []store.SideWrite) error {
	marks := slices.ContainsFunc(writes, func(w store.SideWrite) bool {
		return w.Table == store.SideNotices && w.Value == nil && bytes.HasPrefix(w.Key, []byte("dm"))
	})
	if marks && m.left > 0 {
		if m.left--; m.left == 0 {
			self, err := os.FindProcess(os.Getpid())
			if err == nil {
				err = self.Kill()
			}
			if err != nil {
				return err
			}
			select {} // nobody is left to tell
		}
	}
	return m.Backend.WriteSide(ctx, writes)
}

// notifyForEver sends what there is to send, says so, and waits to be killed.
func notifyForEver(dir string) error {
	seed, err := os.ReadFile(filepath.Join(dir, "seed"))
	if err != nil {
		return err
	}
	left, err := strconv.Atoi(os.Getenv(childMark))
	if err != nil {
		return err
	}
	c, err := derived(seed)
	if err != nil {
		return err
	}
	b, err := bolt.Open(filepath.Join(dir, "ledger.db"))
	if err != nil {
		return err
	}
	c.Backend = &mortal{Backend: b, left: left}
	l, err := ledger.Open(context.Background(), c)
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(os.Getenv(childMail), ":")
	m, err := notice.NewMail(notice.MailConfig{Host: host, Port: port, TLS: notice.NoneOnLoopback, From: mailFrom, Server: serverName})
	if err != nil {
		return err
	}
	n, err := notice.New(context.Background(), notice.Config{Ledger: l, Name: serverName, Mail: m, Key: seed, Now: time.Now, Random: rand.Reader})
	if err != nil {
		return err
	}
	n.Hurry(10*time.Millisecond, 50*time.Millisecond)
	failed := make(chan error)
	go func() { failed <- n.Run(context.Background()) }() // ends with the process
	tick := time.NewTicker(5 * time.Millisecond)
	for {
		select {
		case err := <-failed:
			return errors.Join(errors.New("the notices ended"), err)
		case <-tick.C:
		}
		if done, err := settled(b, l.State().Next()); err != nil {
			return err
		} else if done {
			if _, err := fmt.Fprintln(os.Stdout, "settled"); err != nil { // to whoever kills this process
				return err
			}
			return <-failed
		}
	}
}

// settled reports whether all entries were looked at and nothing is to be sent.
func settled(b store.Backend, next store.Index) (bool, error) {
	cursor, err := b.Side(context.Background(), store.SideNotices, []byte("cursor"))
	if err != nil || !bytes.Equal(cursor, binary.BigEndian.AppendUint64(nil, uint64(next))) {
		return false, err
	}
	for _, err := range b.SideAll(context.Background(), store.SideNotices, []byte("d")) {
		return false, err
	}
	return true, nil
}

// runChild has a child send until it dies at its nth mark, or for 0 until nothing
// waits any more.
func (h *house) runChild(p *post, mark int) {
	h.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+h.dir, childMail+"="+p.address.String(), childMark+"="+strconv.Itoa(mark))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }) // which is then not what it was to say
	said := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = true
		_ = cmd.Process.Kill() // it waits for that
	}
	err = cmd.Wait()
	if !late.Stop() || cmd.ProcessState.Exited() || said != (mark == 0) {
		h.Fatalf("the child that was to die at mark %d: settled %v, %v\n%s", mark, said, err, &stderr)
	}
}

// TestKilledBetweenSendingAndMarking: a real process with a real mail server is
// killed with SIGKILL when a mail was taken and before that is written down. The
// next one sends that mail again, byte for byte and so under the same Message-ID,
// and goes on with the others: none is lost, and none that was marked comes twice.
func TestKilledBetweenSendingAndMarking(t *testing.T) {
	kills := 4
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		kills = 100
	}
	p := newPost(t, inTheClear)
	seed := random(32)
	config, err := derived(seed)
	if err != nil {
		t.Fatal(err)
	}
	h := buildWith(t, config)
	if err := os.WriteFile(filepath.Join(h.dir, "seed"), seed, 0o600); err != nil {
		t.Fatal(err)
	}
	h.key, h.mail = seed, newMail(t, notice.MailConfig{Host: "127.0.0.1", Port: "9", TLS: notice.NoneOnLoopback, From: mailFrom, Server: serverName})
	h.follow() // the cursor is there
	var want, got []letter
	for i := range kills {
		// Two people more each time: the first one's mail is marked, or comes again
		// from the kill before; the child dies with the next.
		for j := range 2 {
			name := fmt.Sprintf("user%d-%d", i, j)
			h.do(addUser(name, name+"@example.eu"))
			want = append(want, letter{to: name + "@example.eu"})
		}
		h.close()
		h.runChild(p, 2)
		h.open()
	}
	h.close()
	h.runChild(p, 0)
	got = p.taken()
	times := map[string][]letter{}
	for _, l := range got {
		times[l.to] = append(times[l.to], l)
	}
	twice := 0
	for _, w := range want {
		all := times[w.to]
		switch {
		case len(all) == 0:
			t.Errorf("the mail to %s is lost", w.to)
		case len(all) == 2 && bytes.Equal(all[0].data, all[1].data) && messageID(t, all[0]) == messageID(t, all[1]):
			twice++
		case len(all) > 1:
			t.Errorf("%d mails to %s, the first two\n%s\n%s", len(all), w.to, all[0].data, all[1].data)
		}
		delete(times, w.to)
	}
	if len(times) > 0 || twice != kills {
		t.Errorf("%d mails came twice after %d kills; nobody asked for %v", twice, kills, times)
	}
	// What a settled process leaves is nothing to send.
	h.runChild(p, 0)
	p.nothing()
	h.open()
}

func messageID(t *testing.T, l letter) string {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(l.data))
	if err != nil || m.Header.Get("Message-Id") == "" {
		t.Fatalf("no Message-ID (%v) in\n%s", err, l.data)
	}
	return m.Header.Get("Message-Id")
}

// taken returns what came so far.
func (p *post) taken() []letter {
	var all []letter
	for {
		select {
		case l := <-p.mails:
			all = append(all, l)
		default:
			return all
		}
	}
}
