package main

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
