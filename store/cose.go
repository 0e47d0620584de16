package store

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // as crypto.SHA256
	_ "crypto/sha512" // as crypto.SHA384 and crypto.SHA512
	"errors"
	"math/big"
)

// coseKey is a COSE_Key of the types that WebAuthn has (RFC 9052, section 7;
// RFC 9053, sections 2 and 7; RFC 8230, section 4): what stands under -1 is the
// curve, or the modulus of an RSA key. There is one encoding of a key, and it has no
// other members (WebAuthn Level 3, section 6.5.1).
type coseKey struct {
	Type int64  `cbor:"1,keyasint"`
	Alg  int64  `cbor:"3,keyasint"`
	P1   any    `cbor:"-1,keyasint"`
	P2   []byte `cbor:"-2,keyasint"`           // x, or the exponent
	P3   []byte `cbor:"-3,keyasint,omitempty"` // y
}

var errSignature = errors.New("the signature does not verify")

// verifyCOSE verifies a signature over data with a COSE_Key.
func verifyCOSE(key, data, signature []byte) error {
	var k coseKey
	if err := cborCodec.dec.Unmarshal(key, &k); err != nil {
		return errors.New("the public key can't be read")
	}
	if again, err := cborCodec.enc.Marshal(k); err != nil || !bytes.Equal(again, key) {
		return errors.New("the public key is not in its one encoding")
	}
	ok := false
	switch {
	case k.Type == 1 && k.Alg == -8 && k.curve() == 6 && len(k.P3) == 0 && len(k.P2) == ed25519.PublicKeySize:
		ok = ed25519.Verify(k.P2, data, signature)
	case k.Type == 2:
		ok = k.verifyECDSA(data, signature)
	case k.Type == 3:
		ok = k.verifyRSA(data, signature)
	}
	if !ok {
		return errSignature
	}
	return nil
}

func (k coseKey) curve() uint64 {
	curve, _ := k.P1.(uint64)
	return curve
}

func sum(h crypto.Hash, data []byte) []byte {
	d := h.New()
	d.Write(data)
	return d.Sum(nil)
}

func (k coseKey) verifyECDSA(data, signature []byte) bool {
	var curve elliptic.Curve
	var hash crypto.Hash
	switch [2]int64{k.Alg, int64(k.curve())} {
	case [2]int64{-7, 1}:
		curve, hash = elliptic.P256(), crypto.SHA256
	case [2]int64{-35, 2}:
		curve, hash = elliptic.P384(), crypto.SHA384
	case [2]int64{-36, 3}:
		curve, hash = elliptic.P521(), crypto.SHA512
	default:
		return false
	}
	size := (curve.Params().BitSize + 7) / 8
	if len(k.P2) != size || len(k.P3) != size {
		return false
	}
	// An uncompressed point (SEC 1, section 2.3.3); one that is not on the curve is
	// refused.
	public, err := ecdsa.ParseUncompressedPublicKey(curve, append(append([]byte{4}, k.P2...), k.P3...))
	return err == nil && ecdsa.VerifyASN1(public, sum(hash, data), signature)
}

func (k coseKey) verifyRSA(data, signature []byte) bool {
	hashes := map[int64]crypto.Hash{
		-257: crypto.SHA256, -258: crypto.SHA384, -259: crypto.SHA512, -37: crypto.SHA256, -38: crypto.SHA384, -39: crypto.SHA512,
	}
	hash, ok := hashes[k.Alg]
	modulus, _ := k.P1.([]byte)
	if !ok || len(modulus) < 256 || len(modulus) > 1024 || len(k.P3) > 0 || len(k.P2) == 0 || len(k.P2) > 4 {
		return false
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(k.P2).Int64())}
	if k.Alg <= -257 {
		return rsa.VerifyPKCS1v15(public, hash, sum(hash, data), signature) == nil
	}
	return rsa.VerifyPSS(public, hash, sum(hash, data), signature, nil) == nil
}
