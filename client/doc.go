// Package client speaks VaultPAM's API from the user's machine and keeps what a
// user has there: where the server is and how it is recognised, the sign-in
// token, and every checkpoint of the ledger that was believed.
//
// Its promises: the server is recognised by its pinned key where there is one
// and by the system's roots otherwise, never by neither; whatever the server
// says is bounded, held to its grammar before it is used as a name, and made
// harmless by Clean before it reaches a terminal; a ledger that was rewritten
// or rolled back since it was last seen is refused with a ForkError, and the
// checkpoint that shows it is kept.
//
// It does not decide anything about access, does not touch the ssh-agent or
// ssh's configuration (packages agent and sshconfig do), and prints nothing.
package client
