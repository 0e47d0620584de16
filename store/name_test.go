package store_test

import (
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

// parsers are the three grammars as functions that return what was accepted.
func parsers() map[string]func(string) (string, error) {
	return map[string]func(string) (string, error){
		"handle": func(s string) (string, error) { h, err := store.ParseHandle(s); return string(h), err },
		"login":  func(s string) (string, error) { l, err := store.ParseLogin(s); return string(l), err },
		"target": func(s string) (string, error) { n, err := store.ParseTargetName(s); return string(n), err },
	}
}

func TestNames(t *testing.T) {
	label63 := strings.Repeat("a", 63)
	tests := []struct {
		name   string
		accept string // the grammars that accept it
	}{
		{"carol", "handle login target"},
		// Letters that are ASCII only once they are in lower case.
		{"carol@\u0130", ""},
		{"carol@\u212a.example", ""},
		{"a", "handle login target"},
		{"7", "handle login target"},
		{"carol-2", "handle login target"},
		{"carol.b", "handle login target"},
		{"_backup", "handle login"},
		{"carol_b", "handle login"},
		{"carol.", "handle login"},
		{"carol-", "handle login"},
		{"carol@example.eu", "handle login"},
		{"Carol", "login"},
		{"Administrator@EXAMPLE.EU", "login"},
		{"machine$", "login"},
		{"db1.prod.example.eu", "handle login target"},
		{label63 + "." + label63, "target"},
		{label63 + "a", "handle login"},
		{label63 + "ab", ""},
		{strings.TrimSuffix(strings.Repeat("abc.", 50), "."), "target"}, // 199 bytes
		{strings.Repeat("abc.", 50) + "abc", ""},

		{"", ""}, {".", ""}, {"$", ""}, {"@", ""}, {"-", ""},
		{"-oProxyCommand=x", ""}, {"-carol", ""}, {".carol", ""},
		{"carol,root", ""}, {"carol root", ""}, {" carol", ""}, {"carol ", ""},
		{"carol\n", ""}, {"carol\x00", ""}, {"carol\t", ""}, {"carol\x7f", ""},
		{"cárol", ""}, {"carol\u200b", ""}, {"ｃarol", ""},
		{"carol@", ""}, {"@example.eu", ""}, {"carol@a@b", ""}, {"carol@-x", ""}, {"carol@x..y", ""},
		{"ma$chine", ""}, {"machine$$", ""}, {"m$@example.eu", ""},
		{"a/b", ""}, {"a:b", ""}, {"u:abc", ""}, {"a+b", ""}, {"a%b", ""}, {"a*", ""}, {"a?", ""}, {"!a", ""},
		{"a;b", ""}, {"$(id)", ""}, {"`id`", ""}, {"a\\b", ""}, {"a'b", ""}, {`a"b`, ""}, {"a=b", ""}, {"#a", ""},
	}
	for _, tt := range tests {
		for grammar, parse := range parsers() {
			got, err := parse(tt.name)
			want := strings.Contains(tt.accept, grammar)
			if (err == nil) != want {
				t.Errorf("%s %q: error %v, want accepted %t", grammar, tt.name, err, want)
			}
			if err == nil && got != tt.name || err != nil && got != "" {
				t.Errorf("%s %q: returned %q", grammar, tt.name, got)
			}
		}
	}
}

func TestTargetNameLabels(t *testing.T) {
	for _, s := range []string{"a-", "-a", "a..b", ".a", "a.", "a.-b", "a-.b", "A", "a_b", strings.Repeat("a", 64)} {
		if _, err := store.ParseTargetName(s); err == nil {
			t.Errorf("target name %q: accepted", s)
		}
	}
}

// checkName holds what every accepted name promises, whatever its grammar.
func checkName(t *testing.T, s, parsed string, err error) {
	t.Helper()
	if err != nil {
		if parsed != "" {
			t.Fatalf("%q is refused but returned %q", s, parsed)
		}
		return
	}
	if parsed != s {
		t.Fatalf("%q became %q", s, parsed)
	}
	if s == "" || len(s) > 200 || s[0] == '-' {
		t.Fatalf("accepted %q", s)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(",;:/\\'\"`*?!%+=#()[]{}<>|&~^", c) >= 0 {
			t.Fatalf("accepted %q with byte %#x", s, c)
		}
	}
}

func fuzzName(f *testing.F, grammar string) {
	for _, s := range []string{"carol", "Carol@EXAMPLE.eu", "db1.prod", "m$", "-x", "a,b", "a b", "a\x00", ""} {
		f.Add(s)
	}
	parse := parsers()[grammar]
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parse(s)
		checkName(t, s, parsed, err)
		if grammar == "handle" && err == nil && s != strings.ToLower(s) {
			t.Fatalf("accepted handle %q", s)
		}
	})
}

func FuzzParseHandle(f *testing.F)     { fuzzName(f, "handle") }
func FuzzParseLogin(f *testing.F)      { fuzzName(f, "login") }
func FuzzParseTargetName(f *testing.F) { fuzzName(f, "target") }
