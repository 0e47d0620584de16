package store_test

import (
	"flag"
	"os"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// check is rapid.Check with a number of rounds: few by default, all in the
// campaign.
func check(t *testing.T, few, all int, property func(*rapid.T)) {
	t.Helper()
	if os.Getenv("VAULTPAM_CAMPAIGN") == "1" {
		few = all
	}
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if err := checks.Value.Set(strconv.Itoa(few)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := checks.Value.Set(before); err != nil {
			t.Error(err)
		}
	}()
	rapid.Check(t, property)
}
