//go:build !windows

package sshconfig

// shellQuotes says that ssh runs commands through a shell in which single
// quotes quote.
const shellQuotes = true
