//go:build !linux

package bolt

import "os"

// dropCache does nothing where the system has no such call: a ledger that was
// reopened after a failed sync may then show pages that are not on the disk.
func dropCache(*os.File) {}

// memory returns 0: nothing was dropped, and nothing need be read.
func memory() int64 { return 0 }

// datasync makes what was written to a file durable. It is not tried again.
func datasync(f *os.File) error { return f.Sync() }
