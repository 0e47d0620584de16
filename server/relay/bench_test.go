package relay_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/server/target"
)

// BenchmarkConnect compares connecting and running true through the relay, with
// recording and a fresh certificate, with going to the host directly and with a
// ProxyJump through sshd. All of it is OpenSSH with the same key exchange, in
// turns, so that a slow moment hits all alike. Figures are medians; ratios are
// to direct.
//
//	go test -run '^$' -bench Connect -benchtime 40x ./server/relay
func BenchmarkConnect(b *testing.B) {
	w := newWorld(b, func(_ *relay.Config, host *target.SshdConfig) {
		host.ExtraConfig = append(host.ExtraConfig, "AllowTcpForwarding yes")
	})
	carol := w.person("carol", nil)
	direct := w.direct(carol)
	ways := []struct {
		name string
		args []string
	}{
		{"direct", []string{"direct.test"}},
		{"sshd-jump", []string{"jumped.test"}},
		{"relay-name", carol.nameWay()},
		{"relay-proxy", []string{"db1.pam"}},
		{"relay-jump", []string{"jump.db1.pam"}},
	}
	took := map[string][]time.Duration{}
	for b.Loop() {
		for _, way := range ways {
			args := append([]string{"-F", direct, "-o", "KexAlgorithms=curve25519-sha256"}, append(slices.Clone(way.args), "true")...)
			cmd := exec.Command("ssh", args...)
			begun := time.Now()
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%s: %v: %s", way.name, err, out)
			}
			took[way.name] = append(took[way.name], time.Since(begun))
		}
	}
	base := median(took["direct"])
	for _, way := range ways {
		m := median(took[way.name])
		b.ReportMetric(float64(m.Microseconds())/1000, way.name+"-ms")
		b.ReportMetric(float64(m)/float64(base), way.name+"-ratio")
	}
	b.ReportMetric(0, "ns/op") // a sum of five ways says nothing
}

// BenchmarkBulk carries 64 MiB of text through one channel in each direction.
func BenchmarkBulk(b *testing.B) {
	const size = 64 << 20
	w := newWorld(b)
	carol := w.person("carol", nil)
	direct := w.direct(carol)
	line := strings.Repeat("all work and no play makes jack a dull boy\n", 1000)
	for _, way := range []struct {
		name string
		args []string
	}{{"direct", []string{"direct.test"}}, {"relay", carol.nameWay()}} {
		for _, transfer := range []struct{ name, command, stdin string }{
			{"down", fmt.Sprintf("yes all work and no play makes jack a dull boy | head -c %d", size), ""},
			{"up", "cat >/dev/null", strings.Repeat(line, size/len(line))},
		} {
			b.Run(way.name+"/"+transfer.name, func(b *testing.B) {
				b.SetBytes(size)
				for b.Loop() {
					cmd := exec.Command("ssh", append([]string{"-F", direct}, append(slices.Clone(way.args), transfer.command)...)...)
					cmd.Stdin = strings.NewReader(transfer.stdin)
					if err := cmd.Run(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
