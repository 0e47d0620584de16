package store_test

import (
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

func TestGroupName(t *testing.T) {
	for name, ok := range map[string]bool{
		"ops": true, "db-admins": true, "2nd.level_eu": true, "a": true, strings.Repeat("a", 64): true, "ops-": true,
		"": false, "-ops": false, ".ops": false, "_ops": false, "Ops": false, "ops@example": false, "ops team": false,
		"ops,dba": false, "ops\n": false, "\u00f6ps": false, "ops:dba": false, strings.Repeat("a", 65): false,
	} {
		g, err := store.ParseGroupName(name)
		if (err == nil) != ok || ok && string(g) != name || !ok && g != "" {
			t.Errorf("%q: %q, %v; want accepted %t", name, g, err, ok)
		}
	}
}

func FuzzParseGroupName(f *testing.F) {
	f.Add("ops")
	f.Add("-x")
	f.Fuzz(func(t *testing.T, s string) {
		g, err := store.ParseGroupName(s)
		checkName(t, s, string(g), err)
		if err == nil && s != strings.ToLower(s) {
			t.Fatalf("accepted group %q", s)
		}
	})
}
