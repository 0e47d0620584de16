package server_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A peer is another system that issues SSH user certificates over HTTPS, and the
// way to ask it. docs/performance.md says how to get the programs.
type peer struct {
	measured
	name      string
	newCaller func(b *testing.B, workers, worker int) *caller
	check     func(*testing.B, []byte)
}

func (p *peer) issue(b *testing.B, workers int) []figure {
	return p.ask(b, workers, func(b *testing.B, worker int) *caller { return p.newCaller(b, workers, worker) }, p.check)
}

// peers starts the systems whose programs the environment names: step-ca by
// BENCH_STEP_CA, once for each of its databases, and OpenBao by BENCH_OPENBAO. No
// module of theirs is one of ours, so nothing is measured where there is neither.
func peers(b *testing.B) []*peer {
	b.Helper()
	var all []*peer
	if program := os.Getenv("BENCH_STEP_CA"); program != "" {
		all = append(all, startStepCA(b, program, "badgerv2"), startStepCA(b, program, "bbolt"))
	}
	if program := os.Getenv("BENCH_OPENBAO"); program != "" {
		all = append(all, startOpenBao(b, program))
	}
	return all
}

// startPeer runs a program until the benchmark ends, and shows what it said where
// that is of use.
func startPeer(b *testing.B, home, program string, args ...string) measured {
	b.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = home, []string{"HOME=" + home, "STEPPATH=" + home, "PATH=" + os.Getenv("PATH")}
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			b.Error(err)
		}
		var killed *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &killed) {
			b.Errorf("%s: %v", program, err)
		}
		if b.Failed() {
			b.Logf("%s said:\n%s", program, &said)
		}
	})
	return measured{process: cmd.Process}
}

// insecure speaks to servers that were just started here.
func insecure(b *testing.B) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	b.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: time.Minute}
}

// awaitOK asks until the answer is 200.
func awaitOK(b *testing.B, c *http.Client, url string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		resp, err := c.Get(url)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			b.Fatalf("%s does not answer with 200: %v", url, err)
		case <-pause.C:
		}
	}
}

// call sends JSON and reads JSON, for what is set up before a measurement.
func callJSON(b *testing.B, c *http.Client, method, url string, header http.Header, in, out any) {
	b.Helper()
	data, err := json.Marshal(in)
	if err != nil {
		b.Fatal(err)
	}
	r, err := http.NewRequestWithContext(b.Context(), method, url, bytes.NewReader(data))
	if err != nil {
		b.Fatal(err)
	}
	r.Header = header
	resp, err := c.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		b.Fatalf("%s %s: %s: %s: %v", method, url, resp.Status, body, err)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(body, out); err != nil {
		b.Fatalf("%s %s: %s: %v", method, url, body, err)
	}
}

// checkPeer verifies an answer's certificate as a host would.
func checkPeer(b *testing.B, key ssh.PublicKey, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok || cert.Key.Type() != ssh.KeyAlgoED25519 || cert.SignatureKey.Type() != ssh.KeyAlgoED25519 {
		b.Fatalf("the answer holds no certificate of an ed25519 key by one: %v", key.Type())
	}
	// CheckCert leaves to its caller whose key signed; this one was made here.
	if err := new(ssh.CertChecker).CheckCert("bench", cert); err != nil {
		b.Fatal(err)
	}
}

// A tlsPair is a P-256 key with its certificate, in PEM, on disk.
type tlsPair struct {
	cert, key string // paths
	x509      *x509.Certificate
	private   *ecdsa.PrivateKey
}

// newTLSPair makes a certificate for loopback, signed by its parent, or by itself
// where there is none.
func newTLSPair(b *testing.B, dir, name string, isCA bool, parent *tlsPair) *tlsPair {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames:  []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	p := &tlsPair{cert: filepath.Join(dir, name+".crt"), key: filepath.Join(dir, name+".key"), private: key}
	issuer, signer := template, crypto.Signer(key)
	if parent != nil {
		issuer, signer = parent.x509, parent.private
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), signer)
	if err != nil {
		b.Fatal(err)
	}
	if p.x509, err = x509.ParseCertificate(der); err != nil {
		b.Fatal(err)
	}
	writePEM(b, p.cert, "CERTIFICATE", der)
	writeKey(b, p.key, key)
	return p
}

func writeKey(b *testing.B, path string, key crypto.PrivateKey) {
	b.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.Fatal(err)
	}
	writePEM(b, path, "PRIVATE KEY", der)
}

func writePEM(b *testing.B, path, kind string, der []byte) {
	b.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		b.Fatal(err)
	}
}

func writeJSON(b *testing.B, path string, v any) {
	b.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.Fatal(err)
	}
}
