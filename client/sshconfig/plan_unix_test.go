//go:build !windows

package sshconfig_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/vaultpam/vaultpam/client/sshconfig"
)

func TestModeAndOwnerAreKept(t *testing.T) {
	c, user := place(t, []byte("Host db\n"))
	if err := os.Chmod(user, 0o640); err != nil {
		t.Fatal(err)
	}
	// Root stands for somebody who uses sudo; others can own only what is theirs.
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 12345, 12346
	}
	if err := os.Chown(user, uid, gid); err != nil {
		t.Fatal(err)
	}
	plan, err := sshconfig.PlanInstall(c, user)
	apply(t, plan, err)
	info, err := os.Stat(user)
	if err != nil {
		t.Fatal(err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	if info.Mode().Perm() != 0o640 || int(stat.Uid) != uid || int(stat.Gid) != gid {
		t.Errorf("mode %v, owner %d:%d; want 0640, %d:%d", info.Mode().Perm(), stat.Uid, stat.Gid, uid, gid)
	}
}
