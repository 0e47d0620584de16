// Package server composes the parts of a node: the ledger and its authorities,
// sign-in, the HTTPS API, the relay, and the unix socket for the administrator
// on the machine itself. Run owns their lives: when it returns, everything that
// it started has ended.
//
// The package links no back end; whoever calls it says how the ledger's file is
// made and opened.
package server
