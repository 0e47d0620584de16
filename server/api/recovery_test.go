package api_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestRecoveryCode(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		code, err := api.NewRecoveryCode(rand.Reader)
		if err != nil || len(code) != 29 || strings.ContainsAny(code, "lo01") || seen[code] {
			t.Fatalf("%q, error %v", code, err)
		}
		seen[code] = true
		for _, typed := range []string{code, strings.ToUpper(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", "\u00a0") + "\r\n"} {
			if got, err := api.ParseRecoveryCode(typed); err != nil || got != code {
				t.Errorf("%q is read as %q, error %v", typed, got, err)
			}
		}
	}
	good := "aaaa-bbbb-cccc-dddd-eeee-ffff"
	for _, bad := range []string{"", "123456", good[:28], good + "a", "l" + good[1:], "0" + good[1:], "é" + good[2:], good + "\x00"} {
		if got, err := api.ParseRecoveryCode(bad); err == nil || strings.Contains(err.Error(), "bbbb") {
			t.Errorf("%q is read as %q, error %v", bad, got, err)
		}
	}
	if _, err := api.NewRecoveryCode(bytes.NewReader(make([]byte, 23))); err == nil {
		t.Error("drawn without enough randomness")
	}
}

// FuzzParseRecoveryCode: what is read reads as itself, and is of the alphabet.
func FuzzParseRecoveryCode(f *testing.F) {
	f.Add("aaaa-bbbb-cccc-dddd-eeee-ffff")
	f.Add("AAAA BBBBcccc")
	f.Fuzz(func(t *testing.T, typed string) {
		code, err := api.ParseRecoveryCode(typed)
		if err != nil {
			return
		}
		again, err := api.ParseRecoveryCode(code)
		if err != nil || again != code || len(code) != 29 || strings.Trim(code, "abcdefghijkmnpqrstuvwxyz23456789-") != "" {
			t.Errorf("%q is read as %q, and that as %q, error %v", typed, code, again, err)
		}
	})
}
