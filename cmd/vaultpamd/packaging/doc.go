// Package packaging is what makes the Debian package beside the two programs:
// the systemd unit, the account and the maintainer scripts. goreleaser.yaml says
// where each of them goes. It has no code of its own: everything is in its tests,
// which install the package and serve a session from it.
//
// The package promises a service that starts only once `vaultpamd init` has run,
// as an account of its own that may bind low ports and write to
// /var/lib/vaultpam, and nothing else; and that removing it, also with purge,
// deletes nothing that init or a session made.
package packaging
