package relay

// What tests look at from inside: the parsers, for the fuzzer, and the lists of
// algorithms.
var (
	ParseHello        = parseHello
	ParsePty          = parsePty
	ParseWindow       = parseWindow
	ParseEnv          = parseEnv
	ParseText         = parseText
	ParseSignal       = parseSignal
	ParseExitStatus   = parseExitStatus
	ParseExitSignal   = parseExitSignal
	KeyExchanges      = keyExchanges
	Ciphers           = ciphers
	MACs              = macs
	UserKeys          = userKeys
	HostKeyAlgorithms = hostKeyAlgorithms
	Clean             = clean
)

// Waiting returns how many connections have not proved a key.
func (r *Relay) Waiting() int {
	r.waiting.mu.Lock()
	defer r.waiting.mu.Unlock()
	return r.waiting.total
}

// A SFTPGuard is the guard of sftp, for its tests.
type SFTPGuard struct{ guard sftpGuard }

// Take is take, with how much it refused.
func (g *SFTPGuard) Take(p []byte) (pass []byte, refused []string, err error) {
	pass, all, err := g.guard.take(p)
	for _, r := range all {
		refused = append(refused, r.what)
	}
	return pass, refused, err
}

// Weave is weave.
func (g *SFTPGuard) Weave(p []byte) []byte { return g.guard.weave(p) }

// Answer is answer.
func (g *SFTPGuard) Answer(a []byte) ([]byte, bool) { return g.guard.answer(a) }
