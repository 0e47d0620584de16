package target

// A Mode is what the set-up script shall do.
type Mode int

// The modes. Set-up keeps a closed host closed.
const (
	ModeSetUp Mode = iota
	ModeClose
	ModeOpen
	ModeUndo
)

// The exit codes of the set-up script; its head says the same to its reader.
const (
	// ExitDone also stands for nothing to do.
	ExitDone = 0
	// ExitRefused left the host as it was.
	ExitRefused = 1
	// ExitUsage is an argument that the script does not know.
	ExitUsage = 2
	// ExitReload changed the files, but sshd has to be reloaded by hand: until
	// then it does as before.
	ExitReload = 3
	// ExitNotRoot is RunAsRoot's own: the login is not root and may not become
	// root without a password. No script was run. (EX_NOPERM of sysexits.h.)
	ExitNotRoot = 77
)

// RunAsRoot returns the command for an exec request without a terminal that runs
// the script on its standard input as root: the set-up script in the given mode,
// or, with ModeSetUp, the check's. It works whatever the account's shell is: it
// holds nothing that sh, csh and fish read differently between single quotes.
func RunAsRoot(mode Mode) string {
	// sudo is tried with a command of its own first, so that it can't eat the
	// script while it asks for a password.
	return `sh -c '` +
		`if [ "$(id -u)" = 0 ]; then exec sh -s -- "$@"; fi; ` +
		`if sudo -n sh -c : </dev/null >/dev/null 2>&1; then exec sudo -n sh -s -- "$@"; fi; ` +
		`echo "This login is neither root nor allowed to run sh as root by sudo without a password." >&2; ` +
		`exit 77' sh` + mode.argument()
}

// argument is the script's, with a space before it. One that is no mode's makes
// the script refuse.
func (m Mode) argument() string {
	switch m {
	case ModeSetUp:
		return ""
	case ModeClose:
		return " --close"
	case ModeOpen:
		return " --open"
	case ModeUndo:
		return " --undo"
	}
	return " --unknown"
}
