package target

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// openPty opens a new pseudo terminal (pts(4)).
func openPty() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	var number uint32
	err = control(master, func(fd int) error {
		if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
			return err
		}
		var err error
		number, err = unix.IoctlGetUint32(fd, unix.TIOCGPTN)
		return err
	})
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

// SshdHasTerminals reports whether an sshd that the current account runs can give
// its sessions terminals. It hands each to the group tty, which an ordinary user
// can't do where /dev/pts is mounted without that group.
func SshdHasTerminals() bool {
	if os.Geteuid() == 0 {
		return true
	}
	master, slave, err := openPty()
	if err != nil {
		return false
	}
	defer master.Close()
	defer slave.Close()
	var stat unix.Stat_t
	if err := control(slave, func(fd int) error { return unix.Fstat(fd, &stat) }); err != nil {
		return false
	}
	tty, err := user.LookupGroup("tty")
	return err != nil || strconv.FormatUint(uint64(stat.Gid), 10) == tty.Gid
}

func resize(terminal *os.File, size windowChange) error {
	return control(terminal, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{
			Row: uint16(min(size.Rows, 1<<15)), Col: uint16(min(size.Columns, 1<<15)),
			Xpixel: uint16(min(size.Width, 1<<15)), Ypixel: uint16(min(size.Height, 1<<15)),
		})
	})
}

// control calls f with the descriptor and leaves the file as it is: Fd would
// make it blocking, and a Read could then not be ended by Close.
func control(file *os.File, f func(fd int) error) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// controlTerminal makes command's standard input its controlling terminal.
func controlTerminal(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
}
