package agent_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/agent"
)

var errServer = errors.New("server is down")

// newKeeper returns a Keeper of a new directory, whose server gives
// certificates of five minutes, and the number of times it was asked.
func newKeeper(t *testing.T, now func() time.Time) (agent.Keeper, *int) {
	t.Helper()
	issuer, asked := newIssuer(t), new(int)
	return agent.Keeper{Dir: t.TempDir(), Now: now, Random: rand.Reader, Renew: func(_ context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
		*asked++
		return certify(issuer.ca, key, now(), 5*time.Minute)
	}}, asked
}

func TestEnsure(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	keeper, asked := newKeeper(t, func() time.Time { return now })
	var last agent.Identity
	for _, step := range []struct {
		name    string
		later   time.Duration
		outcome agent.Outcome
		sameKey bool
	}{
		{"nothing there", 0, agent.Renewed, false},
		{"just made", time.Second, agent.Kept, true},
		{"a third left", 199 * time.Second, agent.Kept, true},
		{"less", time.Second, agent.Renewed, true},
		{"less again", 250 * time.Second, agent.Renewed, true},
		{"ended", 300 * time.Second, agent.Renewed, false},
		{"clock set back", -time.Hour, agent.Renewed, false},
	} {
		now = now.Add(step.later)
		before := *asked
		id, outcome, err := keeper.Ensure(t.Context())
		if err != nil || outcome != step.outcome || (*asked-before == 1) != (outcome == agent.Renewed) {
			t.Fatalf("%s: outcome %v, error %v, asked %d times", step.name, outcome, err, *asked-before)
		}
		if same := last.Key != nil && id.Key.Equal(last.Key); same != step.sameKey {
			t.Errorf("%s: same key %v, want %v", step.name, same, step.sameKey)
		}
		if agent.NeedsRenewal(id.Cert, now) {
			t.Errorf("%s: what came back needs renewal", step.name)
		}
		disk, err := agent.ReadIdentity(keeper.Dir)
		if err != nil || !bytes.Equal(disk.Cert.Marshal(), id.Cert.Marshal()) {
			t.Errorf("%s: on disk is something else (%v)", step.name, err)
		}
		last = id
	}
	id, err := keeper.Replace(t.Context())
	if err != nil || id.Key.Equal(last.Key) {
		t.Errorf("Replace kept the key (%v)", err)
	}
	// A key that others could read is not used again.
	if err := os.Chmod(filepath.Join(keeper.Dir, agent.KeyFile), 0o644); err != nil {
		t.Fatal(err)
	}
	if exposed, outcome, err := keeper.Ensure(t.Context()); err != nil || outcome != agent.Renewed || exposed.Key.Equal(id.Key) {
		t.Errorf("exposed key: outcome %v, error %v", outcome, err)
	}
}

func TestEnsureWhenTheServerFails(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	keeper, _ := newKeeper(t, func() time.Time { return now })
	made, _, err := keeper.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	keeper.Renew = func(context.Context, ssh.PublicKey) (*ssh.Certificate, error) { return nil, errServer }
	now = now.Add(250 * time.Second)
	if id, _, err := keeper.Ensure(t.Context()); !errors.Is(err, errServer) || !id.Key.Equal(made.Key) {
		t.Errorf("still valid: error %v, identity %v", err, id.Cert)
	}
	now = now.Add(50 * time.Second)
	if id, _, err := keeper.Ensure(t.Context()); !errors.Is(err, errServer) || id.Key != nil || id.Cert != nil {
		t.Errorf("ended: error %v, identity %v", err, id.Cert)
	}
}

