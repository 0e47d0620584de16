//go:build unix

package target_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/target"
)

// checkShells are shells and bash, which has ways of its own with words.
func checkShells() map[string][]string {
	all := maps.Clone(shells())
	if _, err := exec.LookPath("bash"); err == nil {
		all["bash"] = []string{"bash", "--posix"}
	}
	return all
}

// A checkedHost is a tree with accounts and running programs of its own.
type checkedHost struct {
	*tree
	setup                target.Setup
	script, proc         string
	passwd, shadow, home string
}

// newCheckedHost has the account that runs the tests, whose password is locked,
// and carol, whose password is set.
func newCheckedHost(t testing.TB, shell []string, setup target.Setup, config string) *checkedHost {
	t.Helper()
	h := &checkedHost{tree: newTree(t, shell, setup, config), setup: setup}
	other := t.TempDir()
	h.script, h.proc, h.home = filepath.Join(other, "check.sh"), filepath.Join(other, "proc"), filepath.Join(other, "home")
	h.passwd, h.shadow = filepath.Join(other, "passwd"), filepath.Join(other, "shadow")
	text, err := target.CheckScript(setup)
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, h.script, text)
	account, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, h.passwd, fmt.Sprintf("%s:x:%s:%s::%s:/bin/sh\ncarol:x:4711:4711:Carol:%s/carol:/bin/bash\n", me(t), account.Uid, account.Gid, h.home, h.home))
	h.write(t, h.shadow, fmt.Sprintf("%s:!:1::::::\ncarol:$6$verysecret:1::::::\n", me(t)))
	h.run1(t, 1, "init", "/sbin/init")
	if err := os.Symlink(filepath.Join(h.proc, "1"), filepath.Join(h.proc, "self")); err != nil {
		t.Fatal(err)
	}
	return h
}

// run1 lets a program seem to run.
func (h *checkedHost) run1(t testing.TB, pid int, command string, arguments ...string) {
	t.Helper()
	dir := filepath.Join(h.proc, fmt.Sprint(pid))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	h.write(t, filepath.Join(dir, "comm"), command+"\n")
	h.write(t, filepath.Join(dir, "cmdline"), strings.Join(arguments, "\x00")+"\x00")
}

func (h *checkedHost) put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	h.write(t, path, text)
}

// answer runs the check's script.
func (h *checkedHost) answer(t testing.TB) []byte {
	t.Helper()
	command := exec.CommandContext(t.Context(), h.shell[0], append(h.shell[1:], "-s")...)
	script, err := os.Open(h.script)
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	command.Stdin = script
	command.Env = append(os.Environ(), "SSHD_CONFIG="+h.conf, "SSHD="+sshdPath(t), "PASSWD="+h.passwd, "SHADOW="+h.shadow, "PROC="+h.proc)
	command.Env = append(command.Env, h.env...)
	var complaints strings.Builder
	command.Stderr = &complaints
	out, err := command.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("check: %v: %s", err, complaints.String())
	}
	return out
}

func (h *checkedHost) check(t testing.TB) target.Check {
	t.Helper()
	out := h.answer(t)
	check, err := target.ParseCheck(out, h.setup)
	if err != nil {
		t.Fatalf("%v; the answer was:\n%s", err, out)
	}
	return check
}

// wantReport fails the test unless the host's report is the one given, in which
// ETC, HOME and ME stand for the host's.
func (h *checkedHost) wantReport(t testing.TB, want ...string) target.Check {
	t.Helper()
	check := h.check(t)
	text, err := check.Report.Text()
	if err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer(h.dir+"/keys/"+string(me(t)), "ETC/keys/ME", h.dir, "ETC", h.home, "HOME", "\t"+string(me(t))+"\t", "\tME\t").Replace(text)
	var got []string
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			got = append(got, line)
		}
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	return check
}

// closedConfig is plainConfig with every other way in closed by hand.
const closedConfig = `AuthenticationMethods publickey
AuthorizedKeysFile none
PasswordAuthentication no
UsePAM no
` + plainConfig
