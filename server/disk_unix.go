//go:build unix

package server

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that an ordinary user can still write to the file
// system of a path.
func freeSpace(path string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil //nolint:unconvert // Bavail is signed on some systems
}
