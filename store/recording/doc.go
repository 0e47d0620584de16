// Package recording keeps what a session looked like and did.
//
// Its promise: when a method that records has returned nil, the bytes it was
// given are with the operating system, so that a relay that writes first and
// forwards then never shows a byte that a killed process could lose; a power
// cut loses at most Options.SyncEvery. After the first error of a recording
// every call fails with ErrRecorder, and the relay ends the session. Every file
// ends in an end marker; Store.Recover finds the recordings that a killed
// process left open and closes them as interrupted.
//
// It does not decide who may read a recording, does not encrypt and does not
// sign: the caller puts Summary.SHA256 into the ledger, and Session.Verify
// holds a recording against it. One process at a time may use a directory.
//
// # Format
//
// A recording is the directory DIR/<session ID>. Its session.jsonl has one JSON
// object a line, in ASCII: session.opened, then what the relay notes and the
// opening and closing of channels, then session.ended. A channel.closed line
// holds the SHA-256 of the channel's file, so that the hash of session.jsonl
// stands for the whole recording.
//
// <number>.cast is one channel, an asciicast v2 file (asciinema's
// doc/asciicast-v2.md) that its players play. Times count from the channel's
// opening. Beside "o", "i", "r" and "m" it has two events that players ignore:
//
//	[T,"b","S:BASE64"]  exact bytes of the stream S: o, e (standard error) or i
//	[T,"z","JSON"]      the end marker, the last line
//
// A terminal's bytes need not be UTF-8 and may be cut inside of a rune, and a
// JSON string can hold neither. Bytes that a string can hold are an "o" or "i"
// event. All others, and all of standard error, are a "b" event, followed by an
// "o" or "i" event which shows players the same bytes: with U+FFFD for what is
// not UTF-8, without NUL, and with a rune that was cut where it became whole.
// Where there is no terminal, bytes with a NUL are data, and shown as nothing.
// Whoever wants the bytes takes those of "b" and skips the event after it, as
// Reader does.
package recording
