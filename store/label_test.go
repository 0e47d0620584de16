package store_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultpam/vaultpam/store"
)

// toArray leaves out the blank fields that say how a struct is encoded.
var toArray = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == "._" }, cmp.Ignore())

func TestTargetLabels(t *testing.T) {
	tests := []struct {
		text string
		want string // canonical; "!" and a part of the refusal
	}{
		{"", ""},
		{"env=prod", "env=prod"},
		{"role=db, env=prod", "env=prod,role=db"},
		{"env=prod,env=prod", "env=prod"},
		{"a=1,b.c_d-e=x.y_z-0", "a=1,b.c_d-e=x.y_z-0"},
		{"env=in", "env=in"},

		{"env", "!want KEY=VALUE"},
		{"env=", "!value"},
		{"=prod", "!key"},
		{"env=prod,", "!want KEY=VALUE"},
		{"env=prod,env=dev", "!given twice, as dev and prod"},
		{"Env=prod", `!want "env"`},
		{"env=Prod", `!want "prod"`},
		{"env=\u212a", "!value"}, // the Kelvin sign, whose lower case is ASCII
		{"in=a", "!a word of selectors"},
		{"notin=a", "!a word of selectors"},
		{"example.com/env=prod", "!key"},
		{"env=-prod", "!value"}, {"env=prod-", "!value"}, {".env=prod", "!key"},
		{"env=a=b", "!value"}, {"env =prod", "!key"}, {"env=pr od", "!value"}, {"env=prod\n", "!value"}, {"env=\x00", "!value"},
		{"env=" + strings.Repeat("a", 63), "env=" + strings.Repeat("a", 63)},
		{"env=" + strings.Repeat("a", 64), "!63"},
	}
	for _, tt := range tests {
		labels, err := store.ParseTargetLabels(tt.text)
		if part, refused := strings.CutPrefix(tt.want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), part) || labels != nil {
				t.Errorf("%q: %v, %v; want a refusal with %q", tt.text, labels, err, part)
			}
			continue
		}
		if err != nil || labels.String() != tt.want {
			t.Errorf("%q: %q, %v; want %q", tt.text, labels, err, tt.want)
		}
		again, err := store.ParseTargetLabels(labels.String())
		if diff := cmp.Diff(labels, again, toArray, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%q read again: %v\n%s", tt.text, err, diff)
		}
	}
}

func TestTargetLabelsAreBounded(t *testing.T) {
	var texts []string
	for c := range 33 {
		texts = append(texts, string(rune('a'+c%26))+string(rune('a'+c/26))+"=x")
	}
	if _, err := store.ParseTargetLabels(strings.Join(texts[:32], ",")); err != nil {
		t.Error(err)
	}
	if _, err := store.ParseTargetLabels(strings.Join(texts, ",")); err == nil {
		t.Error("33 labels are accepted")
	}
}

// What Check refuses can't come from the parser, but from an entry.
func TestTargetLabelsCheck(t *testing.T) {
	bad := []store.TargetLabels{
		{{Key: "role", Value: "db"}, {Key: "env", Value: "prod"}},
		{{Key: "env", Value: "prod"}, {Key: "env", Value: "prod"}},
		{{Key: "env"}},
	}
	for _, labels := range bad {
		if labels.Check() == nil {
			t.Errorf("%v is accepted", labels)
		}
	}
}

func TestTargetLabelsGet(t *testing.T) {
	labels, err := store.ParseTargetLabels("env=prod,role=db,zone=a")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"env": "prod", "role": "db", "zone": "a", "rol": "", "": "", "zz": ""} {
		if got, ok := labels.Get(key); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %t", key, got, ok)
		}
	}
}

func FuzzParseTargetLabels(f *testing.F) {
	f.Add("env=prod,role=db")
	f.Add(" a=1 , b=2 ")
	f.Fuzz(func(t *testing.T, text string) {
		labels, err := store.ParseTargetLabels(text)
		if err != nil {
			return
		}
		if err := labels.Check(); err != nil {
			t.Fatalf("%q became what Check refuses: %v", text, err)
		}
		again, err := store.ParseTargetLabels(labels.String())
		if err != nil || again.String() != labels.String() {
			t.Fatalf("%q became %q, and that %q, %v", text, labels, again, err)
		}
	})
}
