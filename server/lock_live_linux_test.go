package server_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A live is one ssh that is logged in and goes on as long as it may.
type live struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	out    bytes.Buffer // both streams
	over   chan struct{}
	ended  time.Time
	status error
}

// identity writes a key and its certificate for carol, and returns the key's file.
func (d *drill) identity() string {
	d.t.Helper()
	dir := d.t.TempDir()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		d.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		d.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		d.t.Fatal(err)
	}
	r := must[api.CertificateResponse](d.site, d.carol, "POST", api.RouteCertificate.Path, api.CertificateRequest{PublicKey: publicLine(signer)})
	file := filepath.Join(dir, "id")
	for name, data := range map[string][]byte{file: pem.EncodeToMemory(block), file + "-cert.pub": []byte(r.Certificate + "\n")} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			d.t.Fatal(err)
		}
	}
	return file
}

// ssh is the system's ssh on its way to db1 through the relay.
func (d *drill) ssh(identity string, command ...string) *exec.Cmd {
	_, port, _ := strings.Cut(d.site.ssh, ":")
	return exec.CommandContext(d.t.Context(), "ssh", append([]string{
		"-F", "none", "-i", identity, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-p", port, string(d.login) + "+db1@127.0.0.1",
	}, command...)...)
}

// begin logs in and waits until the target has answered.
func (d *drill) begin(identity string) (*live, error) {
	l := &live{cmd: d.ssh(identity, "echo ready; exec cat"), over: make(chan struct{})}
	read, write := io.Pipe()
	var err error
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	l.cmd.Stdout, l.cmd.Stderr = write, write
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan struct{})
	go func() { // ends with the program
		said := sync.OnceFunc(func() { close(ready) })
		buf := make([]byte, 4096)
		for {
			n, err := read.Read(buf)
			l.out.Write(buf[:n])
			if bytes.Contains(l.out.Bytes(), []byte("ready")) || err != nil {
				said()
			}
			if err != nil {
				close(l.over)
				return
			}
		}
	}()
	go func() { // ends with the program
		l.status = l.cmd.Wait()
		l.ended = time.Now()
		write.Close()
	}()
	<-ready
	select {
	case <-l.over:
		return nil, fmt.Errorf("ssh ended: %w: %s", l.status, l.out.String())
	default:
		return l, nil
	}
}

// TestS37FiftySessionsEndWithALock: fifty people's worth of real sessions through
// the relay to a real sshd. One lock ends them within a second, each user reads why,
// and no certificate and no session comes after it.
func TestS37FiftySessionsEndWithALock(t *testing.T) {
	d := newDrill(t)
	const many, atOnce = 50, 5 // at a time, for sshd's MaxStartups and the relay's waiting room
	identity := d.identity()
	sessions := make([]*live, many)
	var starts sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		starts.Go(func() { // ends with next
			for i := range next {
				l, err := d.begin(identity)
				if err != nil {
					t.Error(err)
				}
				sessions[i] = l
			}
		})
	}
	for i := range many {
		next <- i
	}
	close(next)
	starts.Wait()
	if t.Failed() {
		t.FailNow()
	}
	size := d.node.Ledger().State().Next()
	begun := time.Now()
	lock := d.lock(api.LockUser, "carol")
	durable := time.Now()
	var took []time.Duration
	for _, l := range sessions {
		within(t, 10*time.Second, l.over, "the end of a session")
		took = append(took, l.ended.Sub(begun))
		if text := l.out.String(); strings.Count(text, "vaultpam: carol is locked since ") != 1 || !strings.Contains(text, "the session was closed") ||
			!strings.Contains(text, fmt.Sprintf("hint: ask an administrator; it is lock %d", lock.ID)) || strings.Contains(text, "laptop") {
			t.Errorf("the user reads:\n%s", text)
		}
		if l.cmd.ProcessState.ExitCode() != 255 {
			t.Errorf("ssh ended with %v", l.status)
		}
	}
	slices.Sort(took)
	t.Logf("%d live sessions: the lock was durable after %d ms; its users' ssh had ended after %d ms (first), %d ms (median), %d ms (last)",
		many, durable.Sub(begun).Milliseconds(), took[0].Milliseconds(), took[many/2].Milliseconds(), took[many-1].Milliseconds())
	if last := took[many-1]; last > time.Second {
		t.Errorf("the last session ended %v after the lock was asked for", last)
	}
	// The certificate is good for minutes, and no use.
	out, err := d.ssh(identity, "true").CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("vaultpam: carol is locked since ")) {
		t.Errorf("another session: %v\n%s", err, out)
	}
	d.refused(d.ask("POST", api.RouteCertificate.Path, d.carol.token, api.CertificateRequest{PublicKey: publicLine(newKey(t))}), 401)
	d.onlyEnds(size, many)
}

// onlyEnds waits until so many sessions have ended by the lock, and wants nothing to
// have been issued or started since.
func (d *drill) onlyEnds(from store.Index, many int) {
	d.t.Helper()
	for {
		changed := d.node.Ledger().Changed()
		ends := 0
		all, err := d.node.Ledger().Find(d.t.Context(), store.Query{From: from})
		if err != nil {
			d.t.Fatal(err)
		}
		for _, e := range all {
			switch v := e.Event.(type) {
			case *store.SessionEnded:
				ends++
				if v.Reason != store.EndedByLock {
					d.t.Errorf("session ended by %s", v.Reason)
				}
			case *store.CertificateIssued, *store.SessionStarted, *store.SignInSucceeded:
				d.t.Errorf("entry %d after the lock: %+v", e.Index, v)
			}
		}
		if ends == many {
			return
		}
		within(d.t, 10*time.Second, changed, "the end of a session")
	}
}

// TestS37NothingReachesTheTargetAfterALock: whoever is locked and keeps typing has no
// second left for it.
func TestS37NothingReachesTheTargetAfterALock(t *testing.T) {
	d := newDrill(t)
	typed := filepath.Join(t.TempDir(), "typed")
	if err := syscall.Mkfifo(typed, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := d.ssh(d.identity(), "while read -r line; do echo \"$line\"; done >"+typed)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	arrived, err := os.Open(typed) // once the program runs on the target
	if err != nil {
		t.Fatal(err)
	}
	defer arrived.Close()
	stopped := make(chan struct{})
	go func() { // ends when ssh has gone
		defer close(stopped)
		for {
			if _, err := fmt.Fprintln(stdin, time.Now().UnixNano()); err != nil {
				return
			}
		}
	}()
	lines := bufio.NewScanner(arrived)
	if !lines.Scan() {
		t.Fatal("nothing arrived")
	}
	last, n := lines.Text(), 1
	var over time.Time
	ended := make(chan struct{})
	go func() { // ends with the program on the target
		defer close(ended)
		for lines.Scan() {
			last = lines.Text()
			n++
		}
		over = time.Now()
	}()
	d.lock(api.LockTarget, "db1")
	locked := time.Now()
	within(t, 10*time.Second, ended, "the end of the program on the target")
	_ = cmd.Wait() // by the lock
	<-stopped
	var at int64
	if _, err := fmt.Sscan(last, &at); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d lines reached the target; the last was typed %d ms after the lock was answered, and the program on the target had ended after %d ms",
		n, time.Unix(0, at).Sub(locked).Milliseconds(), over.Sub(locked).Milliseconds())
	if late := time.Unix(0, at).Sub(locked); late > time.Second {
		t.Errorf("the target was reached %v after the lock", late)
	}
}
