package relay

import "golang.org/x/crypto/ssh"

// The algorithms are listed one by one, so that a new release of x/crypto never
// widens what the relay speaks. x/crypto's defaults still hold SHA-1. Finite
// field Diffie-Hellman is left out as well: a stranger's handshake with it costs
// the relay a hundred times one with a curve. Strict key exchange
// (OpenSSH PROTOCOL, section 1.10) is always on in x/crypto.

func keyExchanges() []string {
	return []string{
		ssh.KeyExchangeMLKEM768X25519,
		ssh.KeyExchangeCurve25519,
		ssh.KeyExchangeECDHP256,
		ssh.KeyExchangeECDHP384,
		ssh.KeyExchangeECDHP521,
	}
}

func ciphers() []string {
	return []string{
		ssh.CipherAES128GCM,
		ssh.CipherAES256GCM,
		ssh.CipherChaCha20Poly1305,
		ssh.CipherAES128CTR,
		ssh.CipherAES192CTR,
		ssh.CipherAES256CTR,
	}
}

func macs() []string {
	return []string{ssh.HMACSHA256ETM, ssh.HMACSHA512ETM}
}

// userKeys are the signature algorithms by which a user may prove a key.
func userKeys() []string {
	return []string{
		ssh.KeyAlgoED25519,
		ssh.KeyAlgoSKED25519,
		ssh.KeyAlgoSKECDSA256,
		ssh.KeyAlgoECDSA256,
		ssh.KeyAlgoECDSA384,
		ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA256,
		ssh.KeyAlgoRSASHA512,
	}
}

// hostKeyAlgorithms are those that make a target show a key that is pinned, the
// strongest first. A type that is not here can't be reached.
func hostKeyAlgorithms(pinned []ssh.PublicKey) []string {
	families := []struct {
		key        string
		signatures []string
	}{
		{ssh.KeyAlgoED25519, []string{ssh.KeyAlgoED25519}},
		{ssh.KeyAlgoECDSA256, []string{ssh.KeyAlgoECDSA256}},
		{ssh.KeyAlgoECDSA384, []string{ssh.KeyAlgoECDSA384}},
		{ssh.KeyAlgoECDSA521, []string{ssh.KeyAlgoECDSA521}},
		{ssh.KeyAlgoRSA, []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}},
	}
	var algorithms []string
	for _, family := range families {
		for _, key := range pinned {
			if key != nil && key.Type() == family.key {
				algorithms = append(algorithms, family.signatures...)
				break
			}
		}
	}
	return algorithms
}
