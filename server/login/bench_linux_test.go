package login_test

import (
	"syscall"
	"testing"
	"time"
)

// BenchmarkPasskey is the server's part of a sign-in by browser with a P-256
// passkey: the ceremony begun, its challenge drawn, the assertion verified, the
// sign-in decided, appended and synced. What the authenticator does is not in it.
func BenchmarkPasskey(b *testing.B) {
	o := found(b)
	k, _ := o.enrolPasskey("carol")
	var cpu time.Duration
	for b.Loop() {
		cpu -= processor(b)
		p := o.loopback(home)
		asked, err := o.Ask(p.begun.ID, chrome, home)
		if err != nil {
			b.Fatal(err)
		}
		cpu += processor(b)
		b.StopTimer()
		answer := k.get(b, asked.Get)
		o.clock.wait(time.Second)
		b.StartTimer()
		cpu -= processor(b)
		out, err := o.Answer(b.Context(), p.begun.ID, chrome, answer, home)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.redeem(o.codeIn(out)); err != nil {
			b.Fatal(err)
		}
		cpu += processor(b)
	}
	b.ReportMetric(cpu.Seconds()*1000/float64(b.N), "cpu-ms/op")
}

// processor is the processor time that this process has used.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
