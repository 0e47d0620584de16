package agent_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
	sshagent "golang.org/x/crypto/ssh/agent"

	"github.com/vaultpam/vaultpam/client/agent"
)

// A recorder is an agent that remembers what was added.
type recorder struct {
	sshagent.Agent
	added []sshagent.AddedKey
}

func (r *recorder) Add(key sshagent.AddedKey) error {
	r.added = append(r.added, key)
	return r.Agent.Add(key)
}

// dial serves the recorder on a pipe; the serving ends with the connection.
func (r *recorder) dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	go sshagent.ServeAgent(r, far)
	return near, nil
}

func newClient(t *testing.T, dial agent.Dialer) *agent.Client {
	t.Helper()
	client, err := agent.NewClient("pam.example.eu", dial)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestS36Lifetime: the lifetime is what is left of the certificate, never more,
// and never 0, which would be for ever.
func TestS36Lifetime(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for name, test := range map[string]struct {
		now  time.Time
		end  uint64
		want uint32
	}{
		"five minutes":         {now, uint64(now.Unix()) + 300, 300},
		"part of a second":     {now.Add(time.Millisecond), uint64(now.Unix()) + 300, 299},
		"one second":           {now, uint64(now.Unix()) + 1, 1},
		"less than a second":   {now.Add(time.Millisecond), uint64(now.Unix()) + 1, 0},
		"just ended":           {now, uint64(now.Unix()), 0},
		"long ended":           {now, uint64(now.Unix()) - 1000, 0},
		"longer than a uint32": {now, uint64(now.Unix()) + 1<<32, 0},
		"for ever":             {now, ssh.CertTimeInfinity, 0},
		"negative as int64":    {now, 1 << 63, 0},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := newIssuer(t)
			id := issuer.identity(t, now.Add(-time.Hour), time.Minute)
			id.Cert.ValidAfter, id.Cert.ValidBefore = 1, test.end
			r := &recorder{Agent: sshagent.NewKeyring()}
			err := newClient(t, r.dial).Load(t.Context(), id.Key, id.Cert, test.now)
			if test.want == 0 {
				if err == nil || len(r.added) != 0 {
					t.Errorf("error %v, added %d", err, len(r.added))
				}
				return
			}
			if err != nil || len(r.added) != 1 || r.added[0].LifetimeSecs != test.want || r.added[0].ConfirmBeforeUse {
				t.Errorf("error %v, added %+v; want lifetime %d", err, r.added, test.want)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	now := time.Now()
	issuer := newIssuer(t)
	good, other := issuer.identity(t, now, time.Minute), issuer.identity(t, now, time.Minute)
	host := *good.Cert
	host.CertType = ssh.HostCert
	for name, id := range map[string]agent.Identity{
		"nothing":           {},
		"no certificate":    {Key: good.Key},
		"empty certificate": {Key: good.Key, Cert: &ssh.Certificate{}},
		"no key":            {Cert: good.Cert},
		"short key":         {Key: good.Key[:10], Cert: good.Cert},
		"another key's":     {Key: good.Key, Cert: other.Cert},
		"host certificate":  {Key: good.Key, Cert: &host},
	} {
		r := &recorder{Agent: sshagent.NewKeyring()}
		if err := newClient(t, r.dial).Load(t.Context(), id.Key, id.Cert, now); err == nil || len(r.added) != 0 {
			t.Errorf("%s: error %v, added %d", name, err, len(r.added))
		}
		if err := agent.WriteIdentity(t.TempDir(), id); err == nil {
			t.Errorf("%s: written", name)
		}
	}
}

func TestNewClientRefuses(t *testing.T) {
	dial := agent.SystemDialer("")
	for _, server := range []string{"", "a\nb", "a\x1b[2J"} {
		if _, err := agent.NewClient(server, dial); err == nil {
			t.Errorf("server %q accepted", server)
		}
	}
	if _, err := agent.NewClient("pam.example.eu", nil); err == nil {
		t.Error("no dialer accepted")
	}
}

// TestS36StallingAgent: an agent that takes requests and never answers costs
// its patience, or what is left of the caller's.
func TestS36StallingAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stall := func(context.Context) (net.Conn, error) {
			near, far := net.Pipe()
			go func() { // ends when the client closes the pipe
				io.Copy(io.Discard, far)
				far.Close()
			}()
			return near, nil
		}
		client := newClient(t, stall)
		id := newIssuer(t).identity(t, time.Now(), time.Minute)
		for name, call := range map[string]func(context.Context) error{
			"Remove": client.Remove,
			"Load":   func(ctx context.Context) error { return client.Load(ctx, id.Key, id.Cert, time.Now()) },
		} {
			start := time.Now()
			if err := call(t.Context()); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 5*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(start))
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, cancelled: %v", name, err)
			}
		}
	})
}

// A scripted connection answers with fixed bytes, whatever it is asked.
type scripted struct {
	net.Conn
	replies *bytes.Reader
	sent    bytes.Buffer
}

func (s *scripted) Read(p []byte) (int, error)  { return s.replies.Read(p) }
func (s *scripted) Write(p []byte) (int, error) { return s.sent.Write(p) }
func (s *scripted) Close() error                { return nil }

// FuzzAgentReplies holds that no reply crashes the client, and that it never
// asks the agent to remove an entry that is not its own.
func FuzzAgentReplies(f *testing.F) {
	id := newIssuer(f).identity(f, time.Now(), time.Hour)
	blob := id.Cert.Marshal()
	list := func(comments ...string) []byte {
		body := []byte{12, 0, 0, 0, byte(len(comments))}
		for _, comment := range comments {
			body = append(body, ssh.Marshal(struct {
				Blob    []byte
				Comment string
			}{blob, comment})...)
		}
		return frame(body)
	}
	success := frame([]byte{6})
	f.Add(append(append(success, list("vaultpam:pam.example.eu", "mine")...), success...))
	f.Add(list("vaultpam:pam.example.eu"))
	f.Add(frame([]byte{5}))
	f.Add(frame(nil))
	f.Add(frame([]byte{12, 0xff, 0xff, 0xff, 0xff}))
	f.Add(frame([]byte{12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, replies []byte) {
		conn := &scripted{}
		client := newClient(t, func(context.Context) (net.Conn, error) {
			conn.replies = bytes.NewReader(replies)
			return conn, nil
		})
		client.Load(t.Context(), id.Key, id.Cert, time.Now())
		conn.sent.Reset()
		client.Remove(t.Context())
		if own := bytes.Count(replies, []byte("vaultpam:pam.example.eu")); removals(conn.sent.Bytes()) > own {
			t.Errorf("%d removals for at most %d own entries", removals(conn.sent.Bytes()), own)
		}
	})
}

func frame(body []byte) []byte {
	return append([]byte{0, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}

// removals counts the SSH_AGENTC_REMOVE_IDENTITY (18) among framed requests.
func removals(sent []byte) int {
	count := 0
	for len(sent) > 4 {
		size := int(sent[0])<<24 | int(sent[1])<<16 | int(sent[2])<<8 | int(sent[3])
		if sent[4] == 18 {
			count++
		}
		sent = sent[4+size:]
	}
	return count
}
