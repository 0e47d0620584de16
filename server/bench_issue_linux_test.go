package server_test

import (
	"bufio"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
)

// workerCounts are how many users ask at the same time.
func workerCounts() []int { return []int{1, 8, 32} }

// BenchmarkIssuance issues user certificates for fresh Ed25519 keys: over HTTPS
// from the real program (sign-in checked, rules decided, durable on disk), then
// the same from the ledger in this process, without HTTPS, and what a bare
// signature costs.
func BenchmarkIssuance(b *testing.B) {
	n := startNode(b)
	cell := newCell(b)
	users := make([]*benchUser, 32)
	for i := range users {
		users[i] = n.addUser(b, fmt.Sprintf("user%d", i))
	}
	rows := []row{{"sign", signRaw}}
	for _, workers := range workerCounts() {
		rows = append(rows, row{fmt.Sprintf("ledger/workers=%d", workers), func(b *testing.B) []figure {
			return load(b, workers, func(int) func() error { return cell.issue })
		}})
	}
	for _, workers := range workerCounts() {
		rows = append(rows, row{fmt.Sprintf("https/workers=%d", workers), func(b *testing.B) []figure {
			return n.issue(b, users[:workers])
		}})
	}
	compare(b, "issuance on "+filesystem(b, n.dir), rows)
}

// load has workers do b.N pieces of work together and returns the rate and the
// latencies. prepare is called once for each worker before the clock runs.
func load(b *testing.B, workers int, prepare func(worker int) func() error) []figure {
	b.Helper()
	work := make([]func() error, workers)
	for i := range work {
		work[i] = prepare(i)
	}
	took := make([][]float64, workers) // milliseconds
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for i := range work {
		all.Go(func() {
			for next.Add(1) <= int64(b.N) {
				start := time.Now()
				if err := work[i](); err != nil {
					b.Error(err)
					return
				}
				took[i] = append(took[i], time.Since(start).Seconds()*1e3)
			}
		})
	}
	all.Wait()
	wall := time.Since(began)
	b.StopTimer()
	var merged []float64
	for _, t := range took {
		merged = append(merged, t...)
	}
	if len(merged) != b.N {
		b.Fatalf("%d of %d were done", len(merged), b.N)
	}
	return []figure{
		{"certs/s", float64(b.N) / wall.Seconds()},
		{"p50-ms", quantile(merged, 0.5)},
		{"p99-ms", quantile(merged, 0.99)},
	}
}

// issue asks the server over kept connections, one for each user.
func (n *benchNode) issue(b *testing.B, users []*benchUser) []figure {
	callers := make([]*caller, len(users))
	size := n.size(b)
	var before time.Duration
	figures := load(b, len(users), func(i int) func() error {
		callers[i] = newCaller(b, users[i])
		if i == len(users)-1 {
			before = n.cpu(b)
		}
		return callers[i].issue
	})
	spent := n.cpu(b) - before
	for _, c := range callers {
		c.check(b)
	}
	// Every certificate has an entry; each caller had one before the clock ran.
	if got, want := n.size(b), size+uint64(b.N+len(users)); got != want {
		b.Fatalf("the ledger has %d entries, want %d", got, want)
	}
	return append(figures,
		figure{"server-cpu-ms/cert", spent.Seconds() * 1e3 / float64(b.N)},
		figure{"server-peak-MiB", n.peak(b)},
		figure{"server-own-MiB", n.heap(b)},
	)
}

// A caller asks for certificates on one connection. It does as little as it can
// besides, because it shares the processors with the server.
type caller struct {
	conn     *tls.Conn
	reader   *bufio.Reader
	requests [][]byte // each for a key of its own
	sent     int
	answer   []byte // the last
}

const keysPerCaller = 64

// newCaller connects and gets one certificate, so that the handshake is over.
func newCaller(b *testing.B, u *benchUser) *caller {
	b.Helper()
	// The handshake is not what is measured, and u.client has held the server to
	// its pin.
	conn, err := tls.Dial("tcp", u.client.Server(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	c := &caller{conn: conn, reader: bufio.NewReader(conn)}
	for range keysPerCaller {
		body, err := json.Marshal(api.CertificateRequest{PublicKey: string(ssh.MarshalAuthorizedKey(freshKey(b)))})
		if err != nil {
			b.Fatal(err)
		}
		c.requests = append(c.requests, fmt.Appendf(nil,
			"%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: vaultpam\r\nContent-Length: %d\r\n%s: Bearer %s\r\nAccept: application/json\r\nContent-Type: application/json\r\n\r\n%s",
			api.RouteCertificate.Method, api.RouteCertificate.Path, u.client.Server(), len(body),
			api.TokenHeader, base64.RawURLEncoding.EncodeToString(u.token), body))
	}
	if err := c.issue(); err != nil {
		b.Fatal(err)
	}
	return c
}

func (c *caller) issue() error {
	if _, err := c.conn.Write(c.requests[c.sent%len(c.requests)]); err != nil {
		return err
	}
	c.sent++
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if c.answer, err = io.ReadAll(resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, c.answer)
	}
	return nil
}

// check reads the last answer as a client does.
func (c *caller) check(b *testing.B) {
	b.Helper()
	var answer api.CertificateResponse
	if err := json.Unmarshal(c.answer, &answer); err != nil {
		b.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(answer.Certificate))
	if err != nil {
		b.Fatal(err)
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		b.Fatalf("the answer holds a %T", key)
	}
	if _, err := ca.CheckUser(cert, cert.SignatureKey, time.Now(), netip.Addr{}); err != nil {
		b.Fatal(err)
	}
}

// signRaw is x/crypto's signature of a certificate and its encoding: no check,
// no disk, one processor.
func signRaw(b *testing.B) []figure {
	key, err := ca.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	subject := freshKey(b)
	return load(b, 1, func(int) func() error {
		return func() error {
			cert := ssh.Certificate{
				Key: subject, Serial: 1, CertType: ssh.UserCert, KeyId: "bench", ValidPrincipals: []string{"bench"},
				ValidBefore: ssh.CertTimeInfinity, Permissions: ssh.Permissions{Extensions: map[string]string{ca.PermitPTY: ""}},
			}
			if err := cert.SignCert(rand.Reader, key); err != nil {
				return err
			}
			cert.Marshal()
			return nil
		}
	})
}

// issue has the ledger in this process issue one certificate.
func (c *cell) issue() error {
	issue := access.IssueUserCertificate{By: access.Caller{Token: c.token}, Key: c.key}
	if _, err := rand.Read(issue.Nonce[:]); err != nil {
		return err
	}
	_, _, err := c.ledger.Issue(c.ctx, issue)
	return err
}

func freshKey(b *testing.B) ssh.PublicKey {
	b.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		b.Fatal(err)
	}
	return key
}
