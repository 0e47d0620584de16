//go:build linux

package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// A talk is a session through the relay, and what its user saw of it.
type talk struct {
	live  chan struct{} // closed when something was shown
	ended chan struct{} // closed when the session is over; then the rest is set
	shown []byte        // standard output
	told  string        // standard error: what the relay says
	err   error
}

// talk opens a session in which everything that is said comes back, and keeps
// saying things until it is over.
func (h *house) talk(ctx context.Context) *talk {
	k := &talk{live: make(chan struct{}), ended: make(chan struct{})}
	go func() { // ends with the session
		defer close(k.ended)
		k.err = k.run(ctx, h)
	}()
	return k
}

func (k *talk) run(ctx context.Context, h *house) error {
	cert, err := h.carol.certificate(ctx, h.carol.client, h.userCA)
	if err != nil {
		return err
	}
	signer, err := ssh.NewCertSigner(cert, h.carol.key)
	if err != nil {
		return err
	}
	raw, err := client.DialRelay(ctx, h.ssh, "db1", patience)
	if err != nil {
		return err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	conn, channels, requests, err := ssh.NewClientConn(raw, "db1.pam:22", &ssh.ClientConfig{
		User: h.login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // whose relay it is, is not asked here
		BannerCallback:  func(text string) error { k.told += text; return nil },
	})
	if err != nil {
		return err
	}
	connection := ssh.NewClient(conn, channels, requests)
	defer connection.Close()
	session, err := connection.NewSession()
	if err != nil {
		return err
	}
	var told bytes.Buffer
	session.Stderr = &told
	err = k.echo(session)
	err = errors.Join(err, session.Wait()) // the session is over: Stderr is complete
	k.told += told.String()
	return err
}

// hurry is how many bytes are said without a pause.
const hurry = 256 << 10

// echo says a line, waits until it is shown, says the next.
func (k *talk) echo(session *ssh.Session) error {
	stdin, err := session.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := session.StdoutPipe()
	if err != nil {
		return err
	}
	if err := session.Start("cat"); err != nil {
		return err
	}
	buf := make([]byte, 4<<10)
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for i := 0; ; i++ {
		if len(k.shown) > hurry { // small disks are not to be filled by talking
			<-pause.C
		}
		line := fmt.Appendf(nil, "line %d of %s\n", i, bytes.Repeat([]byte{byte('a' + i%26)}, i%700))
		if _, err := stdin.Write(line); err != nil {
			return err
		}
		for want := len(k.shown) + len(line); len(k.shown) < want; {
			n, err := stdout.Read(buf)
			k.shown = append(k.shown, buf[:n]...)
			if err != nil {
				return err
			}
		}
		if i == 0 {
			close(k.live)
		}
	}
}

// wait waits until the session is over.
func (k *talk) wait(t *testing.T) {
	t.Helper()
	select {
	case <-k.ended:
	case <-time.After(patience):
		t.Fatal("the session does not end")
	}
}

// checkRecording holds what somebody saw against the recording, which in turn is
// held against the ledger: it has to begin with it (R6).
func (h *house) checkRecording(t *testing.T, id store.SessionID, shown []byte) {
	t.Helper()
	r, err := h.ledger.Recording(t.Context(), id)
	if len(shown) == 0 && client.IsKind(err, api.KindNotFound) {
		return // killed between the session's entry and the recording's first line
	}
	if err != nil {
		t.Errorf("recording of session %v: %v", id, err)
		return
	}
	var recorded []byte
	for _, c := range r.Channels {
		recorded = append(recorded, output(t, c.Data)...)
	}
	mustBegin(t, id, recorded, shown)
}

func mustBegin(t *testing.T, id store.SessionID, recorded, shown []byte) {
	t.Helper()
	if !bytes.HasPrefix(recorded, shown) {
		t.Errorf("session %v: of %d bytes that were shown, the recording has %d", id, len(shown), len(recorded))
	}
}

// checkBroken is checkRecording for a session whose recording could not be
// ended. It reports whether the ledger proves the recording all the same.
func (h *house) checkBroken(t *testing.T, id store.SessionID, shown []byte) bool {
	t.Helper()
	_, err := h.ledger.Recording(t.Context(), id)
	var bad *client.BadEntryError
	if !errors.As(err, &bad) {
		h.checkRecording(t, id, shown)
		return true
	}
	r, err := h.dana.client.Recording(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var recorded []byte
	for _, f := range r.Files {
		if strings.HasSuffix(f.Name, ".cast") {
			recorded = append(recorded, output(t, f.Data)...)
		}
	}
	mustBegin(t, id, recorded, shown)
	return false
}

// output returns the standard output in a channel's file.
func output(t *testing.T, file []byte) []byte {
	t.Helper()
	r, err := recording.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for e, err := range r.Events() {
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if e.Kind == recording.Output {
			out = append(out, e.Data...)
		}
	}
	return out
}
