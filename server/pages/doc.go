// Package pages is what a browser shows of the sign-in ceremonies: enrolling from
// an invitation, signing in, confirming with a fresh touch, adding a passkey, and
// the code of a machine that has no browser.
//
// A page is written from what the server knows, never from what stands in the
// address; everything else it asks of the API as the person acts. It loads nothing
// from anywhere else, runs no script and no style that is not a file of this
// package, and writes nothing that it is told as markup: the content security
// policy holds all three, even where a template or a script is wrong.
//
// The package decides nothing and keeps nothing. Who may do what, what a challenge
// is and whether a passkey's answer is good is decided behind the API.
package pages
