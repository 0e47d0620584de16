package server_test

import (
	"bufio"
	"bytes"
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
// the same from the ledger in this process, without HTTPS, what a bare signature
// costs, and the same again from such other systems as peers finds.
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
			return n.issue(b, users[:workers], keyShown)
		}})
	}
	rows = append(rows, row{"https-signed/workers=32", func(b *testing.B) []figure { return n.issue(b, users, noKey) }})
	rows = append(rows, row{"https-nothing/workers=32", func(b *testing.B) []figure { return n.greet(b, 32) }})
	for _, p := range peers(b) {
		for _, workers := range workerCounts() {
			rows = append(rows, row{fmt.Sprintf("%s/workers=%d", p.name, workers), func(b *testing.B) []figure {
				return p.issue(b, workers)
			}})
		}
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
func (n *benchNode) issue(b *testing.B, users []*benchUser, trust func(*testing.B, *benchUser) *tls.Config) []figure {
	size := n.size(b)
	figures := n.ask(b, len(users), func(b *testing.B, worker int) *caller {
		u := users[worker]
		return newCaller(b, u.client.Server(), trust(b, u), cycle(requests(b, api.RouteCertificate.Path, u.client.Server(), func(body []byte) http.Header {
			call := api.Signed{Method: "POST", Target: api.RouteCertificate.Path, Token: u.session.Token, Body: body}
			return http.Header{
				api.TokenHeader: {"Bearer " + base64.RawURLEncoding.EncodeToString(u.session.Token)},
				api.ProofHeader: {api.Prove(u.session.Key, call, time.Now())},
			}
		}, func(key ssh.PublicKey) any {
			return api.CertificateRequest{PublicKey: string(ssh.MarshalAuthorizedKey(key))}
		})))
	}, check)
	// Every certificate has an entry; each caller had one before the clock ran.
	if got, want := n.size(b), size+uint64(b.N+len(users)); got != want {
		b.Fatalf("the ledger has %d entries, want %d", got, want)
	}
	return figures
}

// greet asks the server who it is: HTTPS and JSON, no sign-in, no rules, no disk
// and no signature. No server behind the same HTTP can be faster under this load.
func (n *benchNode) greet(b *testing.B, workers int) []figure {
	host := n.admin.client.Server()
	hello := []byte("GET " + api.RouteInfo.Path + " HTTP/1.1\r\nHost: " + host + "\r\nUser-Agent: vaultpam\r\n\r\n")
	return n.ask(b, workers, func(b *testing.B, _ int) *caller {
		return newCaller(b, host, trusting(), func() []byte { return hello })
	}, func(b *testing.B, body []byte) {
		var info api.Info
		if err := json.Unmarshal(body, &info); err != nil || info.Name == "" {
			b.Fatalf("%s: %v", body, err)
		}
	})
}

// ask loads the server with one caller for each worker and adds what that cost
// the server. check looks at the last answer of each.
func (m measured) ask(b *testing.B, workers int, newCaller func(b *testing.B, worker int) *caller, check func(*testing.B, []byte)) []figure {
	b.Helper()
	callers := make([]*caller, workers)
	var before time.Duration
	figures := load(b, workers, func(i int) func() error {
		callers[i] = newCaller(b, i)
		if i == workers-1 {
			before = m.cpu(b)
		}
		return callers[i].issue
	})
	spent := m.cpu(b) - before
	for _, c := range callers {
		check(b, c.answer)
	}
	return append(figures,
		figure{"server-cpu-ms/cert", spent.Seconds() * 1e3 / float64(b.N)},
		figure{"server-peak-MiB", m.peak(b)},
		figure{"server-own-MiB", m.heap(b)},
	)
}

// A caller asks for certificates on one connection. It does as little as it can
// besides, because it shares the processors with the server.
type caller struct {
	conn   *tls.Conn
	reader *bufio.Reader
	next   func() []byte // the request to send
	answer []byte        // the last
}

// trusting takes any server: who serves was started here, and the handshake is not
// what is measured.
func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// keyShown opens a connection with the key of the user's session, as the client does.
func keyShown(b *testing.B, u *benchUser) *tls.Config {
	b.Helper()
	config, shown := trusting(), keyed(b, u.session.Key, u.session.Key)
	config.NextProtos = []string{"http/1.1", api.KeyProtocol}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
	return config
}

// noKey opens a connection as a proxy that ends TLS would, so that each call's
// signature counts.
func noKey(*testing.B, *benchUser) *tls.Config { return trusting() }

// newCaller connects and gets one certificate, so that the handshake is over.
func newCaller(b *testing.B, address string, config *tls.Config, next func() []byte) *caller {
	b.Helper()
	conn, err := tls.Dial("tcp", address, config)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { conn.Close() })
	c := &caller{conn: conn, reader: bufio.NewReader(conn), next: next}
	if err := c.issue(); err != nil {
		b.Fatal(err)
	}
	return c
}

const keysPerCaller = 64

// always is the header of a request whatever its body is.
func always(h http.Header) func([]byte) http.Header {
	return func([]byte) http.Header { return h.Clone() }
}

// requests are POSTs of JSON, each for a fresh key.
func requests(b *testing.B, path, host string, header func(body []byte) http.Header, body func(ssh.PublicKey) any) [][]byte {
	b.Helper()
	all := make([][]byte, keysPerCaller)
	for i := range all {
		all[i] = request(b, path, host, header, body(freshKey(b)))
	}
	return all
}

func request(b *testing.B, path, host string, header func(body []byte) http.Header, body any) []byte {
	b.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequest(http.MethodPost, "https://"+host+path, bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	r.Header = header(data)
	r.Header.Set("User-Agent", "vaultpam")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	var wire bytes.Buffer
	if err := r.Write(&wire); err != nil {
		b.Fatal(err)
	}
	return wire.Bytes()
}

// cycle gives the requests out again and again.
func cycle(all [][]byte) func() []byte {
	sent := 0
	return func() []byte {
		sent++
		return all[sent%len(all)]
	}
}

func (c *caller) issue() error {
	if _, err := c.conn.Write(c.next()); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if c.answer, err = io.ReadAll(resp.Body); err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 { // step-ca answers 201
		return fmt.Errorf("%s: %s", resp.Status, c.answer)
	}
	return nil
}

// check reads the last answer as a client does.
func check(b *testing.B, body []byte) {
	b.Helper()
	var answer api.CertificateResponse
	if err := json.Unmarshal(body, &answer); err != nil {
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
	issue := access.IssueUserCertificate{By: access.Caller{Token: c.token, Key: benchKey}, Key: c.key}
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
