//go:build linux

package packaging_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// top is the top of the tree, as seen from here.
var top = filepath.Join("..", "..", "..")

// root is the directory with the package and with every script's own directory.
// The service's account must be able to enter it.
var root string

// deb names a package to test in place of the tree's: that of a release.
var deb = flag.String("deb", "", "package to test (default: build it)")

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
	if root, err = os.MkdirTemp(base, "vp-deb-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(root)) }()
	if err := os.Chmod(root, 0o755); err != nil {
		return 1, err
	}
	if *deb == "" {
		if *deb, err = buildDeb(root); err != nil {
			return 1, fmt.Errorf("building the package: %w", err)
		}
	}
	if *deb, err = filepath.Abs(*deb); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

func isRoot() bool { return os.Geteuid() == 0 }

// TestScripts runs testdata/script/*.txtar, and testdata/campaign/*.txtar where
// VAULTPAM_CAMPAIGN=1 is set; commands says what they are written
// in beside testscript's own. As an ordinary user nothing can be installed:
// there the package is unpacked, and its programs do the same.
func TestScripts(t *testing.T) {
	deadline, ok := t.Deadline()
	if !ok {
		deadline = time.Now().Add(10 * time.Minute)
	}
	dirs := []string{"script"}
	if isRoot() && os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		dirs = append(dirs, "campaign")
	}
	var files []string
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join("testdata", dir, "*.txtar"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no scripts in %s: %v", dir, err)
		}
		files = append(files, found...)
	}
	testscript.Run(t, testscript.Params{
		Files:               files,
		WorkdirRoot:         root,
		Deadline:            deadline,
		Setup:               setup,
		Cmds:                commands(),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition: func(name string) (bool, error) {
			if name == "root" {
				return isRoot(), nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
	})
}
