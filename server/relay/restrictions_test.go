package relay_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// straight shows a certificate of the target CA to the host itself, with the
// permissions that change leaves.
func (p *person) straight(change func(*ssh.Certificate)) (*ssh.Client, error) {
	t := p.w.t
	t.Helper()
	now := time.Now()
	cert := &ssh.Certificate{
		Key: p.signer.PublicKey(), Serial: 1, CertType: ssh.UserCert, KeyId: "straight", ValidPrincipals: []string{p.w.login + "@db1"},
		ValidAfter: uint64(now.Add(-time.Minute).Unix()), ValidBefore: uint64(now.Add(time.Minute).Unix()),
	}
	change(cert)
	if err := cert.SignCert(rand.Reader, p.w.gate.target); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewCertSigner(cert, p.signer)
	if err != nil {
		t.Fatal(err)
	}
	client, err := ssh.Dial("tcp", p.w.sshd.Address(), &ssh.ClientConfig{
		User: p.w.login, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)}, HostKeyCallback: ssh.FixedHostKey(p.w.sshd.HostKeys()[0]),
		HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
	})
	if err == nil {
		t.Cleanup(func() { client.Close() })
	}
	return client, err
}

// A probe says what a connection lets its user do.
type probe func(t *testing.T, client *ssh.Client) string

func probeRequest(name string, payload []byte) probe {
	return func(t *testing.T, client *ssh.Client) string {
		channel, requests := openSession(t, client)
		go ssh.DiscardRequests(requests) // ends with the channel
		defer channel.Close()
		ok, err := channel.SendRequest(name, true, payload)
		return fmt.Sprint(ok, err)
	}
}

func probeForward(_ *testing.T, client *ssh.Client) string {
	conn, err := client.Dial("tcp", client.RemoteAddr().String()) // it listens, for certain
	if err != nil {
		return "refused"
	}
	conn.Close()
	return "granted"
}

func probeCommand(t *testing.T, client *ssh.Client) string {
	session, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	out, err := session.Output("echo free")
	return fmt.Sprintf("%s%v", out, err)
}

// TestS6SameAsDirect gives the same restrictions to a certificate that is shown
// to sshd, and to one that is shown to the relay in front of it: what they
// allow is the same.
func TestS6SameAsDirect(t *testing.T) {
	w := newWorld(t)
	w.gate.allow(t, everything) // so that it is the restriction that counts
	all := []string{"permit-X11-forwarding", "permit-agent-forwarding", "permit-port-forwarding", "permit-pty", "permit-user-rc"}
	without := func(name string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) {
			c.Extensions, c.CriticalOptions = map[string]string{}, map[string]string{}
			for _, e := range all {
				if e != name {
					c.Extensions[e] = ""
				}
			}
		}
	}
	option := func(name, value string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) {
			without("")(c)
			c.CriticalOptions[name] = value
		}
	}
	terminal := probeRequest("pty-req", marshal("xterm", uint32(80), uint32(24), uint32(0), uint32(0), "\x00"))
	agent := probeRequest("auth-agent-req@openssh.com", nil)
	x11 := probeRequest("x11-req", marshal(false, "MIT-MAGIC-COOKIE-1", "00", uint32(0)))
	const stopped = "not let in"
	for i, c := range []struct {
		name   string
		change func(*ssh.Certificate)
		probe  probe
		want   string
	}{
		{"nothing restricted, a terminal", without(""), terminal, "true <nil>"},
		{"nothing restricted, a command", without(""), probeCommand, "free\n<nil>"},
		{"nothing restricted, a forward", without(""), probeForward, "granted"},
		{"nothing restricted, the agent", without(""), agent, "true <nil>"},
		{"no permit-pty", without("permit-pty"), terminal, "false <nil>"},
		{"no permit-port-forwarding", without("permit-port-forwarding"), probeForward, "refused"},
		{"no permit-agent-forwarding", without("permit-agent-forwarding"), agent, "false <nil>"},
		{"no permit-X11-forwarding", without("permit-X11-forwarding"), x11, "false <nil>"},
		{"force-command", option("force-command", "echo forced"), probeCommand, "forced\n<nil>"},
		{"source-address of here", option("source-address", "127.0.0.0/8"), probeCommand, "free\n<nil>"},
		{"source-address of elsewhere", option("source-address", "192.0.2.7/32"), nil, stopped},
		{"an option that nobody knows", option("only-on-sundays", ""), nil, stopped},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := w.person(fmt.Sprintf("carol%d", i), c.change)
			outcome := func(client *ssh.Client, err error) string {
				switch {
				case err != nil:
					return stopped
				case c.probe == nil:
					return "let in"
				}
				return c.probe(t, client)
			}
			direct := outcome(p.straight(c.change))
			client, _, err := p.dial(p.certified())
			if relayed := outcome(client, err); direct != c.want || relayed != c.want {
				t.Errorf("direct %q, through the relay %q, want %q", direct, relayed, c.want)
			}
		})
	}
	// What the host refused above it grants where nothing restricts it, so that it
	// was the restriction that counted. Not so X11, for which it has no xauth.
	client, err := w.person("carol", nil).straight(without(""))
	if err != nil {
		t.Fatal(err)
	}
	if forward, agent := probeForward(t, client), agent(t, client); forward != "granted" || agent != "true <nil>" {
		t.Errorf("unrestricted: forwarding %s, agent %s", forward, agent)
	}
}

// TestS6SourceAddressOnEveryWay: a certificate that is good from one address
// opens from there and from nowhere else, also on a jump's inner connection,
// whose peer is a channel and no socket.
func TestS6SourceAddressOnEveryWay(t *testing.T) {
	w := newWorld(t)
	for source, want := range map[string]string{"127.0.0.1/32": "in\n", "127.0.0.9/32": ""} {
		p := w.person("carol"+source[8:9], func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"source-address": source} })
		for way, args := range map[string][]string{"proxy": {"db1.pam"}, "jump": {"jump.db1.pam"}, "name": p.nameWay()} {
			if got := p.ssh("", append(args, "echo in")...); got.stdout != want || (got.code == 0) != (want != "") {
				t.Errorf("%s, good from %s: %+v", way, source, got)
			}
		}
	}
}
