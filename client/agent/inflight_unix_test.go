//go:build !windows

package agent_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client/agent"
)

// TestRenewalDuringHandshake: ssh offers the certificate that it read at its
// start, and reads the private key only when the server says that it would do.
// A renewal by another process falls between the two, in the files and in the
// agent. It must not cost ssh its connection; a replaced key does, which is why
// Ensure keeps it.
func TestRenewalDuringHandshake(t *testing.T) {
	for name, test := range map[string]struct {
		agent bool
		renew func(*testing.T, agent.Keeper) agent.Identity
		ok    bool
	}{
		"renewed":            {false, ensure, true},
		"renewed with agent": {true, ensure, true},
		"replaced":           {false, replace, false},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			var guard sync.Mutex // guards now
			clock := func() time.Time {
				guard.Lock()
				defer guard.Unlock()
				return now
			}
			keeper, _ := newKeeper(t, clock)
			id, _, err := keeper.Ensure(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var client *agent.Client
			socket := ""
			if test.agent {
				socket = startAgent(t)
				client = newClient(t, agent.SystemDialer(socket))
				if err := client.Load(t.Context(), id.Key, id.Cert, clock()); err != nil {
					t.Fatal(err)
				}
			}
			var once sync.Once
			port := serveSSH(t, func() {
				once.Do(func() {
					guard.Lock()
					now = now.Add(250 * time.Second)
					guard.Unlock()
					id := test.renew(t, keeper)
					if client != nil {
						if err := client.Load(t.Context(), id.Key, id.Cert, clock()); err != nil {
							t.Error(err)
						}
					}
				})
			})
			cmd := exec.CommandContext(t.Context(), "ssh", "-F", "/dev/null", "-p", strconv.Itoa(port),
				"-o", "IdentityFile="+filepath.Join(keeper.Dir, agent.KeyFile), "-o", "CertificateFile="+filepath.Join(keeper.Dir, agent.CertFile),
				"-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
				"carol@127.0.0.1", "true")
			cmd.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
			if out, err := cmd.CombinedOutput(); (err == nil) != test.ok {
				t.Errorf("ssh: %v\n%s", err, out)
			}
		})
	}
}

func ensure(t *testing.T, keeper agent.Keeper) agent.Identity {
	id, outcome, err := keeper.Ensure(t.Context())
	if err != nil || outcome != agent.Renewed {
		t.Errorf("outcome %v, error %v", outcome, err)
	}
	return id
}

func replace(t *testing.T, keeper agent.Keeper) agent.Identity {
	id, err := keeper.Replace(t.Context())
	if err != nil {
		t.Error(err)
	}
	return id
}

// serveSSH accepts any certificate on 127.0.0.1, asking first what is to happen
// between a key's offer and its use, and answers every command with exit 0.
func serveSSH(t *testing.T, offered func()) (port int) {
	t.Helper()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if _, ok := key.(*ssh.Certificate); !ok {
			return nil, os.ErrPermission
		}
		offered()
		return nil, nil
	}}
	_, host, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	config.AddHostKey(host)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { // ends when the listener is closed
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		server, channels, requests, err := ssh.NewServerConn(conn, config)
		if err != nil {
			return
		}
		defer server.Close()
		go ssh.DiscardRequests(requests) // ends with the connection
		for wanted := range channels {
			channel, requests, err := wanted.Accept()
			if err != nil {
				return
			}
			for request := range requests {
				request.Reply(true, nil)
				if request.Type == "exec" {
					channel.SendRequest("exit-status", false, make([]byte, 4))
					channel.Close()
				}
			}
		}
	})
	t.Cleanup(func() {
		listener.Close()
		running.Wait()
	})
	return listener.Addr().(*net.TCPAddr).Port
}
