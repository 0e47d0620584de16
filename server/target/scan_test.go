//go:build unix

package target_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
)

var dialer net.Dialer

// answer serves one peer after the other with f, until the test ends.
func answer(t testing.TB, f func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { // ends when the listener is closed
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			f(conn)
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// sshServer answers with host keys, and lets nobody in.
func sshServer(t testing.TB, signers ...ssh.Signer) string {
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, errors.New("no")
	}}
	for _, signer := range signers {
		config.AddHostKey(signer)
	}
	return answer(t, func(conn net.Conn) { ssh.NewServerConn(conn, config) })
}

func rsaSigner(t testing.TB, bits int, algorithms ...string) ssh.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if len(algorithms) == 0 {
		return signer
	}
	limited, err := ssh.NewSignerWithAlgorithms(signer.(ssh.AlgorithmSigner), algorithms)
	if err != nil {
		t.Fatal(err)
	}
	return limited
}

func lines(keys ...ssh.PublicKey) string {
	var b strings.Builder
	for _, key := range keys {
		b.Write(ssh.MarshalAuthorizedKey(key))
	}
	return b.String()
}

func TestScanReadsEveryKeyOfSshd(t *testing.T) {
	dir := t.TempDir()
	var extra []string
	var more []ssh.PublicKey
	for name, generate := range map[string]func() (any, error){
		"p384": func() (any, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"p521": func() (any, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"rsa":  func() (any, error) { return rsa.GenerateKey(rand.Reader, 2048) },
	} {
		key, err := generate()
		if err != nil {
			t.Fatal(err)
		}
		block, err := ssh.MarshalPrivateKey(key, "")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			t.Fatal(err)
		}
		extra, more = append(extra, "HostKey "+path), append(more, signer.PublicKey())
	}
	sshd := startSshd(t, newSigner(t), extra...)
	got, err := target.Scan(t.Context(), dialer.DialContext, sshd.Address())
	if err != nil {
		t.Fatal(err)
	}
	want := append(sshd.HostKeys(), more...)
	var types []string
	for _, key := range got {
		types = append(types, key.Type())
	}
	order := []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA}
	if diff := cmp.Diff(order, types); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	for _, key := range want {
		if !strings.Contains(lines(got...), lines(key)) {
			t.Errorf("missing %s", lines(key))
		}
	}
}

func TestScanOfServers(t *testing.T) {
	plain := newSigner(t)
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ssh.NewSignerFromKey(ecdsaKey)
	if err != nil {
		t.Fatal(err)
	}
	hostCert := certify(t, newSigner(t), "db1", func(c *ssh.Certificate) {
		c.CertType, c.Permissions = ssh.HostCert, ssh.Permissions{}
	})
	strong := rsaSigner(t, 2048)
	for _, c := range []struct {
		name  string
		keys  []ssh.Signer
		want  []ssh.PublicKey
		dials int64
		err   string
	}{
		{name: "one key", keys: []ssh.Signer{plain}, want: []ssh.PublicKey{plain.PublicKey()}, dials: 2},
		{name: "RSA alone", keys: []ssh.Signer{strong}, want: []ssh.PublicKey{strong.PublicKey()}, dials: 2},
		{name: "a certificate beside a key", keys: []ssh.Signer{hostCert, p256}, want: []ssh.PublicKey{p256.PublicKey()}, dials: 2},
		{name: "a certificate alone", keys: []ssh.Signer{hostCert}, dials: 1, err: "no host key that can be pinned"},
		{name: "SHA-1 alone", keys: []ssh.Signer{rsaSigner(t, 2048, ssh.KeyAlgoRSA)}, dials: 1, err: "no host key that can be pinned"},
		{name: "weak RSA", keys: []ssh.Signer{rsaSigner(t, 1024)}, dials: 2, err: "no host key that can be pinned"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := sshServer(t, c.keys...)
			var dials atomic.Int64
			got, err := target.Scan(t.Context(), func(ctx context.Context, network, address string) (net.Conn, error) {
				dials.Add(1)
				return dialer.DialContext(ctx, network, address)
			}, address)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if diff := cmp.Diff(lines(c.want...), lines(got...)); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			if dials.Load() != c.dials {
				t.Errorf("%d connections, want %d", dials.Load(), c.dials)
			}
		})
	}
}

func TestScanOfWhatIsNoHost(t *testing.T) {
	for name, f := range map[string]func(net.Conn){
		"closes":       func(net.Conn) {},
		"speaks HTTP":  func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"speaks noise": func(c net.Conn) { c.Write([]byte("SSH-2.0-x\r\n" + strings.Repeat("\xff", 1<<12))) },
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := target.Scan(t.Context(), dialer.DialContext, answer(t, f))
			if err == nil || len(keys) != 0 || !strings.Contains(err.Error(), "reading the host keys of 127.0.0.1:") {
				t.Errorf("%v, %v", keys, err)
			}
		})
	}
	t.Run("disconnects with escape sequences", func(t *testing.T) {
		// RFC 4253, section 11.1: type 1, reason, text, language; in a packet of
		// section 6, four bytes of padding.
		reason := ssh.Marshal(struct {
			Type           byte
			Reason         uint32
			Text, Language string
		}{1, 2, strings.Repeat("\x1b]0;owned\a\n", 5000), "en"})
		packet := append([]byte{4}, append(reason, 0, 0, 0, 0)...)
		packet = append(packet, make([]byte, (8-(len(packet)+4)%8)%8)...)
		packet[0] = byte(len(packet) - 1 - len(reason))
		packet = append(binary.BigEndian.AppendUint32(nil, uint32(len(packet))), packet...)
		_, err := target.Scan(t.Context(), dialer.DialContext, answer(t, func(c net.Conn) {
			c.Write(append([]byte("SSH-2.0-x\r\n"), packet...))
			drained(c)
		}))
		if err == nil || !strings.Contains(err.Error(), "owned") || strings.ContainsAny(err.Error(), "\x1b\a\n") || len(err.Error()) > 400 {
			t.Errorf("error %.500q", err)
		}
	})
	t.Run("is silent", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		// The peer waits for the scan's end, so that the scan must end by itself.
		address := answer(t, func(c net.Conn) { drained(c) })
		if _, err := target.Scan(ctx, dialer.DialContext, address); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
		}
	})
	t.Run("is not there", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listener.Close()
		if _, err := target.Scan(t.Context(), dialer.DialContext, listener.Addr().String()); err == nil {
			t.Error("no error")
		}
	})
	if _, err := target.Scan(t.Context(), nil, "127.0.0.1:22"); err == nil {
		t.Error("scanned without a dialler")
	}
	if _, err := target.Scan(t.Context(), dialer.DialContext, "-oProxyCommand=x"); err == nil {
		t.Error("scanned an option")
	}
}
