// Package store defines what VaultPAM keeps: the names and IDs of the domain,
// the ledger's entries and events with their encoding, the Merkle tree over
// them, checkpoints and proofs, and the contract that a back end fulfils.
//
// Everything here is a value or a pure function. The package opens no file,
// reads no clock and draws no randomness; the back ends in the folders below it
// do the keeping.
package store
