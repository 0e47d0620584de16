package server_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server"
)

// leave makes what an init that died leaves.
func (s *site) leave(left string) {
	s.t.Helper()
	dir := map[string]string{"begun": s.dir.Begun(), "made": s.dir.Made(), "nothing": string(s.dir)}[left]
	if err := os.MkdirAll(dir, 0o700); err != nil {
		s.t.Fatal(err)
	}
	if left == "begun" {
		if err := os.WriteFile(filepath.Join(dir, "half"), []byte("half"), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
}

// dying runs init until a part of it panics as a process that is killed there.
func dying(t *testing.T, dir server.Dir, kill func(env *server.Environment)) {
	t.Helper()
	env := environment(newHand())
	kill(&env)
	defer func() {
		if recover() == nil {
			t.Error("it did not die")
		}
	}()
	_, _ = server.Init(t.Context(), env, initRequest(dir)) // it never returns
}

type deadly struct{ reads, at int }

func (d *deadly) Read(p []byte) (int, error) {
	if d.reads++; d.reads == d.at {
		panic("killed")
	}
	return io.ReadFull(rand.Reader, p)
}

func TestInitThatDiedIsSwept(t *testing.T) {
	for at := 1; at <= 10; at++ {
		dir := freshDir(t)
		dying(t, dir, func(env *server.Environment) { env.Random = &deadly{at: at} })
		if _, err := os.Stat(dir.Begun()); err != nil && at > 1 {
			t.Errorf("killed at read %d: nothing was begun", at)
		}
		if s := (&site{t: t, dir: dir, env: environment(newHand()), log: &scroll{}}); !strings.Contains(s.opens(), "run vaultpamd init") {
			t.Errorf("killed at read %d: %s", at, s.opens())
		}
		begins(t, dir)
		if _, err := os.Stat(dir.Begun()); err == nil {
			t.Errorf("killed at read %d: the remains are still there", at)
		}
	}
}

// Dying while the parts are put in place, after each of them.
func TestInitThatDiedWhileSettlingIsSwept(t *testing.T) {
	for moved := range len(freshDir(t).Parts()) {
		s := newSite(t)
		if err := os.Mkdir(s.dir.Made(), 0o700); err != nil {
			t.Fatal(err)
		}
		// Put back what would not have been moved yet.
		for _, part := range s.dir.Parts()[moved:] {
			if err := os.Rename(part, filepath.Join(s.dir.Made(), filepath.Base(part))); err != nil {
				t.Fatal(err)
			}
		}
		begins(t, s.dir)
		if _, err := os.Stat(s.dir.Made()); err == nil {
			t.Errorf("after %d parts: the remains are still there", moved)
		}
	}
}

// Dying right after the configuration was put in place leaves a data directory
// that is whole; from the first Open on, nothing takes it for one to be swept,
// not even where somebody takes the configuration away.
func TestInitThatDiedAtTheVeryEndIsWhole(t *testing.T) {
	for _, left := range []string{"begun", "made"} {
		s := newSite(t)
		s.leave(left)
		before := s.everythingBut(s.dir.Begun())
		if _, err := server.Init(t.Context(), s.env, initRequest(s.dir)); err == nil || !strings.Contains(err.Error(), "already") {
			t.Fatalf("%s: a second init: %v", left, err)
		}
		unchanged(t, before, s.everythingBut(s.dir.Begun()))
		if why := s.opens(); why != "" {
			t.Fatal(why)
		}
		for _, remains := range []string{s.dir.Begun(), s.dir.Made()} {
			if _, err := os.Stat(remains); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: Open left %s", left, remains)
			}
		}
		if err := os.Rename(s.dir.Config(), s.dir.Config()+".old"); err != nil {
			t.Fatal(err)
		}
		before = s.everythingBut("")
		if _, err := server.Init(t.Context(), s.env, initRequest(s.dir)); err == nil || !strings.Contains(err.Error(), "no init made it") {
			t.Errorf("%s: init over a ledger in use: %v", left, err)
		}
		unchanged(t, before, s.everythingBut(""))
	}
}

func TestInitIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := freshDir(t)
	if _, err := server.Init(ctx, environment(newHand()), initRequest(dir)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	nothingIn(t, dir)
}

func TestInitDrawsEverythingAnew(t *testing.T) {
	a, b := ownSite(t), ownSite(t)
	if a.begun.Passphrase == b.begun.Passphrase || a.begun.Invitation.Token == b.begun.Invitation.Token {
		t.Error("two servers share a secret")
	}
	seen := map[string]string{}
	for _, s := range []*site{a, b} {
		for name, secret := range s.privateKeys() {
			if other, ok := seen[string(secret)]; ok {
				t.Errorf("%s is %s", name, other)
			}
			seen[string(secret)] = fmt.Sprintf("%s of %s", name, s.dir)
		}
	}
}
