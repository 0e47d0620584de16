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
