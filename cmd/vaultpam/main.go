// Command vaultpam is what people use VaultPAM with: it signs in, keeps a
// short-lived certificate where ssh finds it, leads ssh through the relay, and
// asks the ledger.
//
// Its promises: data goes to standard output and everything else to standard
// error; every refusal says what was wrong and what to do, and has a documented
// exit code; a ledger that was rewritten or rolled back since this machine last
// saw it is refused; nothing that the server says acts on the terminal. It
// links no back end, no relay and no console.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set when a release is built: -ldflags "-X main.version=v1.2.3".
var version = "devel"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	m := Main{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Env: os.Environ(), Now: time.Now, Zone: time.Local, Random: rand.Reader,
		OpenTTY: openTTY, Exec: execProgram, Executable: os.Executable,
		OpenBrowser: openBrowser(os.Environ()), Hostname: os.Hostname,
		Version: version,
	}
	code := m.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// A Main is the program with everything that it takes from outside. All fields
// are needed.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Env is the environment in the form of os.Environ.
	Env  []string
	Now  func() time.Time
	Zone *time.Location
	// Random is where keys come from.
	Random io.Reader
	// OpenTTY opens the terminal that the process belongs to, whatever its
	// standard streams are.
	OpenTTY func() (io.ReadWriteCloser, error)
	// Exec runs a program in place of this one and returns only what kept it
	// from that, or its exit code where the system can't replace a process.
	Exec func(program string, args, env []string) (int, error)
	// OpenBrowser shows a page in the person's browser, or says why it can't.
	OpenBrowser func(ctx context.Context, url string) error
	// Hostname is what this machine calls itself.
	Hostname func() (string, error)
	// Executable returns the path of this program.
	Executable func() (string, error)
	Version    string
}

// Run runs one command and returns its exit code.
func (m *Main) Run(ctx context.Context, args []string) int {
	a := &app{Main: m}
	defer a.close()
	root := a.root()
	root.SetArgs(args)
	root.SetIn(m.Stdin)
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	if err := root.ExecuteContext(ctx); err != nil {
		return a.report(err)
	}
	return a.code
}
