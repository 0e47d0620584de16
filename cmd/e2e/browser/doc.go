// Package browser drives a real Chromium for tests, the way a person would: it
// finds controls by the name that a screen reader says, clicks and types with the
// events of a mouse and a keyboard, and reads what is visible. It brings
// authenticators that are Chromium's own (the WebAuthn domain of its DevTools
// protocol) and make real signatures.
//
// The browser is a process of its own with a profile of its own, reaches loopback
// and the names it was given and nothing else, and trusts no certificate but those
// that are pinned for it. What a page writes to the console, every exception and
// every violation of a content security policy is kept, and Close returns it as an
// error.
//
// It is linked into tests alone. Nothing in it waits for a while: it waits for what
// it was asked to see, until patience ends (Options) or the context of Start does.
package browser
