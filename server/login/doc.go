// Package login turns a proof of identity into a sign-in session: it enrols TOTP
// factors from invitations and signs people in with them.
//
// It holds the secrets that rules must not see, finds out which time step a code
// belongs to, and counts failures. Whether a step may still be used, how long a
// session lasts and who may enrol is decided in server/access.
package login
