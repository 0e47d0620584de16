package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A machine is a user's: a home of its own and a terminal that a test types on.
type machine struct {
	t     testing.TB
	dir   string
	env   []string
	typed []string // what is typed, a line for each time the terminal is opened
	tty   bytes.Buffer
	exec  []string // the program that was run last, and its arguments
	// browser is what a page does that is opened; there is no browser where it is nil.
	browser func(url string)
	opened  []string // pages that a browser was sent to
}

func newMachine(t testing.TB) *machine {
	t.Helper()
	dir := t.TempDir()
	return &machine{t: t, dir: dir, env: []string{"HOME=" + dir, "VAULTPAM_KEYRING=off", "TERM=dumb"}}
}

// enrolled is a machine on which carol enrolled and is signed in.
func enrolled(t testing.TB, s *fakeServer) *machine {
	t.Helper()
	m := newMachine(t)
	if r := m.runWith(strings.NewReader(goodCode+"\n"), "enroll", s.invitation(), "--code-stdin"); r.code != exitOK {
		t.Fatalf("enrolling: %+v", r)
	}
	return m
}

func (m *machine) home() string { return filepath.Join(m.dir, ".config", "vaultpam") }

// A result is what one command said.
type result struct {
	code        int
	out, stderr string
}

func (m *machine) run(args ...string) result { return m.runWith(strings.NewReader(""), args...) }

func (m *machine) runWith(stdin io.Reader, args ...string) result {
	return m.runContext(m.t.Context(), stdin, args...)
}

func (m *machine) runContext(ctx context.Context, stdin io.Reader, args ...string) result {
	m.t.Helper()
	var out, stderr bytes.Buffer
	main := m.main(stdin, &out, &stderr)
	code := main.Run(ctx, args)
	return result{code, out.String(), stderr.String()}
}

func (m *machine) main(stdin io.Reader, out, stderr io.Writer) *Main {
	return &Main{
		Stdin: stdin, Stdout: out, Stderr: stderr, Env: m.env, Now: time.Now, Zone: time.UTC, Random: rand.Reader,
		OpenTTY: m.openTTY, OpenBrowser: m.openBrowser, Hostname: func() (string, error) { return "carols-laptop", nil },
		Exec: func(program string, args, _ []string) (int, error) {
			m.exec = append([]string{program}, args...)
			return 42, nil
		},
		Executable: func() (string, error) { return "/usr/bin/vaultpam", nil },
		Version:    "v0.0.0-test",
	}
}

func (m *machine) openBrowser(_ context.Context, url string) error {
	if m.browser == nil {
		return errNoBrowser
	}
	m.opened = append(m.opened, url)
	m.browser(url)
	return nil
}

// openTTY is a terminal on which the next of the lines is typed, and none
// where there is nobody to type.
func (m *machine) openTTY() (io.ReadWriteCloser, error) {
	if m.typed == nil {
		return nil, errors.New("no such device or address")
	}
	line := ""
	if len(m.typed) > 0 {
		line = m.typed[0]
	}
	return &fakeTTY{m: m, in: strings.NewReader(line)}, nil
}

// A fakeTTY takes a line off what is typed once somebody reads.
type fakeTTY struct {
	m  *machine
	in *strings.Reader
}

func (f *fakeTTY) Read(p []byte) (int, error) {
	n, err := f.in.Read(p)
	if n > 0 && f.in.Len() == 0 {
		f.m.typed = f.m.typed[1:]
	}
	return n, err
}
func (f *fakeTTY) Write(p []byte) (int, error) { return f.m.tty.Write(p) }
func (f *fakeTTY) Close() error                { return nil }

// want holds a command's outcome to its exit code and to parts of what it says.
func (r result) want(t testing.TB, code int, parts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.stderr)
	}
	for _, p := range parts {
		if !strings.Contains(r.out+r.stderr, p) {
			t.Errorf("%q is missing\nstdout: %s\nstderr: %s", p, r.out, r.stderr)
		}
	}
}

// files returns the names of all files below a directory.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(dir, path)
			names = append(names, name)
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

func systemWords() string { return runtime.GOOS + "/" + runtime.GOARCH + " " + runtime.Version() }
