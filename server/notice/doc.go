// Package notice tells people what happened to their account, and administrators
// what happened to theirs: by mail (SMTP) and to a webhook.
//
// A notice is derived from an entry of the ledger, after the entry is durable, by
// a follower that goes on where it left off. What is to be sent lies in the side
// table until it was sent, so that a process that dies loses nothing: every notice
// is sent at least once, under an ID that stays the same, by which receivers drop
// what they have. A new ledger, and one whose notices were just turned on, begins
// with the next entry, and nobody hears of the past.
//
// Nobody waits for a notice and nothing fails by it. What can't be sent is tried
// again for a day with growing pauses, and then given up with a line in the log;
// of what waits no more than a bound is kept, and the oldest goes first.
//
// A notice holds no secret. The one exception is an invitation's link where an
// administrator wants it sent: it is sealed until it goes out, goes by mail alone,
// and to the address that the person had when they were invited. Addresses and
// administrators are those of the moment of the entry: who takes over an account
// or a server can't keep the notice of that from anybody, nor lead it to
// themselves.
//
// The package does not promise that a mail arrives, that nobody reads it on its
// way, or that it is in the order of the entries.
package notice
