//go:build linux

package crash_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// bin is the directory of the programs, built once for all tests: vaultpamd and
// vaultpam as they are released, and failing, which is vaultpamd with failpoints.
var bin string

// inherited names, to a child of a test, the programs that its parent built.
const inherited = "VAULTPAM_TEST_CRASH_BIN"

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	if bin = os.Getenv(inherited); bin != "" {
		return m.Run(), nil
	}
	if bin, err = os.MkdirTemp("", "vaultpam-crash-"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(bin)) }()
	for _, args := range [][]string{
		{"-o", bin + string(filepath.Separator), "../vaultpam", "../vaultpamd"},
		{"-tags", "failpoint", "-o", program("failing"), "../vaultpamd"},
	} {
		cmd := exec.Command("go", append([]string{"build", "-trimpath"}, args...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("building the programs: %w\n%s", err, out)
		}
	}
	return m.Run(), nil
}

func program(name string) string { return filepath.Join(bin, name) }

// campaign chooses how long a loop is.
func campaign(normal, full int) int {
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		return full
	}
	return normal
}
