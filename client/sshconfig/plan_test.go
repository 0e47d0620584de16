package sshconfig_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client/sshconfig"
)

// place returns a Config in a new directory, and the path of a user's
// configuration with the given content; none if it is nil.
func place(t *testing.T, content []byte) (sshconfig.Config, string) {
	t.Helper()
	home := t.TempDir()
	c := sample(t)
	c.Dir = filepath.Join(home, ".config", "vaultpam")
	user := filepath.Join(home, ".ssh", "config")
	if content != nil {
		writeFile(t, user, string(content))
	}
	return c, user
}

func TestInstallAndRemove(t *testing.T) {
	const include = "Include \"DIR/ssh_config\"\n"
	for name, test := range map[string]struct{ before, after, removed string }{
		"empty":              {"", include, ""},
		"hosts":              {"Host db\n  User x\n", include + "Host db\n  User x\n", "Host db\n  User x\n"},
		"no last newline":    {"Host db", include + "Host db", "Host db"},
		"CRLF":               {"Host db\r\n  User x\r\n", "Include \"DIR/ssh_config\"\r\nHost db\r\n  User x\r\n", "Host db\r\n  User x\r\n"},
		"byte order mark":    {"\xef\xbb\xbf# hello\n", "\xef\xbb\xbf" + include + "# hello\n", "\xef\xbb\xbf# hello\n"},
		"Latin-1":            {"# M\xfcller\n", include + "# M\xfcller\n", "# M\xfcller\n"},
		"there already":      {include + "Host db\n", include + "Host db\n", "Host db\n"},
		"there, differently": {"# mine\n\ninclude = DIR/ssh_config\nHost db\n", "# mine\n\ninclude = DIR/ssh_config\nHost db\n", "# mine\n\nHost db\n"},
		"too far down":       {"Host db\n" + include + "User x\n", include + "Host db\nUser x\n", "Host db\nUser x\n"},
		"twice":              {include + "Host db\n" + include, include + "Host db\n", "Host db\n"},
		"another's":          {"Include other\n", include + "Include other\n", "Include other\n"},
		"of two files":       {"Include DIR/ssh_config other\n", include + "Include DIR/ssh_config other\n", "Include DIR/ssh_config other\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c, user := place(t, []byte{})
			in := func(s string) string { return strings.ReplaceAll(s, "DIR", c.Dir) }
			writeFile(t, user, in(test.before))
			plan, err := sshconfig.PlanInstall(c, user)
			apply(t, plan, err)
			if diff := cmp.Diff(in(test.after), readFile(t, user)); diff != "" {
				t.Errorf("installed (-want +got):\n%s", diff)
			}
			if again, err := sshconfig.PlanInstall(c, user); err != nil || !again.Empty() || again.Diff() != "" {
				t.Errorf("second install is not empty: %v\n%s", err, again.Diff())
			}
			plan, err = sshconfig.PlanRemove(c.Dir, user)
			apply(t, plan, err)
			if diff := cmp.Diff(in(test.removed), readFile(t, user)); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			if left, err := os.ReadDir(c.Dir); err != nil || len(left) != 0 {
				t.Errorf("left in %s: %v, %v", c.Dir, left, err)
			}
			if again, err := sshconfig.PlanRemove(c.Dir, user); err != nil || !again.Empty() {
				t.Errorf("second removal is not empty: %v\n%s", err, again.Diff())
			}
		})
	}
}

