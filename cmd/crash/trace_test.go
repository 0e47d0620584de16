//go:build linux

package crash_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A step is one system call, as strace(1) wrote it.
type step struct {
	at     time.Time // when it began
	name   string
	path   string // of the first descriptor among its arguments
	args   string
	result int64
	failed bool
	state  stepState
}

// A stepState tells the beginning of a call that another thread interrupted in
// the trace from its end.
type stepState int

const (
	whole stepState = iota
	begins
	ends
)

// traced is the wrapper that writes a trace of what touches disk and network to
// a file. -y names the file behind each descriptor.
func traced(file string, more ...string) []string {
	const calls = "openat,write,pwrite64,fsync,fdatasync,ftruncate,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,connect"
	return append([]string{"strace", "-f", "-qq", "-ttt", "-y", "-s", "0", "-o", file, "-e", "trace=" + calls}, more...)
}

var (
	stepLine   = regexp.MustCompile(`^\d+ +(\d+)\.(\d{6}) (?:<\.\.\. )?(\w+)( resumed>|\()(.*)$`)
	stepResult = regexp.MustCompile(`^(.*)\) += (-?\d+|\?)(.*)$`)
	descriptor = regexp.MustCompile(`^\d+<([^>]*)>`)
)

// readTrace returns the steps of a trace in the order in which they were seen.
func readTrace(t *testing.T, file string) []step {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var steps []step
	open := map[string]step{} // by thread and call
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		m := stepLine.FindStringSubmatch(line)
		if m == nil {
			continue // a signal, or the end of a thread
		}
		key := strings.Fields(line)[0] + m[3]
		s := step{name: m[3], at: moment(t, m[1], m[2]), args: m[5]}
		if m[4] == " resumed>" {
			s = open[key]
			s.args += m[5]
			s.state = ends
		}
		if args, cut := strings.CutSuffix(m[5], " <unfinished ...>"); cut {
			s.args, s.state = args, begins
			open[key] = s
		} else if r := stepResult.FindStringSubmatch(s.args); r != nil {
			s.args = r[1]
			s.result, err = strconv.ParseInt(r[2], 10, 64)
			s.failed = err != nil || s.result < 0 // "?" is a call that never came back
		} else {
			t.Fatalf("the trace has %q", line)
		}
		if d := descriptor.FindStringSubmatch(s.args); d != nil {
			s.path = d[1]
		}
		steps = append(steps, s)
	}
	if len(steps) == 0 {
		t.Fatal("the trace is empty")
	}
	return steps
}

func moment(t *testing.T, seconds, micros string) time.Time {
	t.Helper()
	s, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	us, err := strconv.ParseInt(micros, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Unix(s, us*1000)
}

func (s step) String() string { return fmt.Sprintf("%s(%s)", s.name, s.args) }

// offset is where a pwrite64 writes to, and how much.
func (s step) offset(t *testing.T) (from, size int64) {
	t.Helper()
	parts := strings.Split(s.args, ", ")
	if len(parts) != 4 {
		t.Fatalf("pwrite64 with %d arguments: %s", len(parts), s)
	}
	size, err := strconv.ParseInt(parts[2], 10, 64)
	if err == nil {
		from, err = strconv.ParseInt(parts[3], 10, 64)
	}
	if err != nil {
		t.Fatal(err)
	}
	return from, size
}

var quoted = regexp.MustCompile(`(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"`)

// paths are the absolute paths that a call names, in order.
func (s step) paths() []string {
	var all []string
	for _, m := range quoted.FindAllStringSubmatch(s.args, -1) {
		p := m[2]
		if !filepath.IsAbs(p) {
			p = filepath.Join(m[1], p)
		}
		all = append(all, filepath.Clean(p))
	}
	return all
}

// A disk is what of a tree would not survive a power cut: what was written and
// not synced, and names that are not in a synced directory. A call that has not
// come back counts where that is worse: a write from its beginning, a sync at
// its end. The name of the root itself is not looked at: without it nothing is
// there, and init can be run again.
type disk struct {
	root  string
	files map[string][]span   // unsynced writes
	names map[string][]string // by directory, unsynced names in it
	known map[string]bool     // everything that was seen
	sync  map[string]int      // by thread's call: how many writes a running sync covers
}

// A span is a run of a file's bytes; of size 0, that its length changed.
type span struct{ from, size int64 }

func newDisk(root string) *disk {
	return &disk{root: root, files: map[string][]span{}, names: map[string][]string{}, known: map[string]bool{}, sync: map[string]int{}}
}

// within reports whether a path is in the tree, or its root.
func (d *disk) within(path string) bool {
	return path == d.root || strings.HasPrefix(path, d.root+string(filepath.Separator))
}

// take takes a step in.
func (d *disk) take(t *testing.T, s step) {
	t.Helper()
	switch s.name {
	case "write", "pwrite64", "ftruncate":
		if s.state == ends || !d.within(s.path) {
			return
		}
		w := span{}
		if s.name == "pwrite64" {
			w.from, w.size = s.offset(t)
		}
		d.files[s.path] = append(d.files[s.path], w)
	case "fsync", "fdatasync":
		d.synced(s)
	case "openat", "mkdir", "mkdirat", "link", "linkat":
		all := s.paths()
		if s.state == begins || s.failed || len(all) == 0 || (s.name == "openat" && !strings.Contains(s.args, "O_CREAT")) {
			return
		}
		d.appeared(all[len(all)-1])
	case "rename", "renameat", "renameat2":
		if s.state != begins && !s.failed {
			d.renamed(s.paths())
		}
	}
}

func (d *disk) synced(s step) {
	switch {
	case s.state == begins:
		d.sync[s.path] = len(d.files[s.path])
		return
	case s.failed:
		return
	}
	covered := len(d.files[s.path])
	if s.state == ends {
		covered = min(covered, d.sync[s.path])
	}
	if d.files[s.path] = d.files[s.path][covered:]; len(d.files[s.path]) == 0 {
		delete(d.files, s.path)
	}
	delete(d.names, s.path)
}

func (d *disk) appeared(path string) {
	if d.known[path] || !d.within(path) {
		return
	}
	d.known[path] = true
	dir := filepath.Dir(path)
	d.names[dir] = append(d.names[dir], path)
}

func (d *disk) renamed(paths []string) {
	if len(paths) != 2 || !d.within(paths[1]) {
		return
	}
	from, to := paths[0], paths[1]
	move := func(p string) string {
		if p == from || strings.HasPrefix(p, from+string(filepath.Separator)) {
			return to + p[len(from):]
		}
		return p
	}
	files, names := map[string][]span{}, map[string][]string{}
	for p, w := range d.files {
		files[move(p)] = w
	}
	for dir, all := range d.names {
		for _, p := range all {
			if p != from { // it is gone from there
				names[move(dir)] = append(names[move(dir)], move(p))
			}
		}
	}
	d.files, d.names = files, names
	delete(d.known, to)
	d.appeared(to)
}

// lost returns what a power cut would take, but for paths that ignore names.
func (d *disk) lost(ignore ...string) []string {
	var all []string
	skip := func(path string) bool {
		for _, i := range ignore {
			if strings.Contains(path, i) {
				return true
			}
		}
		return false
	}
	for p := range d.files {
		if !skip(p) {
			all = append(all, "content of "+p)
		}
	}
	for _, names := range d.names {
		for _, p := range names {
			if !skip(p) {
				all = append(all, "name "+p)
			}
		}
	}
	return all
}
