package client_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"Zoë reached db1 · 10 €":        "Zoë reached db1 · 10 €",
		"a\nb\r\tc":                     `a\x0ab\x0d\x09c`,
		"\x1b]52;c;ZXZpbA==\x07":        `\x1b]52;c;ZXZpbA==\x07`,
		"\u009b31m":                     `\u009b31m`,
		"\xff\xfe":                      `\xff\xfe`,
		"a\u202eb\u2066c\u200bd":        `a\u202eb\u2066c\u200bd`,
		"line\u2028end\u2029":           `line\u2028end\u2029`,
		"\U000e0041":                    `\U000e0041`,
		"a real \ufffd stays":           "a real \ufffd stays",
		"cut \xe2\x82":                  `cut \xe2\x82`,
		strings.Repeat("x", 9<<10):      strings.Repeat("x", 8<<10) + "…",
		strings.Repeat("x", 8191) + "€": strings.Repeat("x", 8191) + `\xe2…`,
	} {
		if diff := cmp.Diff(want, client.Clean(in)); diff != "" {
			t.Errorf("%.40q: %s", in, diff)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("plain")
	f.Add("\x1b[2J\u202e\xff")
	f.Fuzz(func(t *testing.T, in string) {
		got := client.Clean(in)
		if !utf8.ValidString(got) {
			t.Errorf("%q: not UTF-8", got)
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Errorf("%q: %U is left", got, r)
			}
		}
		// Escapes are longer than what they stand for, and what is too long is cut.
		if len(got) <= 8<<10 && client.Clean(got) != got {
			t.Errorf("%q: not clean the second time", got)
		}
	})
}

func FuzzCleanJSON(f *testing.F) {
	f.Add("\u009b31m\u202e\U000e0041")
	f.Fuzz(func(t *testing.T, in string) {
		data, err := json.MarshalIndent(map[string]string{"k": in}, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got := client.CleanJSON(data)
		for _, r := range strings.ReplaceAll(string(got), "\n", "") {
			if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Errorf("%q: %U is left", got, r)
			}
		}
		var before, after map[string]string
		if err := json.Unmarshal(data, &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("the value changed: %s", diff)
		}
	})
}
