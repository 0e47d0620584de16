// Package ca is VaultPAM's four certificate authorities. A user certificate
// brings a person to the relay, a target certificate brings one session, or a key
// of a user's own past the relay, to one account on one host, a host certificate
// says that the relay is who it claims to be, and an emergency certificate opens a
// host when VaultPAM is down.
//
// There is one way to a certificate. [Build] turns a [Request] into the exact
// bytes that will be signed and lints those bytes; it is pure, and what it
// refuses never reaches a key. The ledger makes [Unsigned.Hash] durable. Then
// [Authority.Sign] signs exactly those bytes, once. Nothing else is ever signed:
// an [Unsigned] can only come from Build.
//
// The package does not decide who may have a certificate, keeps no list of what
// it issued, reads no clock, and enforces nothing after the issue but what
// [CheckUser] says. The format is that of OpenSSH's PROTOCOL.certkeys.
package ca
