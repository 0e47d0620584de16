// Package crash ends the real `vaultpamd serve` in every way that a machine
// does: by kill -9 at three named steps and at random ones, with a disk that
// fails, that is full, or that forgets what was not synced. Meanwhile clients
// ask over HTTPS and SSH, and keep what they were given. Afterwards the server
// is started as always, and the ledger is held against what the clients have
// (R1 to R6 and S8; docs/reliability.md has the figures).
//
// It has no code of its own: everything is in its tests. It does not cut the
// machine's power: TestR3UnsyncedIsLost destroys what a trace of system calls
// says was not synced, which is as good as the trace and the file system's word.
package crash
