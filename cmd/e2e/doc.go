// Package e2e holds one script per user story, run with the real programs, a
// real ssh-agent and the system's OpenSSH client and server. It has no code of
// its own: everything is in its tests.
//
// Run as root, each person of a script is a throw-away account, because OpenSSH
// takes a home directory from the account and not from $HOME. Run as an ordinary
// user, everybody is the current account with a home of their own, and ssh gets
// its configuration with -F; nobody's ~/.ssh is touched.
package e2e
