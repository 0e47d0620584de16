//go:build !failpoint

package ledger

// reach does nothing: only a program that was built with the tag failpoint can
// be made to die there.
func reach(failpoint) {}
