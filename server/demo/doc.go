// Package demo shows VaultPAM's main job on one machine, with the real server,
// the real client and the system's OpenSSH: Once tells the whole story and ends,
// Shell leaves everything running and opens a shell in it.
//
// Everything is in a temporary directory and on loopback. The demo touches
// nothing in the user's own ~/.ssh, uses an ssh-agent of its own, and ends what
// it started.
package demo
