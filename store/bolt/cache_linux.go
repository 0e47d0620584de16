package bolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// dropCache has the kernel forget what it holds of the file, so that it is read
// from the disk. After a failed sync the kernel may go on showing pages that
// never got there; who recovers from store.ErrUncertain by opening the ledger
// anew would take them for durable.
//
// It is advice: file systems in memory ignore it, and an error changes nothing.
func dropCache(f *os.File) { _ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) }

// memory returns the machine's memory in bytes, 0 where it is not known.
func memory() int64 {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit)
}

// datasync makes what was written to a file durable. It is not tried again.
func datasync(f *os.File) error { return os.NewSyscallError("fdatasync", unix.Fdatasync(int(f.Fd()))) }
