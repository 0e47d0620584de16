//go:build unix

package target_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/target"
)

// loginShells are those that this machine has of the shells that accounts have.
// It leaves busybox out, which asks no other program than itself for its id.
func loginShells() map[string][]string {
	all := map[string][]string{"sh": {"sh"}}
	for _, name := range []string{"bash", "csh", "tcsh", "fish", "zsh", "ksh", "dash"} {
		if path, err := exec.LookPath(name); err == nil {
			all[name] = []string{path}
		}
	}
	return all
}

// TestRunAsRoot runs its command as sshd does, with programs for id and sudo
// that make an ordinary user of whoever runs it, or root.
func TestRunAsRoot(t *testing.T) {
	// A script that is longer than any buffer.
	script := "echo \"arguments: $*\"\ncat <<'END' | wc -l\n" + strings.Repeat("'\"$(exit 1)\\ !\n", 20000) + "END\necho the end\n"
	for _, c := range []struct {
		name, id, sudo string
		mode           target.Mode
		code           int
		says           string
	}{
		{"root", "0", "exit 1", target.ModeClose, 0, "arguments: --close\n20000\nthe end\n"},
		{"root without arguments", "0", "exit 1", target.ModeSetUp, 0, "arguments: \n20000\nthe end\n"},
		{"root opens", "0", "exit 1", target.ModeOpen, 0, "arguments: --open\n"},
		{"root undoes", "0", "exit 1", target.ModeUndo, 0, "arguments: --undo\n"},
		{"no mode", "0", "exit 1", target.Mode(7), 0, "arguments: --unknown\n"},
		{"sudo", "1000", `[ "$1" = -n ] && shift && exec "$@"`, target.ModeClose, 0, "arguments: --close\n20000\nthe end\n"},
		{"sudo wants a password", "1000", "cat; exit 1", target.ModeClose, target.ExitNotRoot, "neither root nor allowed"},
		{"sudo allows other commands", "1000", `[ "$3" != -c ] && exec "$@"; exit 1`, target.ModeClose, target.ExitNotRoot, "neither root nor allowed"},
	} {
		for shellName, shell := range loginShells() {
			t.Run(c.name+"/"+shellName, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				for name, text := range map[string]string{"id": "echo " + c.id, "sudo": c.sudo} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
						t.Fatal(err)
					}
				}
				command := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-c", target.RunAsRoot(c.mode))...)
				command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
				command.Stdin = strings.NewReader(script)
				out, err := command.CombinedOutput()
				var exit *exec.ExitError
				if err != nil && !errors.As(err, &exit) {
					t.Fatal(err)
				}
				if got := command.ProcessState.ExitCode(); got != c.code || !strings.Contains(string(out), c.says) {
					t.Errorf("exit code %d, want %d and %q; it said %.200q", got, c.code, c.says, out)
				}
			})
		}
	}
}