// TestEnsureRefusesTheServersMistakes: what does not fit is not written.
func TestEnsureRefusesTheServersMistakes(t *testing.T) {
	issuer := newIssuer(t)
	other := issuer.identity(t, time.Now(), time.Hour)
	for name, renew := range map[string]agent.Renewer{
		"nothing":       func(context.Context, ssh.PublicKey) (*ssh.Certificate, error) { return nil, nil },
		"another key's": func(context.Context, ssh.PublicKey) (*ssh.Certificate, error) { return other.Cert, nil },
		"no end": func(_ context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
			cert, err := certify(issuer.ca, key, time.Now(), time.Hour)
			cert.ValidBefore = ssh.CertTimeInfinity
			return cert, err
		},
	} {
		keeper, _ := newKeeper(t, time.Now)
		keeper.Renew = renew
		if id, _, err := keeper.Ensure(t.Context()); err == nil || id.Cert != nil {
			t.Errorf("%s: %v, %v", name, id.Cert, err)
		}
		if _, err := agent.ReadIdentity(keeper.Dir); !errors.Is(err, agent.ErrMissing) {
			t.Errorf("%s: written (%v)", name, err)
		}
	}
	keeper, _ := newKeeper(t, time.Now)
	keeper.Renew = func(_ context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
		return certify(issuer.ca, key, time.Now().Add(time.Hour), time.Minute)
	}
	if _, _, err := keeper.Ensure(t.Context()); !errors.Is(err, agent.ErrClock) {
		t.Errorf("wrong clock: %v", err)
	}
}

func TestEnsureWantsEverything(t *testing.T) {
	full, _ := newKeeper(t, time.Now)
	for name, spoil := range map[string]func(*agent.Keeper){
		"directory":  func(k *agent.Keeper) { k.Dir = "" },
		"renewer":    func(k *agent.Keeper) { k.Renew = nil },
		"clock":      func(k *agent.Keeper) { k.Now = nil },
		"randomness": func(k *agent.Keeper) { k.Random = nil },
	} {
		keeper := full
		spoil(&keeper)
		if _, _, err := keeper.Ensure(t.Context()); err == nil {
			t.Errorf("no %s: Ensure went on", name)
		}
		if _, err := keeper.Replace(t.Context()); err == nil {
			t.Errorf("no %s: Replace went on", name)
		}
	}
}

// TestEnsureBesideARenewal: whoever has a valid certificate does not wait for
// the one who renews; whoever has none does, and then finds the new one.
func TestEnsureBesideARenewal(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	keeper, asked := newKeeper(t, func() time.Time { return now })
	made, _, err := keeper.Ensure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := agent.Lock(t.Context(), keeper.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	now = now.Add(250 * time.Second)
	if id, outcome, err := keeper.Ensure(t.Context()); err != nil || outcome != agent.Kept || !id.Key.Equal(made.Key) {
		t.Errorf("valid: outcome %v, error %v", outcome, err)
	}
	now = now.Add(50 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := keeper.Ensure(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended, and no time to wait: %v", err)
	}
	fresh := newIssuer(t).identity(t, now, 5*time.Minute)
	waited := make(chan error, 1)
	go func() { // ends when the lock is given back
		id, outcome, err := keeper.Ensure(t.Context())
		if err == nil && (outcome != agent.Kept || !id.Key.Equal(fresh.Key)) {
			err = errors.New("did not keep what the other renewed")
		}
		waited <- err
	}()
	if err := agent.WriteIdentity(keeper.Dir, fresh); err != nil {
		t.Fatal(err)
	}
	unlock()
	if err := <-waited; err != nil {
		t.Error(err)
	}
	if *asked != 1 {
		t.Errorf("the server was asked %d times", *asked)
	}
}

// TestOneOfFiftyProcessesRenews is Ansible with fifty forks.
func TestOneOfFiftyProcessesRenews(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	var gates []io.Closer
	failures := make(chan string, 50)
	for range 50 {
		cmd := exec.CommandContext(t.Context(), self, dir)
		cmd.Env = append(os.Environ(), roleEnv+"=keeper", "GORACE=atexit_sleep_ms=0")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		gate, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		gates = append(gates, gate)
		running.Go(func() { // ends with its process
			if err := cmd.Wait(); err != nil {
				failures <- err.Error() + ": " + stderr.String()
			}
		})
	}
	for _, gate := range gates {
		if _, err := io.WriteString(gate.(io.Writer), "go\n"); err != nil {
			t.Error(err)
		}
	}
	running.Wait()
	close(failures)
	for failure := range failures {
		t.Error(failure)
	}
	renewals, err := os.ReadFile(filepath.Join(dir, "renewals"))
	if err != nil || bytes.Count(renewals, []byte("\n")) != 1 {
		t.Errorf("renewed by %q (%v), want one process", renewals, err)
	}
}
