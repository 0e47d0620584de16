//go:build unix

package server

import "io/fs"

// private reports whether nobody but the owner has any right to a file.
func private(mode fs.FileMode) bool { return mode.Perm()&0o077 == 0 }
