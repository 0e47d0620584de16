package api_test

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
)

// TestProof: a proof fits the very call that it was made for, and no other.
func TestProof(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	call := api.Signed{Method: "POST", Target: "/v1/certificate", Token: []byte("a token"), Body: []byte(`{"public_key":"x"}`)}
	header := api.Prove(key, call, now)
	for _, apart := range []time.Duration{0, api.ProofLife, -api.ProofLife} {
		if got, err := api.Proved(header, call, nil, now.Add(apart)); err != nil || string(got[:]) != string(public) {
			t.Errorf("%s apart: %x, error %v", apart, got, err)
		}
	}
	for name, change := range map[string]func(*api.Signed){
		"method": func(s *api.Signed) { s.Method = "DELETE" },
		"target": func(s *api.Signed) { s.Target += "?x=1" },
		"token":  func(s *api.Signed) { s.Token = nil },
		"body":   func(s *api.Signed) { s.Body = []byte(`{"public_key":"y"}`) },
		"moved":  func(s *api.Signed) { s.Target, s.Method = "POST\n/v1/certificate", "" },
	} {
		changed := call
		change(&changed)
		if _, err := api.Proved(header, changed, nil, now); err == nil {
			t.Errorf("another %s passes", name)
		}
	}
	theirs := strings.Fields(api.Prove(other, call, now))
	mine := strings.Fields(header)
	for name, text := range map[string]string{
		"nothing": "", "bearer": "Bearer x", "three": strings.Join(mine[:3], " "), "five": header + " x", "another version": strings.Replace(header, "v1", "v2", 1),
		"another's key": strings.Join([]string{mine[0], theirs[1], mine[2], mine[3]}, " "), "another time": strings.Join([]string{mine[0], mine[1], "1", mine[3]}, " "),
		"padding": header + "==", "no number": strings.Replace(header, mine[2], "now", 1),
		"a number in another spelling": strings.Replace(header, mine[2], "+"+mine[2], 1), "leading zero": strings.Replace(header, mine[2], "0"+mine[2], 1),
	} {
		if _, err := api.Proved(text, call, nil, now); err == nil {
			t.Errorf("%s passes", name)
		}
	}
	for _, skew := range []time.Duration{api.ProofLife + time.Second, -api.ProofLife - time.Second} {
		_, err := api.Proved(header, call, nil, now.Add(-skew))
		var wrong *api.ProofError
		if !errors.As(err, &wrong) || wrong.Skew != skew || !strings.Contains(err.Error(), "5m1s") {
			t.Errorf("skew %s: %v", skew, err)
		}
	}
}

// TestProofOfTheConnection: the key that the handshake proved is proved for the call,
// whatever the clock says, and no other key is.
func TestProofOfTheConnection(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	shown, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)
	call := api.Signed{Method: "POST", Target: "/v1/certificate", Token: []byte("a token")}
	late := api.Prove(key, call, now.Add(-time.Hour))
	if got, err := api.Proved(late, call, public, now); err != nil || string(got[:]) != string(public) {
		t.Errorf("with the key that was shown: %x, error %v", got, err)
	}
	for name, other := range map[string]ed25519.PublicKey{"none": nil, "empty": {}, "short": public[:31], "another": shown} {
		if _, err := api.Proved(late, call, other, now); err == nil {
			t.Errorf("%s was shown, and the call passes with a proof of an hour ago", name)
		}
		if got, err := api.Proved(api.Prove(key, call, now), call, other, now); err != nil || string(got[:]) != string(public) {
			t.Errorf("%s was shown, and a signed call does not pass: error %v", name, err)
		}
	}
}

// FuzzProved: one header alone proves that a key made a call at a moment.
func FuzzProved(f *testing.F) {
	// The fuzzer's processes have one key, so that each knows what is good.
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	public := [32]byte(key.Public().(ed25519.PublicKey))
	now := time.Unix(1_800_000_000, 0)
	call := api.Signed{Method: "GET", Target: "/v1/status"}
	good := api.Prove(key, call, now)
	f.Add(good)
	f.Add("v1 x 1 y")
	f.Add(strings.Replace(good, " 18", " +18", 1))
	f.Fuzz(func(t *testing.T, header string) {
		if got, err := api.Proved(header, call, nil, now); err == nil && got == public && header != good {
			t.Errorf("%q passes", header)
		}
	})
}
