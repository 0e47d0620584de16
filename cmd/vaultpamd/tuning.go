package main

import "runtime"

// headroom asks for memory that is never touched, so it takes none of the
// machine's: the collector counts it as live, and lets that much garbage more
// gather before it runs again. The server's own heap is a few MiB, and under load
// it would be collected many times a second. GOGC could say the same only as a
// share of what lives, which ten thousand sessions would multiply; this stays
// 16 MiB. Who sets GOGC has chosen for themselves. It must be kept alive.
func headroom(getenv func(string) string) []byte {
	const size = 16 << 20
	if getenv("GOGC") != "" {
		return nil
	}
	return make([]byte, size)
}

// diskWaiters are the goroutines of a ledger that wait for the disk in a system call:
// the writer, and who brings its journal into the file.
const diskWaiters = 2

// processors lets as much Go code run at once while those wait as at other times. A
// system call keeps one of the runtime's processors until the runtime looks for it,
// and a sync that takes a tenth of a millisecond is over by then: on two cores half
// of the server stood still meanwhile. Who sets GOMAXPROCS has chosen for themselves.
func processors(getenv func(string) string) {
	if getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + diskWaiters)
	}
}
