//go:build !windows

package agent

import "io/fs"

// exposed says that others than the owner may read or write the file; ssh
// refuses such a key too.
func exposed(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
