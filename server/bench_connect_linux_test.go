package server_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// connectRounds is how often each way is taken, in turns.
const connectRounds = 30

// A way is how ssh reaches the target.
type way struct {
	name string // of the host in the ssh configuration, and of the metric
	args []string
	took []float64 // milliseconds
}

// BenchmarkConnect runs `ssh target true` with the system's ssh against one and
// the same sshd: directly, by ProxyJump through a second sshd, and through the
// relay, which decides, issues a certificate, records, and appends three
// entries. What is measured is the life of the ssh process.
//
// OpenSSH 9 agrees with itself on sntrup761, which costs both ends more than the
// curve25519 that the relay offers such a client: the ways that end in
// -curve25519 do what the relay does. relay-bare leaves out the look at the
// certificate's age that the configuration of `vaultpam config ssh` runs first.
func BenchmarkConnect(b *testing.B) {
	c := newCompany(b)
	ways := []*way{
		{name: "direct"}, {name: "direct-curve25519"}, {name: "jump"}, {name: "jump-curve25519"}, {name: "relay-bare"},
		{name: "relay", args: []string{"-F", filepath.Join(c.home, "ssh_config"), c.login + "@bench.pam"}},
	}
	for _, w := range ways {
		if w.args == nil {
			w.args = []string{"-F", c.config, w.name}
		}
		c.printKeyExchange(b, w)
	}
	size := c.node.size(b)
	runs := 0
	for b.Loop() {
		for range connectRounds {
			c.renew(b)
			for _, w := range ways {
				w.took = append(w.took, c.connect(b, w))
			}
			runs++
		}
	}
	// Of each session: started, certificate issued, ended. The last end of all
	// may still be under way.
	if got, want := c.node.size(b), size+uint64(2*3*runs); got+1 < want {
		b.Fatalf("the ledger has %d entries, want %d: the relay was not on the way", got, want)
	}
	report(b, ways)
}

// report reports the medians and prints them with the ratios that count.
func report(b *testing.B, ways []*way) {
	b.Helper()
	b.ReportMetric(0, "ns/op") // of no use: one operation is a round of all ways
	same := quantile(ways[1].took, 0.5)
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "way\tfastest ms\tmedian ms\tp90 ms\tto direct-curve25519\t\n")
	for _, x := range ways {
		median := quantile(x.took, 0.5)
		b.ReportMetric(median, x.name+"-ms")
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.1f\t%.2f\t\n", x.name, quantile(x.took, 0), median, quantile(x.took, 0.9), median/same)
	}
	w.Flush()
	fmt.Fprintf(os.Stdout, "\nconnect and run true, %d rounds:\n%s\n", len(ways[0].took), out.String())
}

// connect takes a way once and returns the milliseconds that it took.
func (c *company) connect(b *testing.B, w *way) float64 {
	b.Helper()
	var out bytes.Buffer
	cmd := c.ssh(w)
	cmd.Stderr = &out
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start).Seconds() * 1e3
	if err != nil {
		b.Fatalf("%s: %v\n%s", w.name, err, out.String())
	}
	return took
}

func (c *company) ssh(w *way, options ...string) *exec.Cmd {
	cmd := exec.Command("ssh", append(append(options, "-o", "BatchMode=yes"), append(w.args, "true")...)...)
	cmd.Env = append(os.Environ(), "VAULTPAM_KEYRING=off", "SSH_AUTH_SOCK=")
	return cmd
}

// printKeyExchange says what the two ends of each connection agree on.
func (c *company) printKeyExchange(b *testing.B, w *way) {
	b.Helper()
	if w.name == "direct" {
		c.renew(b)
	}
	out, err := c.ssh(w, "-v").CombinedOutput()
	if err != nil {
		b.Fatalf("%s: %v\n%s", w.name, err, out)
	}
	var agreed []string
	for _, m := range regexp.MustCompile(`kex: algorithm: (\S+)|server->client cipher: (\S+)`).FindAllSubmatch(out, -1) {
		agreed = append(agreed, string(m[1])+string(m[2]))
	}
	fmt.Fprintf(os.Stdout, "%s: %s\n", w.name, strings.Join(agreed, ", "))
}
