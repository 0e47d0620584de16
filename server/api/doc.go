// Package api holds what crosses the wire between VaultPAM's client and its
// server: the types of requests and answers, the closed set of error kinds, the
// routes with the roles that may call them, the preamble of the relay's port and
// the form of an invitation. It depends on nothing of VaultPAM, does no I/O, and
// trusts nothing that it parses.
package api
