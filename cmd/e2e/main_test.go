//go:build linux

package e2e_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// root is the directory with the programs and with every script's own
// directory. Throw-away accounts must be able to enter it.
var root string

// keep leaves what the scripts made, to be looked at.
var keep = flag.Bool("keep", false, "keep the scripts' directories")

// update has the scripts take the pictures in docs/images anew.
var update = flag.Bool("update", false, "rewrite the scripts' pictures in docs/images")

// built names programs to test in place of the tree's: those of a release.
var built = flag.String("built", "", "directory of the programs to test (default: build them)")

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	base := ""
	if isRoot() {
		base = "/tmp" // root's own TMPDIR may be closed to others
	}
	if root, err = os.MkdirTemp(base, "vp-e2e-"); err != nil {
		return 1, err
	}
	if *keep {
		fmt.Fprintln(os.Stderr, "everything is kept in", root)
	} else {
		defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	}
	payWhenInterrupted()
	if err := os.Chmod(root, 0o755); err != nil {
		return 1, err
	}
	if err := checkScripts(); err != nil {
		return 1, err
	}
	if err := build(filepath.Join(root, "bin")); err != nil {
		return 1, err
	}
	code = m.Run()
	return code, closeChromium()
}

// early are testscript's own commands that end a script as passed, which would
// hide whatever stands behind them.
var early = regexp.MustCompile(`(?m)^(\[.*\] *)?(stop|skip)\b`)

func checkScripts() error {
	files, err := filepath.Glob("testdata/script/*.txtar")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if early.Match(text) && !slices.Contains([]string{"fulldisk.txtar", "doors.txtar"}, filepath.Base(file)) {
			return fmt.Errorf("%s ends early: %q", file, early.Find(text))
		}
	}
	return err
}

// build builds both programs, once for all scripts.
func build(bin string) error {
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if *built != "" {
		return os.CopyFS(bin, os.DirFS(*built))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", bin+string(filepath.Separator), "../vaultpam", "../vaultpamd")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the programs: %w\n%s", err, out)
	}
	return nil
}

func isRoot() bool { return os.Geteuid() == 0 }

// TestScripts runs testdata/script/*.txtar; commands says what they are written in.
func TestScripts(t *testing.T) {
	deadline, ok := t.Deadline()
	if !ok {
		deadline = time.Now().Add(10 * time.Minute)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		WorkdirRoot:         root,
		Deadline:            deadline,
		Setup:               setup,
		Condition:           condition,
		Cmds:                commands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func condition(name string) (bool, error) {
	switch name {
	case "root":
		return isRoot(), nil
	case "campaign":
		return os.Getenv("VAULTPAM_CAMPAIGN") == "1", nil
	}
	return false, fmt.Errorf("unknown condition %q", name)
}
