//go:build linux

package e2e_test

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// An account is who a program runs as.
type account struct {
	name, home string
	uid, gid   uint32
	// removal of an account that was made for this script
	thrown *debt
	state  int // guarded by accounts
}

// accounts is held while /etc/passwd changes: the tools that change it wait for
// each other in whole seconds.
var accounts sync.Mutex

// newAccount returns a throw-away account as root, and otherwise the current
// one with a home of its own in dir.
func newAccount(dir string) (*account, error) {
	if !isRoot() {
		return currentAccount(dir)
	}
	var random [4]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	a := &account{name: "vp-" + hex.EncodeToString(random[:])}
	a.thrown = owe(a.erase) // first: what is there without a debt would stay
	if err := a.create(); err != nil {
		return nil, errors.Join(err, a.remove())
	}
	entry, err := user.Lookup(a.name)
	if err != nil {
		return nil, errors.Join(err, a.remove())
	}
	a.home = entry.HomeDir
	return a, errors.Join(a.number(entry), os.Chmod(a.home, 0o755))
}

// The states of a throw-away account. One that was erased is not made any more.
const (
	unmade = iota
	made
	erased
)

func (a *account) create() error {
	accounts.Lock()
	defer accounts.Unlock()
	if a.state != unmade {
		return errors.New("the tests were interrupted")
	}
	if out, err := exec.Command("useradd", "-m", "-s", "/bin/sh", a.name).CombinedOutput(); err != nil {
		return fmt.Errorf("useradd: %w\n%s", err, out)
	}
	a.state = made
	return nil
}

func currentAccount(home string) (*account, error) {
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	a := &account{name: me.Username, home: home}
	return a, errors.Join(a.number(me), os.MkdirAll(home, 0o755))
}

func (a *account) number(u *user.User) error {
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return err
	}
	a.uid, a.gid = uint32(uid), uint32(gid)
	return nil
}

func (a *account) remove() error {
	if a.thrown == nil {
		return nil
	}
	return a.thrown.pay()
}

// erase ends what still runs as the account, which nobody else has, and removes
// it with its home.
func (a *account) erase() error {
	accounts.Lock()
	defer accounts.Unlock()
	was := a.state
	a.state = erased
	if was != made {
		return nil
	}
	a.killAll()
	if out, err := exec.Command("userdel", "-f", "-r", a.name).CombinedOutput(); err != nil {
		return fmt.Errorf("userdel %s: %w\n%s", a.name, err, out)
	}
	return nil
}

func (a *account) killAll() {
	if a.uid == 0 {
		return // nothing ran as it yet
	}
	found, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, dir := range found {
		info, err := os.Stat(dir)
		if err != nil || info.Sys().(*syscall.Stat_t).Uid != a.uid {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may just have ended
		}
	}
}

// own makes a file or a tree the account's.
func (a *account) own(path string) error {
	return filepath.WalkDir(path, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || a.thrown == nil {
			return err
		}
		return os.Lchown(path, int(a.uid), int(a.gid))
	})
}

// command prepares a program to run as the account in its home, in a session of
// its own: it has no terminal, also when the tests have one, and ends with them.
func (a *account) command(env []string, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = a.home
	cmd.Env = append([]string{
		"HOME=" + a.home, "USER=" + a.name, "LOGNAME=" + a.name, "SHELL=/bin/sh",
		"LANG=C.UTF-8", "TZ=UTC", "VAULTPAM_KEYRING=off", "TERM=xterm",
	}, env...)
	if !strings.Contains(name, "/") {
		for _, v := range env {
			if path, ok := strings.CutPrefix(v, "PATH="); ok {
				found, err := lookPath(path, name)
				if err != nil {
					return nil, err
				}
				cmd.Path, cmd.Err = found, nil
			}
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if a.thrown != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{a.gid}}
	}
	return cmd, nil
}

func lookPath(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
}
