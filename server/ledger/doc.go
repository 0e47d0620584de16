// Package ledger is the one writer: commands go in, durable entries come out.
//
// Its promises: no answer before the entry is durable; no certificate before its
// entry; no certificate after a revocation that was committed before it. A batch
// is what waited while the last commit ran; it is decided command by command,
// each against the state after the one before it, appended in one transaction
// and only then answered.
//
// It answers for the past with the same fold: At is the state of a moment, proved
// against the tree. Snapshots make that quick and hold no authority.
//
// The package holds no rules (server/access does) and keeps no bytes (a
// store.Backend does). Where it does not know whether an append is durable, it
// stops for good: the next start finds out.
package ledger
