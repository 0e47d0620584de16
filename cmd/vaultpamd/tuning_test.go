package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// The collector waits for as much garbage as there is headroom, unless GOGC was
// set: then it does what that says.
func TestHeadroom(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100)) // whatever the environment says
	spare := headroom(func(string) string { return "" })
	runtime.GC()
	goal := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal)
	if got, want := goal[0].Value.Uint64(), 2*uint64(len(spare)); got < want || len(spare) == 0 {
		t.Errorf("with %d bytes to spare the heap is collected at %d, want at least %d", len(spare), got, want)
	}
	runtime.KeepAlive(spare)
	if headroom(func(name string) string { return map[string]string{"GOGC": "100"}[name] }) != nil {
		t.Error("GOGC is set, and there is headroom all the same")
	}
}

// There are processors for what waits for the disk, unless GOMAXPROCS was set.
func TestProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	processors(func(name string) string { return map[string]string{"GOMAXPROCS": "1"}[name] })
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("GOMAXPROCS is set, and there are %d processors where there were %d", got, before)
	}
	processors(func(string) string { return "" })
	if got, want := runtime.GOMAXPROCS(0), before+diskWaiters; got != want {
		t.Errorf("%d processors, want %d", got, want)
	}
}
