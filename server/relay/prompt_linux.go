package relay

import (
	"net"
	"syscall"
)

// acknowledge sends what is to be acknowledged (tcp(7), TCP_QUICKACK). The
// kernel forgets the option again by itself.
func acknowledge(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// It only saves time, so that it does not work is nothing to report.
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
