package server

import "io/fs"

// private can't be told from the mode on Windows, where access control lists
// decide; the folder inherits its owner's.
func private(fs.FileMode) bool { return true }