func TestNothingIsTouchedBeforeApply(t *testing.T) {
	c, user := place(t, nil)
	plan, err := sshconfig.PlanInstall(c, user)
	if err != nil || plan.Empty() {
		t.Fatalf("plan empty %v, error %v", plan.Empty(), err)
	}
	for _, dir := range []string{c.Dir, filepath.Dir(user)} {
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	apply(t, plan, nil)
	for path, want := range map[string]os.FileMode{
		c.Dir: 0o700, filepath.Join(c.Dir, "ssh_config"): 0o600, filepath.Join(c.Dir, "known_hosts"): 0o600,
		filepath.Dir(user): 0o700, user: 0o600,
	} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: mode %v, error %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

func TestSymbolicLinkStays(t *testing.T) {
	c, user := place(t, nil)
	target := filepath.Join(t.TempDir(), "dotfiles")
	if err := os.MkdirAll(filepath.Dir(user), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, user); err != nil {
		t.Fatal(err)
	}
	if _, err := sshconfig.PlanInstall(c, user); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Fatalf("link to nothing: %v", err)
	}
	writeFile(t, target, "Host db\n")
	plan, err := sshconfig.PlanInstall(c, user)
	apply(t, plan, err)
	if info, err := os.Lstat(user); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if got := readFile(t, target); !strings.HasPrefix(got, "Include ") {
		t.Errorf("linked file holds %q", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Run("zero bytes", func(t *testing.T) {
		c, user := place(t, []byte("H\x00o\x00s\x00t\x00"))
		if _, err := sshconfig.PlanInstall(c, user); err == nil || !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("got %v", err)
		}
		if _, err := sshconfig.PlanRemove(c.Dir, user); err == nil {
			t.Error("removal accepted it")
		}
	})
	t.Run("a directory", func(t *testing.T) {
		c, user := place(t, nil)
		if err := os.MkdirAll(user, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := sshconfig.PlanInstall(c, user); err == nil || !strings.Contains(err.Error(), "regular file") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("too large", func(t *testing.T) {
		c, user := place(t, bytes.Repeat([]byte("#\n"), 1<<20))
		if _, err := sshconfig.PlanInstall(c, user); err == nil || !strings.Contains(err.Error(), "larger") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("relative", func(t *testing.T) {
		c, _ := place(t, nil)
		if _, err := sshconfig.PlanInstall(c, "config"); err == nil {
			t.Error("accepted")
		}
	})
}

// TestApplyStops: what the user did not see is not done.
func TestApplyStops(t *testing.T) {
	for _, change := range []string{"Host other\n", ""} {
		t.Run("changed meanwhile", func(t *testing.T) {
			c, user := place(t, []byte("Host db\n"))
			plan, err := sshconfig.PlanInstall(c, user)
			if err != nil {
				t.Fatal(err)
			}
			writeFile(t, user, change)
			if err := plan.Apply(); err == nil || !strings.Contains(err.Error(), "changed since") {
				t.Errorf("got %v", err)
			}
			if got := readFile(t, user); got != change {
				t.Errorf("file holds %q", got)
			}
		})
	}
	t.Run("a file in the way", func(t *testing.T) {
		c, user := place(t, []byte("Host db\n"))
		plan, err := sshconfig.PlanInstall(c, user)
		if err != nil {
			t.Fatal(err)
		}
		// A file where the directory should be stops root too.
		writeFile(t, c.Dir, "")
		if err := plan.Apply(); err == nil {
			t.Error("applied")
		}
		if got := readFile(t, user); got != "Host db\n" {
			t.Errorf("half done: %q", got)
		}
	})
}

func TestDiff(t *testing.T) {
	for name, test := range map[string]struct{ before, want string }{
		"new":     {"", "@@ -0,0 +1,1 @@\n+INCLUDE\n"},
		"top":     {"a\nb\nc\nd\n", "@@ -1,3 +1,4 @@\n+INCLUDE\n a\n b\n c\n"},
		"no end":  {"a", "@@ -1,1 +1,2 @@\n+INCLUDE\n a\n\\ No newline at end of file\n"},
		"escapes": {"#\x1b[2J\u202e\xff\tx\r\n", "@@ -1,1 +1,2 @@\n+INCLUDE\n #\\x1b[2J\\u202e\\xff\tx\n"},
		"moved":   {"a\nInclude \"DIR/ssh_config\"\nb\n", "@@ -1,3 +1,3 @@\n-a\n-INCLUDE\n+INCLUDE\n+a\n b\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c, user := place(t, []byte{})
			writeFile(t, user, strings.ReplaceAll(test.before, "DIR", c.Dir))
			plan, err := sshconfig.PlanFiles(c)
			apply(t, plan, err)
			plan, err = sshconfig.PlanInstall(c, user)
			if err != nil {
				t.Fatal(err)
			}
			want := "--- " + user + "\n+++ " + user + "\n" + strings.ReplaceAll(test.want, "INCLUDE", `Include "`+c.Dir+`/ssh_config"`)
			if diff := cmp.Diff(want, plan.Diff()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzInclude holds that installing is idempotent and that removing gives the
// user's bytes back, without the lines that were ours before.
func FuzzInclude(f *testing.F) {
	f.Add([]byte("Host db\r\n\tUser x"))
	f.Add([]byte("\xef\xbb\xbfinclude=\"DIR/ssh_config\"\n\n#"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if bytes.IndexByte(content, 0) >= 0 {
			return
		}
		c, user := place(t, content)
		writeFile(t, user, string(bytes.ReplaceAll(content, []byte("DIR"), []byte(c.Dir))))
		before := []byte(readFile(t, user))
		plan, err := sshconfig.PlanRemove(c.Dir, user)
		apply(t, plan, err)
		clean := readFile(t, user)
		writeFile(t, user, string(before))
		plan, err = sshconfig.PlanInstall(c, user)
		apply(t, plan, err)
		if again, err := sshconfig.PlanInstall(c, user); err != nil || !again.Empty() {
			t.Errorf("second install is not empty: %v\n%s", err, again.Diff())
		}
		plan, err = sshconfig.PlanRemove(c.Dir, user)
		apply(t, plan, err)
		if got := readFile(t, user); got != clean {
			t.Errorf("removed: %q, want %q", got, clean)
		}
	})
}
