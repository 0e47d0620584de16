package client_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/vaultpam/vaultpam/client"
)

// A ring is a keyring in memory. mu guards its secrets.
type ring struct {
	mu      sync.Mutex
	secrets map[string]string
	err     error
}

func (r *ring) Set(service, user, secret string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.secrets[service+" "+user] = secret
	return nil
}

func (r *ring) Get(service, user string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	secret, ok := r.secrets[service+" "+user]
	if !ok {
		return "", errors.New("secret not found")
	}
	return secret, r.err
}

func (r *ring) Delete(service, user string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.secrets, service+" "+user)
	return r.err
}

func TestSessionIsKept(t *testing.T) {
	broken := &ring{secrets: map[string]string{}, err: errors.New("no session bus")}
	for name, tt := range map[string]struct {
		ring   client.Keyring
		inFile bool
	}{
		"in a file":                     {nil, true},
		"in the keyring":                {&ring{secrets: map[string]string{}}, false},
		"in a file, the keyring broken": {broken, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t, tt.ring)
			if _, err := h.Session(t.Context()); !errors.Is(err, client.ErrNotSignedIn) {
				t.Errorf("before: got %v, want ErrNotSignedIn", err)
			}
			if _, err := h.SaveSession(t.Context(), testSession()); err != nil {
				t.Fatal(err)
			}
			got, err := h.Session(t.Context())
			if err != nil || !bytes.Equal(got.Token, testToken) || !got.Key.Equal(testSession().Key) {
				t.Errorf("got %q (%v)", got, err)
			}
			file, err := os.ReadFile(filepath.Join(h.Dir(), "session"))
			if err != nil {
				t.Fatal(err)
			}
			secret := base64.StdEncoding.EncodeToString(append(slices.Clone(testToken), testSession().Key.Seed()...))
			if got := bytes.Contains(file, []byte(secret)); got != tt.inFile {
				t.Errorf("in the file: %v, want %v", got, tt.inFile)
			}
			checkPrivate(t, h.Dir())
			if err := h.ForgetSession(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := h.Session(t.Context()); !errors.Is(err, client.ErrNotSignedIn) {
				t.Errorf("after: got %v, want ErrNotSignedIn", err)
			}
			if r, ok := tt.ring.(*ring); ok && len(r.secrets) != 0 {
				t.Errorf("%d secrets stayed in the keyring", len(r.secrets))
			}
		})
	}
}

func TestShortTokensAreNotKept(t *testing.T) {
	h := newHome(t, nil)
	if _, err := h.SaveSession(t.Context(), client.Session{Token: []byte("short")}); err == nil {
		t.Error("a short token was kept")
	}
	if _, err := os.Stat(h.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

// A hungRing waits for somebody who does not come.
type hungRing struct{ release chan struct{} }

func (r hungRing) Set(string, string, string) error { <-r.release; return nil }

func (r hungRing) Get(string, string) (string, error) { <-r.release; return "", nil }

func (r hungRing) Delete(string, string) error { <-r.release; return nil }

func TestAHungKeyringIsNotWaitedFor(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		hung := hungRing{make(chan struct{})}
		defer close(hung.release)
		h, err := client.OpenHome(filepath.Join(dir, "vaultpam"), hung)
		if err != nil {
			t.Fatal(err)
		}
		place, err := h.SaveSession(t.Context(), testSession())
		if err != nil || place != filepath.Join(dir, "vaultpam", "session") {
			t.Errorf("saved in %q (%v), want the file", place, err)
		}
		good, err := client.OpenHome(h.Dir(), &ring{secrets: map[string]string{}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := good.SaveSession(t.Context(), testSession()); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Session(t.Context()); !errors.Is(err, client.ErrNotSignedIn) {
			t.Errorf("reading: got %v, want ErrNotSignedIn", err)
		}
		if err := h.ForgetSession(t.Context()); err == nil {
			t.Error("forgetting said that the keyring forgot")
		}
		if _, err := good.Session(t.Context()); !errors.Is(err, client.ErrNotSignedIn) {
			t.Errorf("after forgetting: got %v, want ErrNotSignedIn", err)
		}
	})
}
