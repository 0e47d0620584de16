package relay_test

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
)

// dialFrom connects from another address of loopback.
func dialFrom(t *testing.T, source, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}).Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestS32FloodOfStrangers fills the relay with connections that never prove a
// key.
func TestS32FloodOfStrangers(t *testing.T) {
	w := newWorld(t, func(c *relay.Config, _ *target.SshdConfig) { c.Limits.Pending, c.Limits.PendingPerSource = 30, 10 })
	carol := w.person("carol", nil)
	greeted, crowded := 0, 0
	for source := range 2 {
		for range 15 {
			conn := dialFrom(t, fmt.Sprintf("127.0.0.%d", 2+source), w.address)
			line, err := bufio.NewReader(conn).ReadString('\n')
			switch {
			case err == nil && line == "SSH-2.0-VaultPAM\r\n":
				greeted++
			case err == nil && strings.HasPrefix(line, "vaultpam: too many connections"):
				crowded++
			default:
				t.Fatalf("a stranger reads %q, %v", line, err)
			}
		}
	}
	if greeted != 20 || crowded != 10 {
		t.Errorf("%d connections were greeted, %d turned away; want 20 and 10", greeted, crowded)
	}
	if n := w.relay.Waiting(); n != 20 {
		t.Errorf("%d connections are waiting, want 20", n)
	}
	if got := carol.ssh("", "db1.pam", "echo in"); got.stdout != "in\n" {
		t.Errorf("somebody with a certificate does not get in: %+v", got)
	}
}

// TestS32Slowloris sends a byte now and then, before and in the handshake.
func TestS32Slowloris(t *testing.T) {
	w := newWorld(t, func(c *relay.Config, _ *target.SshdConfig) { c.Limits.Handshake = 300 * time.Millisecond })
	for _, first := range []string{"", "V", "SSH-2.0-x\r\n", "VAULTPAM/1 db1\nSSH-2.0-x\r\n"} {
		conn, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		io.WriteString(conn, first)
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err = io.Copy(io.Discard, conn)
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("after %q the connection was held for %v (%v)", first, took, err)
		}
		conn.Close()
	}
	w.stop()
	if n := w.relay.Waiting(); n != 0 {
		t.Errorf("%d places are still taken", n)
	}
}

// TestS32ManyAttempts holds a connection to six failed attempts.
func TestS32ManyAttempts(t *testing.T) {
	w := newWorld(t, withoutSshd)
	attempts := 0
	_, _, err := w.dialCallback(func(*ssh.ClientAuthContext) (ssh.AuthMethod, error) {
		attempts++
		return ssh.Password("x"), nil
	})
	if err == nil || attempts > 7 {
		t.Errorf("%d attempts, %v", attempts, err)
	}
}

// TestS32RefusedChannelsCostNothing opens channels that are refused, by the ten
// thousand.
func TestS32RefusedChannelsCostNothing(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	grown := func() uint64 {
		for range 10_000 {
			if _, _, err := client.OpenChannel("direct-tcpip", nil); err == nil {
				t.Fatal("a channel was opened")
			}
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := grown()
	if after := grown(); after > before+2<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	client.Close()
	if n := strings.Count(w.recorded(0)["session.jsonl"], "channel.refused"); n == 0 || n > 1000 {
		t.Errorf("%d refusals are in the recording", n)
	}
}

func TestS32ChannelsOfOneConnection(t *testing.T) {
	w := newWorld(t, func(c *relay.Config, host *target.SshdConfig) {
		c.Limits.Channels = 3
		host.ExtraConfig = append(host.ExtraConfig, "MaxSessions 10")
	})
	carol := w.person("carol", nil)
	client, _, err := carol.dial(carol.certified())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := client.NewSession(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.NewSession(); err == nil || !strings.Contains(err.Error(), "vaultpam: too many sessions") {
		t.Errorf("a fourth session: %v", err)
	}
}

// TestStrangersCantProbeTargets holds the handshake for a target that is
// registered and for one that is not to be alike.
func TestStrangersCantProbeTargets(t *testing.T) {
	w := newWorld(t, withoutSshd)
	for _, name := range []string{"db1", "no-such-host"} {
		conn, err := net.Dial("tcp", w.address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, "VAULTPAM/1 "+name+"\n")
		_, _, _, err = ssh.NewClientConn(conn, name+".pam:22", &ssh.ClientConfig{User: "root", HostKeyCallback: w.checkHost().CheckHostKey})
		if err == nil || !strings.Contains(err.Error(), "attempted methods [none]") {
			t.Errorf("%s: %v", name, err)
		}
		conn.Close()
	}
}

// TestS33Algorithms reads what the relay offers off the wire.
func TestS33Algorithms(t *testing.T) {
	w := newWorld(t, withoutSshd)
	conn, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "SSH-2.0-test\r\n")
	r := bufio.NewReader(conn)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal(err)
	}
	packet := make([]byte, binary.BigEndian.Uint32(head[:4])-1)
	if _, err := io.ReadFull(r, packet); err != nil {
		t.Fatal(err)
	}
	var lists [6][]string // kex, host keys, ciphers both ways, MACs both ways
	rest := packet[1+16:]
	for i := range lists {
		n := binary.BigEndian.Uint32(rest)
		lists[i] = strings.Split(string(rest[4:4+n]), ",")
		rest = rest[4+n:]
	}
	kex := []string{
		"mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org",
		"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "kex-strict-s-v00@openssh.com",
	}
	ciphers := []string{"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr"}
	macs := []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"}
	want := [6][]string{kex, {"ssh-ed25519-cert-v01@openssh.com"}, ciphers, ciphers, macs, macs}
	if diff := cmp.Diff(want, lists); diff != "" {
		t.Errorf("what the relay offers (-want +got):\n%s", diff)
	}
}

// TestS33Lists holds the lists for both sides to what x/crypto calls secure.
func TestS33Lists(t *testing.T) {
	safe := ssh.SupportedAlgorithms()
	for _, list := range []struct {
		name      string
		ours, all []string
	}{
		{"key exchanges", relay.KeyExchanges(), safe.KeyExchanges},
		{"ciphers", relay.Ciphers(), safe.Ciphers},
		{"MACs", relay.MACs(), safe.MACs},
		{"user keys", relay.UserKeys(), safe.PublicKeyAuths},
		{"host keys", relay.HostKeyAlgorithms([]ssh.PublicKey{rsaKey(t), newKey(t).PublicKey()}), safe.HostKeys},
	} {
		for _, a := range list.ours {
			if !slices.Contains(list.all, a) || strings.Contains(a, "sha1") || a == "ssh-rsa" || strings.Contains(a, "dss") {
				t.Errorf("%s hold %s", list.name, a)
			}
		}
	}
	if relay.KeyExchanges()[0] != "mlkem768x25519-sha256" {
		t.Error("the post-quantum key exchange is not the first")
	}
}
