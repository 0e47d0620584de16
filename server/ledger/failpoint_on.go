//go:build failpoint && unix

package ledger

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// armed is the failpoint at which this process kills itself, and how many times
// it still passes it before. VAULTPAM_FAILPOINT holds both as NAME:TIMES, where
// 1 is the first time; without it the process lives.
var armed = sync.OnceValue(func() *countdown {
	c := &countdown{}
	name, times, ok := strings.Cut(os.Getenv("VAULTPAM_FAILPOINT"), ":")
	var n int64
	if _, err := fmt.Sscan(times, &n); ok && err == nil {
		c.at = failpoint(name)
		c.left.Store(n)
	}
	return c
})

type countdown struct {
	at   failpoint
	left atomic.Int64
}

// reach kills this process as kill -9 does, where its time has come: nothing is
// flushed, closed or told to anybody.
func reach(at failpoint) {
	c := armed()
	if c.at != at || c.left.Add(-1) != 0 {
		return
	}
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL) // nobody is left to tell
	select {}
}
