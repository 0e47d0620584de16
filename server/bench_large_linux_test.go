package server_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

const (
	// fewEntries is the ledger that the large one is held against.
	fewEntries = 10_000
	// behindSnapshot is as many entries as a crash can leave behind a snapshot.
	behindSnapshot = 19_000
)

// manyEntries is the size of the large ledger.
func manyEntries(b *testing.B) int {
	b.Helper()
	if text := os.Getenv("VAULTPAM_ENTRIES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < fewEntries {
			b.Fatalf("VAULTPAM_ENTRIES=%s: want a number from %d on", text, fewEntries)
		}
		return n
	}
	if os.Getenv("VAULTPAM_CAMPAIGN") != "" {
		return 10_000_000
	}
	return 200_000
}

// A yearNode is `vaultpamd serve` on a ledger that a company filled in a year.
type yearNode struct {
	*benchNode
	https   string
	users   []*benchUser
	auditor *benchUser
	cmd     *exec.Cmd
	drained chan struct{}
}

// openYear makes the data directory, unless VAULTPAM_LEDGERS names a directory
// that has kept it, and signs in who will ask.
func openYear(b *testing.B, bin string, entries int) *yearNode {
	b.Helper()
	dir := filepath.Join(os.Getenv("VAULTPAM_LEDGERS"), strconv.Itoa(entries))
	if os.Getenv("VAULTPAM_LEDGERS") == "" {
		dir = filepath.Join(b.TempDir(), "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "ledger.db")); errors.Is(err, fs.ErrNotExist) {
		makeYear(b, server.Dir(dir), entries, grantsEach)
		keepPast(b, server.Dir(dir)) // or the server would, while it is measured
	}
	n := &yearNode{benchNode: &benchNode{bin: bin, dir: dir}, https: freeAddress(b)}
	env := environment(newHand())
	env.Now = time.Now
	handles := []string{"iris"}
	for i := range 32 {
		handles = append(handles, fmt.Sprintf("user%d", i%companySize(entries)))
	}
	began := time.Now()
	came := comeIn(b, env, server.Dir(dir), handles...)
	b.Logf("%d entries: opened, signed in and closed in %v", entries, time.Since(began).Round(time.Millisecond))
	pin := pinOf(b, server.Dir(dir))
	c, err := client.New(client.Config{Server: n.https, Pin: pin, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	for i, handle := range handles {
		u := &benchUser{handle: store.Handle(handle), session: client.Session{Token: came[handle].token, Key: residentKey}, pin: pin}
		if u.client, err = c.WithSession(u.session); err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			n.auditor = u
		} else {
			n.users = append(n.users, u)
		}
	}
	n.admin = n.auditor
	return n
}

// start starts the process and returns how long it took until it answered.
func (n *yearNode) start(b *testing.B) time.Duration {
	b.Helper()
	n.cmd = exec.Command(n.program("vaultpamd"), "serve", "--dir", n.dir)
	n.cmd.Env = append(os.Environ(), "VAULTPAMD_LISTEN_HTTPS="+n.https, "VAULTPAMD_LISTEN_SSH=127.0.0.1:0", "VAULTPAMD_LOG_LEVEL=info")
	log, err := n.cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := n.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	n.process = n.cmd.Process
	said, all := bufio.NewScanner(log), &bytes.Buffer{}
	for said.Scan() && !strings.Contains(said.Text(), "msg=serving") {
		fmt.Fprintln(all, said.Text())
	}
	drained := make(chan struct{})
	go func() { // ends with the process
		defer close(drained)
		for said.Scan() {
		}
	}()
	n.drained = drained
	if _, err := n.admin.client.Info(b.Context()); err != nil {
		b.Fatalf("%v\n%s", err, all)
	}
	return time.Since(began)
}

// end ends the process by a signal and waits for its end.
func (n *yearNode) end(b *testing.B, by syscall.Signal) {
	b.Helper()
	if n.cmd == nil {
		return
	}
	if err := n.process.Signal(by); err != nil {
		b.Error(err)
	}
	<-n.drained
	if err := n.cmd.Wait(); err != nil && by != syscall.SIGKILL {
		b.Errorf("vaultpamd serve: %v", err)
	}
	n.cmd = nil
}

// questions are one person's last 50 entries on one target each, for everybody
// and the target they work on most, in no order.
func (n *yearNode) questions() []string {
	asked := make([]string, companySize(n.entries()))
	for to, i := range rand.Perm(len(asked)) {
		q := url.Values{"user": {fmt.Sprintf("user%d", i)}, "target": {fmt.Sprintf("db%d", i)}, "limit": {"50"}}
		asked[to] = api.RouteEntries.Path + "?" + q.Encode()
	}
	return asked
}

func (n *yearNode) entries() int {
	size, _ := strconv.Atoi(filepath.Base(n.dir))
	return size
}

// asker asks the questions over one connection, as `vaultpam audit ls` does.
func (n *yearNode) asker(b *testing.B, questions []string) *caller {
	b.Helper()
	var all [][]byte
	for _, q := range questions {
		by := n.auditor.session
		proof := api.Prove(by.Key, api.Signed{Method: "GET", Target: q, Token: by.Token}, time.Now())
		all = append(all, fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s: Bearer %s\r\n%s: %s\r\nAccept: application/json\r\n\r\n",
			q, n.https, api.TokenHeader, base64.RawURLEncoding.EncodeToString(by.Token), api.ProofHeader, proof))
	}
	return newCaller(b, n.https, keyShown(b, n.auditor), cycle(all))
}

// askAgain measures answers to questions of which every one is another one, and all
// have been asked before: what a start leaves on the disk is askFirst's.
func (n *yearNode) askAgain(b *testing.B) []figure {
	questions := n.questions()
	c := n.asker(b, questions)
	for range questions {
		if err := c.issue(); err != nil {
			b.Fatal(err)
		}
	}
	return n.answers(b, c)
}

// askFirst is askAgain from the moment of a start on.
func (n *yearNode) askFirst(b *testing.B) []figure {
	n.end(b, syscall.SIGTERM)
	n.start(b)
	return n.answers(b, n.asker(b, n.questions()))
}

func (n *yearNode) answers(b *testing.B, c *caller) []figure {
	b.Helper()
	var entries, asked int
	before := n.cpu(b)
	figures := load(b, 1, func(int) func() error {
		return func() error {
			err := c.issue()
			entries, asked = entries+bytes.Count(c.answer, []byte(`"index":`)), asked+1
			return err
		}
	})
	spent := n.cpu(b) - before
	var answer api.EntriesResponse
	if err := json.Unmarshal(c.answer, &answer); err != nil {
		b.Fatal(err)
	}
	if entries == 0 {
		b.Fatal("nothing was found")
	}
	figures[0].unit = "answers/s"
	return append(figures, figure{"entries/answer", float64(entries) / float64(asked)},
		figure{"server-cpu-ms/answer", spent.Seconds() * 1e3 / float64(asked)})
}

// BenchmarkLarge is a ledger of many entries beside one of few: starts, questions
// over HTTPS, issuance. VAULTPAM_ENTRIES says how many (200,000; in the campaign
// 10 million), VAULTPAM_LEDGERS names a directory that keeps both for the next
// run.
func BenchmarkLarge(b *testing.B) {
	bin := buildPrograms(b)
	few, many := openYear(b, bin, fewEntries), openYear(b, bin, manyEntries(b))
	nodes := []*yearNode{few, many}
	b.Cleanup(func() {
		for _, n := range nodes {
			n.end(b, syscall.SIGTERM)
		}
	})
	var rows []row
	for _, n := range nodes {
		size := n.entries()
		rows = append(rows,
			row{fmt.Sprintf("start/entries=%d/stopped", size), func(b *testing.B) []figure { return n.restart(b, syscall.SIGTERM) }},
			row{fmt.Sprintf("start/entries=%d/killed", size), func(b *testing.B) []figure { return n.restart(b, syscall.SIGKILL) }},
			row{fmt.Sprintf("ask/entries=%d/first", size), n.askFirst},
			row{fmt.Sprintf("ask/entries=%d", size), n.askAgain},
		)
	}
	for _, workers := range workerCounts() {
		for _, n := range nodes {
			rows = append(rows, row{fmt.Sprintf("issue/workers=%d/entries=%d", workers, n.entries()), func(b *testing.B) []figure {
				return n.issue(b, n.users[:workers], keyShown)
			}})
		}
	}
	for _, n := range nodes {
		n.start(b)
	}
	compare(b, "a ledger of many entries on "+filesystem(b, many.dir), rows)
	many.late(b)
}

// restart ends the server, having it issue something first, and starts it.
func (n *yearNode) restart(b *testing.B, by syscall.Signal) []figure {
	var took []float64
	for b.Loop() {
		b.StopTimer()
		n.issueSome(b)
		n.end(b, by)
		b.StartTimer()
		took = append(took, n.start(b).Seconds()*1e3)
	}
	return []figure{{"start-ms", quantile(took, 0.5)}, {"worst-ms", quantile(took, 1)}, {"own-MiB", n.heap(b)}}
}

// issueSome leaves something behind the snapshot.
func (n *yearNode) issueSome(b *testing.B) {
	b.Helper()
	for range 20 {
		if _, err := n.users[0].client.Certificate(b.Context(), freshKey(b)); err != nil {
			b.Fatal(err)
		}
	}
}

// late measures starts after a crash just before the next snapshot was due.
func (n *yearNode) late(b *testing.B) {
	n.end(b, syscall.SIGTERM)
	env := environment(newHand())
	env.Now = time.Now
	moreWork(b, env, server.Dir(n.dir), behindSnapshot)
	compare(b, "a start", []row{{fmt.Sprintf("start/entries=%d/behind=%d", n.entries(), behindSnapshot), func(b *testing.B) []figure {
		var took []float64
		for b.Loop() {
			took = append(took, n.start(b).Seconds()*1e3)
			b.StopTimer()
			n.end(b, syscall.SIGKILL)
			b.StartTimer()
		}
		return []figure{{"start-ms", quantile(took, 0.5)}, {"worst-ms", quantile(took, 1)}}
	}}})
	n.start(b)
}

// BenchmarkVerifying is what a reader of the whole ledger does with each entry,
// on one processor: hashing it, adding it to the tree, decoding it, folding it.
func BenchmarkVerifying(b *testing.B) {
	const entries = 100_000
	dir := server.Dir(filepath.Join(b.TempDir(), "data"))
	makeYear(b, dir, entries, grantsEach)
	backend, err := bolt.Open(filepath.Join(string(dir), "ledger.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer backend.Close()
	records, err := backend.Records(b.Context(), 0, entries)
	if err != nil {
		b.Fatal(err)
	}
	decoded := make([]*store.Entry, len(records))
	each := func(work func(b *testing.B)) func(b *testing.B) []figure {
		return func(b *testing.B) []figure {
			for b.Loop() {
				work(b)
			}
			return []figure{{"entries/s", float64(len(records)*b.N) / b.Elapsed().Seconds()}}
		}
	}
	compare(b, "one processor", []row{
		{"hash", each(func(*testing.B) {
			for _, data := range records {
				tlog.RecordHash(data)
			}
		})},
		{"tree", each(func(b *testing.B) {
			tree, err := store.OpenTree(0, nil)
			for at := 0; err == nil && at < len(records); at += 4096 {
				tree, _, err = tree.Append(records[at:min(at+4096, len(records))])
			}
			if err != nil {
				b.Fatal(err)
			}
		})},
		{"decode", each(func(b *testing.B) {
			for i, data := range records {
				if decoded[i], err = store.DecodeEntry(data); err != nil {
					b.Fatal(err)
				}
			}
		})},
		{"fold", each(func(b *testing.B) {
			s := access.New()
			for _, e := range decoded {
				if s, err = access.Apply(s, e, func(store.Commitment) (string, bool) { return "", false }); err != nil {
					b.Fatal(err)
				}
			}
		})},
	})
}
