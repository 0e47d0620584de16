package login_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/login"
)

// TestVectors holds both implementations, ours and this test's own, to the test
// vectors of RFC 6238, appendix B, for SHA-1. The RFC shows eight digits; six
// are the last six of them.
func TestVectors(t *testing.T) {
	seed := []byte("12345678901234567890")
	for unix, want := range map[int64]string{
		59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130",
	} {
		at := time.Unix(unix, 0)
		if got := totp(seed, at, 8); got != want {
			t.Errorf("the test's own at %d: %s, want %s", unix, got, want)
		}
		step, ok, err := login.Step(seed, want[2:], at)
		if err != nil || !ok || step != uint64(unix/30) {
			t.Errorf("at %d: step %d, %v, error %v", unix, step, ok, err)
		}
	}
}

// TestStep: a code belongs to the step that it was made for, if that is near,
// and to no other.
func TestStep(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), 20, 20).Draw(t, "seed")
		now := time.Unix(rapid.Int64Range(1_000_000, 1<<36).Draw(t, "now"), 0)
		drift := rapid.Int64Range(-5, 5).Draw(t, "drift")
		code := totp(seed, now.Add(time.Duration(drift)*30*time.Second), 6)
		fits := map[uint64]bool{}
		for d := int64(-1); d <= 1; d++ {
			if totp(seed, now.Add(time.Duration(d)*30*time.Second), 6) == code {
				fits[uint64(now.Unix()/30+d)] = true
			}
		}
		step, ok, err := login.Step(seed, code, now)
		if err != nil || ok != (len(fits) > 0) || ok && !fits[step] {
			t.Fatalf("step %d, %v, error %v, want one of %v", step, ok, err, fits)
		}
	})
}
