//go:build linux

package e2e_test

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A debt is something that outlives this process unless it is undone: an
// account, a mounted disk.
type debt struct {
	undo func() error
	once sync.Once
	err  error
}

// debts are kept so that they are paid also when somebody interrupts the tests.
// The processes that the scripts start end with this one.
var debts struct {
	sync.Mutex
	all []*debt
}

func owe(undo func() error) *debt {
	d := &debt{undo: undo}
	debts.Lock()
	defer debts.Unlock()
	debts.all = append(debts.all, d)
	return d
}

func (d *debt) pay() error {
	d.once.Do(func() { d.err = d.undo() })
	return d.err
}

// payWhenInterrupted ends with the process, which it ends. It never gives the
// lock back, so that no new debt is made.
func payWhenInterrupted() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		debts.Lock()
		var errs []error
		killChildren()
		for _, d := range slices.Backward(debts.all) {
			errs = append(errs, d.pay())
		}
		// The scripts notice one by one that their programs are gone, and may
		// write until then.
		err := errors.New("not tried")
		for range 1000 {
			killChildren()
			if err = os.RemoveAll(root); err == nil {
				break
			}
		}
		if err := errors.Join(append(errs, err)...); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
		}
		os.Exit(130)
	}()
}

// killChildren ends the processes that this one started, which lead a session
// each, so that they write nothing any more.
func killChildren() {
	found, _ := filepath.Glob("/proc/self/task/*/children") // the pattern is right
	for _, file := range found {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				_ = syscall.Kill(-pid, syscall.SIGKILL) // it may just have ended, or lead none
			}
		}
	}
}
