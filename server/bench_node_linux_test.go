package server_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A benchNode is `vaultpamd serve` in a process of its own.
type benchNode struct {
	measured
	bin, dir string
	admin    *benchUser
}

// measured is a server whose costs are read from /proc.
type measured struct{ process *os.Process }

// A benchUser is somebody who has signed in.
type benchUser struct {
	handle  store.Handle
	session client.Session
	pin     []byte
	client  *client.Client
}

// startNode makes a data directory, serves it and enrols the administrator. The
// process is ended with the benchmark.
func startNode(b *testing.B) *benchNode {
	b.Helper()
	n := &benchNode{bin: buildPrograms(b), dir: filepath.Join(b.TempDir(), "data")}
	out, err := exec.Command(n.program("vaultpamd"), "init", "--dir", n.dir, "--name", "localhost",
		"--https", freeAddress(b), "--ssh", freeAddress(b)).CombinedOutput()
	if err != nil {
		b.Fatalf("vaultpamd init: %v\n%s", err, out)
	}
	link := regexp.MustCompile(`https://\S+/enroll#[^']+`).Find(out)
	n.serve(b)
	n.admin = enrol(b, string(link))
	return n
}

func (n *benchNode) program(name string) string { return filepath.Join(n.bin, name) }

// serve starts the process and waits until it says that it serves.
func (n *benchNode) serve(b *testing.B) {
	b.Helper()
	cmd := exec.Command(n.program("vaultpamd"), "serve", "--dir", n.dir)
	log, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	n.process = cmd.Process
	said := bufio.NewScanner(log)
	ready := false
	for !ready && said.Scan() {
		ready = strings.Contains(said.Text(), "msg=serving")
	}
	drained := make(chan struct{})
	go func() { // ends with the process
		defer close(drained)
		for said.Scan() {
		}
	}()
	b.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			b.Error(err)
		}
		<-drained
		if err := cmd.Wait(); err != nil {
			b.Errorf("vaultpamd serve: %v", err)
		}
	})
	if !ready {
		b.Fatal("vaultpamd serve ended before it served")
	}
}

// addUser adds an engineer and enrols them.
func (n *benchNode) addUser(b *testing.B, handle string) *benchUser {
	b.Helper()
	added, err := n.admin.client.AddUser(b.Context(), store.Handle(handle), []store.Role{store.RoleEngineer})
	if err != nil {
		b.Fatal(err)
	}
	return enrol(b, added.Invitation)
}

// enrol uses an invitation up, with an authenticator of its own. That signs in.
func enrol(b *testing.B, link string) *benchUser {
	b.Helper()
	inv, err := api.ParseInvitation(link)
	if err != nil {
		b.Fatalf("%q: %v", link, err)
	}
	c, err := client.New(client.Config{Server: inv.Host, Pin: inv.Pin, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	begun, err := c.EnrollBegin(b.Context(), inv.Token)
	if err != nil {
		b.Fatal(err)
	}
	code, err := totp.GenerateCode(begun.Secret, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	if c, err = c.WithNewKey(); err != nil {
		b.Fatal(err)
	}
	session, err := c.EnrollFinish(b.Context(), inv.Token, code, "a bench")
	if err != nil {
		b.Fatal(err)
	}
	u := &benchUser{handle: store.Handle(begun.Handle), session: c.Opened(session.Token), pin: inv.Pin}
	if u.client, err = c.WithSession(u.session); err != nil {
		b.Fatal(err)
	}
	return u
}

// size is the number of entries in the ledger.
func (n *benchNode) size(b *testing.B) uint64 {
	b.Helper()
	info, err := n.admin.client.Info(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return info.Size
}

// cpu is the time that the process has spent on processors so far, from
// /proc/PID/stat (proc_pid_stat(5)), whose tick of 10 ms is little in a row.
func (m measured) cpu(b *testing.B) time.Duration {
	b.Helper()
	data := m.proc(b, "stat")
	// The second field is a name in brackets and may hold anything.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	const utime, stime, tick = 11, 12, time.Second / 100
	var ticks int64
	for _, i := range []int{utime, stime} {
		v, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += v
	}
	return time.Duration(ticks) * tick
}

// peak is the most memory that the process ever held, in MiB: VmHWM of
// /proc/PID/status, which counts the pages of the ledger's file that it has
// mapped.
func (m measured) peak(b *testing.B) float64 {
	b.Helper()
	return m.memory(b, "VmHWM")
}

// heap is what of the memory now held is the process's own: RssAnon, without
// mapped files.
func (m measured) heap(b *testing.B) float64 {
	b.Helper()
	return m.memory(b, "RssAnon")
}

func (m measured) memory(b *testing.B, field string) float64 {
	b.Helper()
	_, rest, ok := strings.Cut(string(m.proc(b, "status")), "\n"+field+":")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); !ok || err != nil {
		b.Fatalf("/proc has no %s: %v", field, err)
	}
	return kib / 1024
}

func (m measured) proc(b *testing.B, name string) []byte {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", m.process.Pid, name))
	if err != nil {
		b.Fatal(err)
	}
	return data
}

// freeAddress is a port of loopback that nobody listened on just now.
func freeAddress(b testing.TB) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
