//go:build linux

package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/client"
)

// TestR1R2Kills kills the server at three named steps and at random moments,
// while eight people ask for certificates over HTTPS, one holds a session
// through the relay, and an auditor follows the ledger. After each kill it
// starts again, and nothing that was answered is missing (R1), no certificate is
// without its entry (R2, S8), nothing that was shown is unrecorded (R6), and no
// session is left open.
func TestR1R2Kills(t *testing.T) {
	h := newHouse(t, filepath.Join(t.TempDir(), "data"))
	h.serves.stop(t, h)
	c := &kills{house: h, of: map[string]int{}}
	rounds := campaign(20, 200)
	for range rounds {
		for _, at := range []string{"before-append", "after-append", "after-sign", random} {
			c.life(t, at)
			if t.Failed() {
				t.Fatalf("after kill %d, %s", c.total, at)
			}
		}
		if c.rounds++; c.rounds%25 == 0 {
			c.rest(t)
		}
	}
	for len(h.audit.have) < campaign(1, 100_000) && !t.Failed() {
		c.life(t, random)
	}
	c.rest(t)
	t.Logf("R1 R2: %s", c.summary())
}

const random = "random"

// kills counts what was done to a house.
type kills struct {
	*house
	rounds   int
	total    int
	of       map[string]int // kills by their kind
	starting int            // kills before the server served
	starts   int
	last     *talk // the session that the last kill cut, if it was not looked at yet
	before   int   // sessions in the ledger before it
	cut      int   // live sessions that a kill ended
	shown    int   // bytes that their users saw
}

func (c *kills) summary() string {
	return fmt.Sprintf("%d kills (%d before append, %d after append, %d after sign, %d random; %d of all while starting), %d starts, 0 failed; "+
		"%d certificates acknowledged, 0 lost, 0 without an entry; %d entries verified; %d live sessions cut, 0 left open, %d bytes shown, 0 unrecorded",
		c.total, c.of["before-append"], c.of["after-append"], c.of["after-sign"], c.of[random], c.starting, c.starts,
		len(c.audit.have), c.audit.tree.Size(), c.cut, c.shown)
}

// life starts the server, checks what the life before left, and lets people use
// it until it is killed.
func (c *kills) life(t *testing.T, at string) {
	t.Helper()
	c.starts++
	c.total++
	c.of[at]++
	// One random kill in five comes while the server starts.
	if at == random && rand.IntN(5) == 0 {
		p := c.start(t, program("vaultpamd"), nil)
		defer time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, p.kill).Stop()
		p.wait(t)
		c.died(t, p)
		return
	}
	p := c.launch(t, at)
	if p.serving(t) {
		c.look(t)
		c.use(t, p, at)
	}
	c.died(t, p)
}

// launch starts the server, so that it kills itself at a failpoint unless the
// kill is to come at random.
func (c *kills) launch(t *testing.T, at string) *process {
	t.Helper()
	if at == random {
		return c.start(t, program("vaultpamd"), nil)
	}
	times := 1 + rand.IntN(campaign(20, 60))
	if at == "after-sign" {
		times = 1 + rand.IntN(campaign(60, 250))
	}
	return c.start(t, program("failing"), []string{fmt.Sprintf("VAULTPAM_FAILPOINT=%s:%d", at, times)})
}

// died requires that the server was killed, and not that it gave up.
func (c *kills) died(t *testing.T, p *process) {
	t.Helper()
	if !p.killed() {
		t.Fatalf("vaultpamd ended by itself: %v\n%s", p.cmd.ProcessState, p.log.text())
	}
	select {
	case <-p.log.ready:
	default:
		c.starting++
	}
}

// look checks the ledger, and the session that the last kill cut.
func (c *kills) look(t *testing.T) {
	t.Helper()
	c.check(t)
	if c.last == nil {
		return
	}
	switch begun := c.audit.begun - c.before; {
	case begun == 1:
		c.checkRecording(t, c.audit.newest, c.last.shown)
		c.cut++
		c.shown += len(c.last.shown)
	case begun > 1 || len(c.last.shown) > 0:
		t.Errorf("%d sessions were started where one user saw %d bytes", begun, len(c.last.shown))
	}
	c.last = nil
}

// use lets people use the server until it is killed, at a random moment if it
// does not kill itself.
func (c *kills) use(t *testing.T, p *process, at string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.before = c.audit.begun
	c.last = c.talk(ctx)
	people := c.ask(t, c.issuers)
	var follower sync.WaitGroup
	follower.Go(func() { c.follow(ctx, t) }) // ends with ctx, or with the server
	if at == random {
		defer time.AfterFunc(time.Duration(rand.IntN(campaign(60, 200)))*time.Millisecond, p.kill).Stop()
	}
	p.wait(t)
	people.disperse(t)
	c.last.wait(t)
	follower.Wait()
	if len(people.refused) > 0 {
		t.Errorf("a healthy server refused: %v", people.refused[0])
	}
}

// follow remembers what the ledger shows, so that after the kill it can't show
// less.
func (c *kills) follow(ctx context.Context, t *testing.T) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var forked *client.ForkError
		if _, err := c.ledger.Follow(ctx); errors.As(err, &forked) {
			t.Error(err)
		} else if err != nil {
			return // the server is gone
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// rest starts the server once more, reads everything anew, and ends it well, so
// that the next start begins at a snapshot.
func (c *kills) rest(t *testing.T) {
	t.Helper()
	p := c.serve(t)
	c.starts++
	c.look(t)
	c.checkAll(t)
	p.stop(t, c.house)
	out, err := exec.Command(program("vaultpamd"), "serve", "--check", "--dir", c.dir).CombinedOutput()
	if err != nil {
		t.Fatalf("vaultpamd serve --check: %v\n%s", err, out)
	}
}

// TestFailpointsAreNotReleased: what people run can't be told to die.
func TestFailpointsAreNotReleased(t *testing.T) {
	for name, want := range map[string]bool{"vaultpamd": false, "failing": true} {
		data, err := os.ReadFile(program(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"VAULTPAM_FAILPOINT", "before-append"} {
			if bytes.Contains(data, []byte(word)) != want {
				t.Errorf("%s holds %q: %v, want %v", name, word, !want, want)
			}
		}
	}
}
