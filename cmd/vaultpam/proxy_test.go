package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newFakeServer(t)
	info := s.answers[api.RouteInfo.Pattern()].(api.Info)
	info.Relay = l.Addr().String()
	s.set(api.RouteInfo, info)
	m := enrolled(t, s)
	heard := make(chan string, 1)
	go func() { // ends with the one connection of the test
		conn, err := l.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		preamble, _ := r.ReadString('\n')
		rest, _ := io.ReadAll(r)
		heard <- preamble + string(rest)
		_, _ = io.WriteString(conn, "SSH-2.0-relay\r\n")
	}()
	r := m.runWith(strings.NewReader("SSH-2.0-client\r\n"), "proxy", "--", "db1.pam", "22")
	r.want(t, exitOK)
	if got := <-heard; got != "VAULTPAM/1 db1\nSSH-2.0-client\r\n" || r.out != "SSH-2.0-relay\r\n" {
		t.Errorf("the relay heard %q, ssh heard %q", got, r.out)
	}
	l.Close()
	m.run("proxy", "--", "db1.pam", "22").want(t, exitUnavailable, "vaultpam: cannot reach "+info.Relay+": connection refused")
}
