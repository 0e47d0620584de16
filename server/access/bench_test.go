package access_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// traffic is what a working company appends most: a sign-in, a user certificate,
// a session with its target certificate, and the session's end.
func traffic(b *testing.B, n int) (*company, access.State, []*store.Entry) {
	b.Helper()
	c := found(b)
	var staff []person
	for i := range 100 {
		p := c.employ(fmt.Sprintf("user%d", i))
		c.target(fmt.Sprintf("db%d", i), "root")
		c.grant(p, store.TargetName(fmt.Sprintf("db%d", i)), 0, 0, "root")
		staff = append(staff, p)
	}
	base, first := c.state, len(c.entries)
	for i := 0; len(c.entries) < first+n; i++ {
		p := &staff[i%len(staff)]
		c.wait(time.Second)
		c.signIn(p)
		id := c.session(*p, store.TargetName(fmt.Sprintf("db%d", i%len(staff))), "root")
		c.do(access.IssueTargetCertificate{Session: id, Key: keys().subject, Nonce: c.random()})
		c.do(access.EndSession{Session: id, Reason: store.EndedByUser})
	}
	return c, base, c.entries[first : first+n]
}

// BenchmarkFold applies entries; goal: 200,000 a second.
func BenchmarkFold(b *testing.B) {
	const n = 10_000
	c, base, entries := traffic(b, n)
	b.ReportAllocs()
	for b.Loop() {
		s := base
		for _, e := range entries {
			var err error
			if s, err = access.Apply(s, e, c.text); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkFoldStored is BenchmarkFold from the stored bytes.
func BenchmarkFoldStored(b *testing.B) {
	const n = 10_000
	c, base, entries := traffic(b, n)
	stored := make([][]byte, n)
	for i, e := range entries {
		var err error
		if stored[i], err = e.Encode(); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s := base
		for _, data := range stored {
			e, err := store.DecodeEntry(data)
			if err != nil {
				b.Fatal(err)
			}
			if s, err = access.Apply(s, e, c.text); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "entries/s")
}

// large is a company of 1,000 users and 1,000 targets with 10,000 grants.
func large(b *testing.B) (*company, person) {
	b.Helper()
	c := found(b)
	for i := range 1000 {
		c.target(fmt.Sprintf("db%d", i), "root", "deploy")
	}
	var p person
	for i := range 1000 {
		p = c.employ(fmt.Sprintf("user%d", i))
		for j := range 10 {
			c.grant(p, store.TargetName(fmt.Sprintf("db%d", (i*7+j)%1000)), 0, 0, "root")
		}
	}
	return c, p
}

// BenchmarkDecide decides in a large company; goal for StartSession: 10 µs.
func BenchmarkDecide(b *testing.B) {
	c, p := large(b)
	start := c.start(p, store.TargetName(fmt.Sprintf("db%d", 999*7%1000)), "root")
	for name, cmd := range map[string]access.Command{
		"StartSession":         start,
		"IssueUserCertificate": access.IssueUserCertificate{By: p.caller(), Key: keys().subject, Nonce: c.random()},
		"SignIn":               access.SignInWithTOTP{User: p.id, Step: p.step + 1, Holder: c.holder()},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := access.Decide(c.state, cmd, c.now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReaches lists what one user of a large company may reach.
func BenchmarkReaches(b *testing.B) {
	c, p := large(b)
	for b.Loop() {
		if n := len(c.state.Reaches(p.id, c.at())); n != 10 {
			b.Fatalf("%d targets", n)
		}
	}
}

// BenchmarkSnapshot saves and opens the state of a large company.
func BenchmarkSnapshot(b *testing.B) {
	c, _ := large(b)
	data := snapshot(b, c.state)
	b.Run("save", func(b *testing.B) {
		for b.Loop() {
			snapshot(b, c.state)
		}
		b.ReportMetric(float64(len(data)), "bytes")
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if _, err := access.OpenSnapshot(data, c.text); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFindings tells the findings of a large company; goal: 50 ms.
func BenchmarkFindings(b *testing.B) {
	c, _ := large(b)
	c.wait(100 * 24 * time.Hour) // all of it is old and unused
	b.ReportAllocs()
	for b.Loop() {
		if n := len(c.state.Findings(c.at())); n < 12_000 {
			b.Fatalf("%d findings", n)
		}
	}
	b.ReportMetric(float64(len(c.state.Findings(c.at()))), "findings")
}
