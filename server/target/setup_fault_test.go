//go:build unix

package target_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestScriptSurvivesEverySshdCall fails, stops and kills the script at each of
// its calls of sshd in turn, while it sets up.
func TestScriptSurvivesEverySshdCall(t *testing.T) {
	failEverySshdCall(t, "set-up", withoutInclude(plainConfig), "This host trusts", nil)
}

// TestClosingSurvivesEverySshdCall does the same to the closing of a host that
// is set up, and in the campaign in the other layout and to its opening.
func TestClosingSurvivesEverySshdCall(t *testing.T) {
	failEverySshdCall(t, "drop-in", plainConfig+openBlocks, "Closed: ", [][]string{nil}, "--close")
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		failEverySshdCall(t, "block", withoutInclude(plainConfig), "Closed: ", [][]string{nil}, "--close")
		failEverySshdCall(t, "opening", plainConfig, "Open: ", [][]string{nil, {"--close"}}, "--open")
	}
}

// failEverySshdCall runs the script with args on trees on which it ran with each
// of earlier before.
func failEverySshdCall(t *testing.T, what, config, says string, earlier [][]string, args ...string) {
	setup := newSetup(t)
	for name, fault := range map[string]string{
		"fails":           "echo broken >&2; exit 255",
		"script is ended": "kill -TERM $SCRIPT",
		"script dies":     "kill -KILL $SCRIPT",
	} {
		t.Run(what+"/"+strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			for call := 1; ; call++ {
				tr := newTree(t, []string{"sh", "-c", `SCRIPT=$$; export SCRIPT; exec sh "$0" "$@"`}, setup, config)
				untouched := tr.snapshot(t)
				for _, args := range earlier {
					tr.want(t, 3, "", args...)
				}
				wrapper, count := filepath.Join(t.TempDir(), "sshd"), filepath.Join(t.TempDir(), "count")
				tr.write(t, wrapper, fmt.Sprintf("#!/bin/sh\necho x >>%s\nif [ $(wc -l <%s) = %d ]; then\n%s\nfi\nexec %s \"$@\"\n",
					count, count, call, fault, sshdPath(t)))
				if err := os.Chmod(wrapper, 0o700); err != nil {
					t.Fatal(err)
				}
				tr.env = []string{"SSHD=" + wrapper}
				before := tr.snapshot(t)
				code, out := tr.run(t, args...)
				calls, err := os.ReadFile(count)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Count(calls, []byte("\n")) < call {
					if call < 5 {
						t.Fatalf("sshd was called %d times only", call-1)
					}
					return
				}
				after := tr.snapshot(t)
				switch changed := !cmp.Equal(before, after); {
				case code == 3 || strings.Contains(out, says):
					if !changed {
						t.Errorf("call %d: exit code %d without a change:\n%s", call, code, out)
					}
				case code == 1 && changed:
					t.Errorf("call %d: refused, yet changed:\n%s\n%s", call, cmp.Diff(before, after), out)
				case code != 1 && code != -1:
					t.Errorf("call %d: exit code %d:\n%s", call, code, out)
				}
				// Whatever happened, a new run ends well and leaves nothing over.
				tr.env = nil
				code, out = tr.run(t, args...)
				if code != 3 && code != 0 {
					t.Fatalf("run after call %d: exit code %d:\n%s", call, code, out)
				}
				for name := range tr.snapshot(t) {
					if strings.Contains(name, ".vaultpam-") {
						t.Errorf("run after call %d left %s", call, name)
					}
				}
				tr.run(t, "--undo")
				if diff := cmp.Diff(contents(untouched), contents(tr.snapshot(t))); diff != "" {
					t.Errorf("undo after call %d (-before +after):\n%s", call, diff)
				}
			}
		})
	}
}
