// Package access is the state of VaultPAM and every rule of who may do what
// when.
//
// Apply folds an entry into the state, Decide turns a command into events or a
// refusal. Both are pure: they read no clock, do no I/O and draw no randomness;
// a command carries the moment, the nonces and the random IDs that it needs. A
// question about the past is answered by the same fold, stopped earlier.
package access
