package server_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// The benchmarks measure the programs as they are installed: `vaultpamd serve`
// in a process of its own, the system's ssh and sshd, a ledger on the disk that
// the temporary directory lies on. Server CPU and memory are read from /proc, so
// there are none of them but on Linux. docs/performance.md says how to read the figures.

// rounds is how often every row of a comparison is measured. The rows take
// turns, so that what else the machine does meets all of them alike.
func rounds() int {
	if os.Getenv("VAULTPAM_CAMPAIGN") != "" {
		return 11
	}
	return 3
}

// A figure is one measured value; a unit of the form a/b is a rate or a cost.
type figure struct {
	unit  string
	value float64
}

// A row is one line of a comparison.
type row struct {
	name string
	run  func(*testing.B) []figure
}

// compare measures all rows in every round and prints the medians as a table. The
// framework may call a row several times with growing b.N: the last call counts.
func compare(b *testing.B, title string, rows []row) {
	b.Helper()
	type place struct{ row, round int }
	measured := map[place][]figure{}
	for round := range rounds() {
		for i, r := range rows {
			b.Run(fmt.Sprintf("%s/round=%d", r.name, round), func(b *testing.B) {
				figures := r.run(b)
				for _, f := range figures {
					b.ReportMetric(f.value, f.unit)
				}
				measured[place{i, round}] = figures
			})
		}
	}
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for i, r := range rows {
		var all [][]figure
		for round := range rounds() {
			if figures := measured[place{i, round}]; len(figures) > 0 {
				all = append(all, figures)
			}
		}
		if len(all) > 0 { // -bench may have left the row out
			fmt.Fprintf(w, "%s\t%s\n", r.name, medians(all))
		}
	}
	w.Flush()
	// The framework shows what a benchmark with others in it logs only with -v.
	fmt.Fprintf(os.Stdout, "\n%s, medians of %d rounds:\n%s\n", title, rounds(), out.String())
}

// medians formats the medians of several measurements of the same figures.
func medians(all [][]figure) string {
	var cells []string
	for i, f := range all[0] {
		values := make([]float64, len(all))
		for j := range all {
			values[j] = all[j][i].value
		}
		cells = append(cells, fmt.Sprintf("%.4g %s", quantile(values, 0.5), f.unit))
	}
	return strings.Join(cells, "\t")
}

// quantile returns the smallest value that at least the share q of all values do
// not exceed. It sorts them.
func quantile(values []float64, q float64) float64 {
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

// buildPrograms builds vaultpam and vaultpamd as a release is built, with their
// symbols, which profilers need, and returns the directory they are in.
func buildPrograms(b *testing.B) string {
	b.Helper()
	dir := b.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-o", dir+string(filepath.Separator),
		"github.com/vaultpam/vaultpam/cmd/vaultpam", "github.com/vaultpam/vaultpam/cmd/vaultpamd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("building the programs: %v\n%s", err, out)
	}
	return dir
}

// filesystem names the type of file system that a directory is on.
func filesystem(b *testing.B, dir string) string {
	b.Helper()
	out, err := exec.Command("df", "--output=fstype", dir).Output()
	if err != nil {
		b.Fatalf("asking for the file system's type: %v", err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "Type"))
}
