package server_test

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/storetest"
)

// nothingIn fails unless the directory is empty or absent.
func nothingIn(t *testing.T, dir server.Dir) {
	t.Helper()
	err := filepath.WalkDir(string(dir), func(path string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && path != string(dir) {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func freshDir(t *testing.T) server.Dir { return server.Dir(filepath.Join(t.TempDir(), "data")) }

// begins fails unless the directory can be begun and opened.
func begins(t *testing.T, dir server.Dir) {
	t.Helper()
	s := &site{t: t, dir: dir, clock: newHand(), log: &scroll{}}
	s.env = environment(s.clock)
	if _, err := server.Init(t.Context(), s.env, initRequest(dir)); err != nil {
		t.Fatalf("the next try: %v", err)
	}
	if why := s.opens(); why != "" {
		t.Fatalf("after the next try: %s", why)
	}
}

// A drying source of randomness fails at the given read.
type drying struct {
	reads, at int
}

func (d *drying) Read(p []byte) (int, error) {
	if d.reads++; d.reads == d.at {
		return 0, errors.New("no randomness left")
	}
	return rand.Read(p)
}

func TestInitLeavesNothingWhereRandomnessFails(t *testing.T) {
	whole := &drying{}
	env := environment(newHand())
	env.Random = whole
	if _, err := server.Init(t.Context(), env, initRequest(freshDir(t))); err != nil {
		t.Fatal(err)
	}
	if whole.reads < 8 {
		t.Fatalf("only %d reads: keys, passphrase, token, ID and salt take more", whole.reads)
	}
	for at := 1; at <= whole.reads; at++ {
		dir := freshDir(t)
		env.Random = &drying{at: at}
		if _, err := server.Init(t.Context(), env, initRequest(dir)); err == nil || !strings.Contains(err.Error(), "no randomness left") {
			t.Errorf("read %d: %v", at, err)
		}
		nothingIn(t, dir)
		if at%4 == 0 {
			begins(t, dir)
		}
	}
}

func TestInitLeavesNothingWhereTheBackEndFails(t *testing.T) {
	broken := errors.New("no such device")
	run := func(at int, after bool) (*storetest.FaultyBackend, server.Dir, error) {
		dir := freshDir(t)
		env := environment(newHand())
		create := env.CreateBackend
		var faulty *storetest.FaultyBackend
		env.CreateBackend = func(path string) (store.Backend, error) {
			b, err := create(path)
			if err != nil {
				return nil, err
			}
			faulty = storetest.Faulty(b, at, broken)
			if after {
				faulty = storetest.FaultyAfter(b, at, broken)
			}
			return faulty, nil
		}
		_, err := server.Init(t.Context(), env, initRequest(dir))
		return faulty, dir, err
	}
	whole, _, err := run(0, false)
	if err != nil || whole.Calls() < 2 {
		t.Fatalf("%d calls: %v", whole.Calls(), err)
	}
	failed := 0
	for at := 1; at <= whole.Calls(); at++ {
		for _, after := range []bool{false, true} {
			_, dir, err := run(at, after)
			if err == nil {
				continue // a snapshot that can't be saved is no failure
			}
			failed++
			nothingIn(t, dir)
			begins(t, dir)
		}
	}
	if failed < 4 {
		t.Errorf("only %d failures: head and append have to count", failed)
	}
	dir := freshDir(t)
	env := environment(newHand())
	env.CreateBackend = func(string) (store.Backend, error) { return nil, broken }
	if _, err := server.Init(t.Context(), env, initRequest(dir)); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	nothingIn(t, dir)
	begins(t, dir)
}

func TestInitRefusesWhatItCantBegin(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*server.InitRequest)
		want   string
	}{
		"name":    {func(r *server.InitRequest) { r.Config.Name = "not a name" }, "name: host name"},
		"admin":   {func(r *server.InitRequest) { r.Administrator = "Not A Handle" }, "handle"},
		"setting": {func(r *server.InitRequest) { r.SelfGrant = "perhaps" }, "setting"},
	} {
		dir := freshDir(t)
		r := initRequest(dir)
		c.change(&r)
		if _, err := server.Init(t.Context(), environment(newHand()), r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		nothingIn(t, dir)
	}
	for name, take := range map[string]func(*server.Environment){
		"create": func(e *server.Environment) { e.CreateBackend = nil },
		"open":   func(e *server.Environment) { e.OpenBackend = nil },
		"clock":  func(e *server.Environment) { e.Now = nil },
		"random": func(e *server.Environment) { e.Random = nil },
	} {
		env := environment(newHand())
		take(&env)
		if _, err := server.Init(t.Context(), env, initRequest(freshDir(t))); err == nil {
			t.Errorf("init without %s", name)
		}
		if _, err := server.Open(t.Context(), server.Options{Environment: env, Dir: freshDir(t)}); err == nil || !strings.Contains(err.Error(), "needed") {
			t.Errorf("open without %s: %v", name, err)
		}
	}
}

func TestInitTwiceIsRefused(t *testing.T) {
	s := newSite(t)
	before := s.everythingBut("")
	_, err := server.Init(t.Context(), s.env, initRequest(s.dir))
	if err == nil || !strings.HasSuffix(err.Error(), "is a data directory already") {
		t.Errorf("%v", err)
	}
	unchanged(t, before, s.everythingBut(""))
}

func unchanged(t *testing.T, before, after map[string][]byte) {
	t.Helper()
	for path, data := range before {
		if string(after[path]) != string(data) {
			t.Errorf("%s was touched", path)
		}
	}
	if len(before) != len(after) {
		t.Errorf("%d files were %d", len(after), len(before))
	}
}

// What stands there before is nobody's to remove, whatever an init left beside
// it.
func TestInitNeverTouchesWhatIsNotItsOwn(t *testing.T) {
	for _, part := range freshDir(t).Parts() {
		name := filepath.Base(part)
		if name == "vaultpam.yaml" {
			continue // then it is a data directory
		}
		for _, left := range []string{"nothing", "begun", "made"} {
			s := &site{t: t, dir: freshDir(t)}
			s.leave(left)
			own := filepath.Join(string(s.dir), name)
			if !strings.Contains(name, ".") {
				own = filepath.Join(own, "precious")
			}
			if err := os.MkdirAll(filepath.Dir(own), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(own, []byte("somebody's"), 0o600); err != nil {
				t.Fatal(err)
			}
			if left == "made" {
				// It waits to be put in place, so what is there can't be it.
				if err := os.WriteFile(filepath.Join(s.dir.Made(), name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			before := s.everythingBut("")
			_, err := server.Init(t.Context(), environment(newHand()), initRequest(s.dir))
			if err == nil || !strings.Contains(err.Error(), "no init made it: move it away") {
				t.Errorf("%s beside %s: %v", name, left, err)
			}
			unchanged(t, before, s.everythingBut(""))
		}
	}
}
