package ledger

// A failpoint is a step on a certificate's way at which a test may let the
// process die. docs/decisions/0011-failpoints-are-a-build.md says why there is
// nothing of it in a release.
type failpoint string

const (
	beforeAppend failpoint = "before-append" // decided, and nothing is written
	afterAppend  failpoint = "after-append"  // durable, and nobody knows
	afterSign    failpoint = "after-sign"    // signed, and not handed out
)
