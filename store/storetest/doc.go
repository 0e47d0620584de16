// Package storetest is the conformance suite that every back end of the ledger
// passes, the checker that says whether a ledger is whole, and a back end that
// fails on demand.
//
// The suite holds a back end to the contract of store.Backend as one process
// sees it. It cuts no power and kills nobody.
package storetest
