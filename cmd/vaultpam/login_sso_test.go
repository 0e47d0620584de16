package main

import (
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

// TestNextFactor: whoever came by the company's provider is led there again, and
// nobody whose codes were for the terminal is.
func TestNextFactor(t *testing.T) {
	for _, tc := range []struct {
		before, now store.FactorKind
		way         loginWay
		want        store.FactorKind
	}{
		{store.FactorTOTP, store.FactorTOTP, wayCode, store.FactorTOTP},
		{store.FactorTOTP, store.FactorTOTP, wayBrowser, store.FactorSSO},
		{store.FactorTOTP, store.FactorSSO, wayBrowser, store.FactorSSO},
		{store.FactorSSO, store.FactorPasskey, wayBrowser, store.FactorPasskey},
		{store.FactorPasskey, store.FactorRecovery, wayCode, store.FactorPasskey},
	} {
		if got := nextFactor(tc.before, tc.now, tc.way); got != tc.want {
			t.Errorf("%s after %s: %s, want %s", tc.now, tc.before, got, tc.want)
		}
	}
}
