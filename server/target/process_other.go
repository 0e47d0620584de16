//go:build !unix

package target

import "os"

// killTree kills the process alone: there is no sshd on such a system.
func killTree(root *os.Process) error { return root.Kill() }

// exitMessage is how a session channel tells a command's end (RFC 4254, section
// 6.10).
func exitMessage(state *os.ProcessState) (name string, message any) {
	return "exit-status", exitStatus{uint32(state.ExitCode())}
}
