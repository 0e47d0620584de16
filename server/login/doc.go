// Package login turns a proof of identity into a sign-in session: it enrols TOTP
// factors from invitations, gives people recovery codes, and signs them in with
// either. It signs bots in too, by a signature of theirs.
//
// It holds the secrets that rules must not see, finds out which time step a code
// belongs to or which recovery code it is, and counts failures. Whether a step may still be used, how long a
// session lasts and who may enrol is decided in server/access.
package login
