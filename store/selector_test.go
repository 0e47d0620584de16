package store_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/store"
)

func TestSelectorText(t *testing.T) {
	tests := []struct {
		text string
		want string // canonical; "!" and a part of the refusal
	}{
		{"*", "*"},
		{" * ", "*"},
		{"env=prod", "env=prod"},
		{"env == prod", "env=prod"},
		{"env!=prod", "env!=prod"},
		{"role in (db, cache)", "role in (cache,db)"},
		{"role in(db)", "role=db"},
		{"role notin (db)", "role!=db"},
		{"role notin (b,a,b)", "role notin (a,b)"},
		{"env", "env"},
		{"! env", "!env"},
		{"role in (db,cache),env=prod", "env=prod,role in (cache,db)"},
		{"env=prod,env=prod", "env=prod"},
		{"env,env!=prod", "env,env!=prod"},
		{"env in (a,b),env!=a", "env in (a,b),env!=a"},
		{"env=in", "env=in"},
		{"env in (in,notin)", "env in (in,notin)"},

		{"", "!is empty"},
		{"   ", "!is empty"},
		{"*,env=prod", "!stands alone"},
		{"env=prod,*", "!key"},
		{"env=prod,", "!behind the last comma"},
		{",env=prod", "!key"},
		{"env=prod,,a=b", "!key"},
		{"env=", "!value"},
		{"env=prod role=db", "!want a comma before"},
		{"env prod", "!want one of"},
		{"env in prod", "!parentheses"},
		{"env in ()", "!value"},
		{"env in (a,)", "!value"},
		{"env in (a b)", "!want a comma or a closing"},
		{"env in (a", "!want a comma or a closing"},
		{"env>1", "!key"},
		{"env=Prod", `!want "prod"`},
		{"env===prod", "!value"},
		{"!env=prod", "!want a comma before"},
		{"!", "!key"},
		{"in=a", "!a word of selectors"},
		{"env=prod\n", "!value"},
		{"env\t=prod", "!key"},
		{"env=prod,env=dev", "!no target can fulfil"},
		{"env in (a,b),env notin (a,b)", "!no target can fulfil"},
		{"env,!env", "!no target can fulfil"},
		{"env!=prod,!env", "!no target can fulfil"},
		{strings.Repeat(" ", 2048) + "*", "!2049"},
	}
	for _, tt := range tests {
		s, err := store.ParseSelector(tt.text)
		if part, refused := strings.CutPrefix(tt.want, "!"); refused && tt.want != "!env" {
			if err == nil || !strings.Contains(err.Error(), part) || !s.IsZero() {
				t.Errorf("%q: %v, %v; want a refusal with %q", tt.text, s, err, part)
			}
			continue
		}
		if err != nil || s.String() != tt.want {
			t.Errorf("%q: %q, %v; want %q", tt.text, s, err, tt.want)
			continue
		}
		if again, err := store.ParseSelector(s.String()); err != nil || !again.Equal(s) {
			t.Errorf("%q read again: %q, %v", tt.text, again, err)
		}
	}
}

func TestSelectorIsBounded(t *testing.T) {
	var terms, values []string
	for i := range 17 {
		terms = append(terms, fmt.Sprintf("k%d", i))
	}
	for i := range 33 {
		values = append(values, fmt.Sprintf("v%d", i))
	}
	for text, ok := range map[string]bool{
		strings.Join(terms[:16], ","):                   true,
		strings.Join(terms, ","):                        false,
		"k in (" + strings.Join(values[:32], ",") + ")": true,
		"k in (" + strings.Join(values, ",") + ")":      false,
	} {
		if _, err := store.ParseSelector(text); (err == nil) != ok {
			t.Errorf("%s: %v, want accepted %t", text, err, ok)
		}
	}
}

func TestSelectorChooses(t *testing.T) {
	const (
		no      = 0
		both    = 1
		forbids = 2 // as a guardrail alone
	)
	tests := []struct {
		selector, labels string
		want             int
	}{
		{"*", "", both},
		{"*", "env=prod", both},
		{"env=prod", "env=prod,role=db", both},
		{"env=prod", "env=dev", no},
		{"env=prod", "", no},
		{"env=prod,role in (db,cache)", "env=prod,role=db", both},
		{"env=prod,role in (db,cache)", "env=prod,role=web", no},
		{"env=prod,role in (db,cache)", "env=prod", no},
		{"env", "env=dev", both},
		{"env", "role=db", no},
		{"!env", "role=db", both},
		{"!env", "env=dev", no},
		{"env!=dev", "env=prod", both},
		{"env!=dev", "env=dev", no},
		{"env notin (dev,test)", "env=prod", both},
		{"env notin (dev,test)", "env=test", no},
		// The host that nobody has labelled: hit by what forbids everything
		// outside of development, not opened by what allows it.
		{"env!=dev", "", forbids},
		{"env!=dev", "role=db", forbids},
		{"env notin (dev,test)", "role=db", forbids},
		{"role=db,env!=dev", "role=db", forbids},
		{"role=db,env!=dev", "env=prod", no},
		// Whoever means it for a grant as well says so.
		{"env,env!=dev", "", no},
	}
	for _, tt := range tests {
		s, err := store.ParseSelector(tt.selector)
		if err != nil {
			t.Fatal(err)
		}
		labels, err := store.ParseTargetLabels(tt.labels)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := s.Allows(labels), tt.want == both; got != want {
			t.Errorf("grant for %s, target with %q: %t, want %t", s, labels, got, want)
		}
		if got, want := s.Forbids(labels), tt.want != no; got != want {
			t.Errorf("guardrail for %s, target with %q: %t, want %t", s, labels, got, want)
		}
	}
	if (store.Selector{}).Allows(nil) || (store.Selector{}).Forbids(nil) {
		t.Error("the zero selector selects")
	}
}

// Both readings as a sentence each, over random selectors and labels.
func TestSelectorProperties(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "c"})
	condition := rapid.Custom(func(t *rapid.T) string {
		key, list := word.Draw(t, "key"), strings.Join(rapid.SliceOfNDistinct(word, 1, 3, rapid.ID).Draw(t, "values"), ",")
		format := rapid.SampledFrom([]string{"%s in (%s)", "%s notin (%s)", "%s%.0s", "!%s%.0s"}).Draw(t, "form")
		return fmt.Sprintf(format, key, list)
	})
	check(t, 2_000, 1_000_000, func(t *rapid.T) {
		conditions := rapid.SliceOfN(condition, 1, 4).Draw(t, "conditions")
		s, err := store.ParseSelector(strings.Join(conditions, ","))
		if err != nil {
			return
		}
		var labels store.TargetLabels
		for _, key := range []string{"a", "b", "c"} {
			if rapid.Bool().Draw(t, "labelled") {
				labels = append(labels, store.TargetLabel{Key: key, Value: word.Draw(t, "value")})
			}
		}
		allows, forbids := true, true
		for _, c := range conditions {
			a, f := reference(c, labels)
			allows, forbids = allows && a, forbids && f
		}
		if s.Allows(labels) != allows || s.Forbids(labels) != forbids {
			t.Fatalf("%s (from %q) of %s: allows %t, forbids %t", s, conditions, labels, s.Allows(labels), s.Forbids(labels))
		}
		if allows && !forbids {
			t.Fatalf("%s of %s allows what it does not forbid", s, labels)
		}
	})
}

// reference reads one condition by its form, as slowly as it likes.
func reference(condition string, labels store.TargetLabels) (allows, forbids bool) {
	key, rest, _ := strings.Cut(strings.TrimPrefix(condition, "!"), " ")
	value, there := labels.Get(key)
	_, list, _ := strings.Cut(rest, "(")
	inList := strings.Contains(","+strings.TrimSuffix(list, ")")+",", ","+value+",")
	switch {
	case condition[0] == '!':
		return !there, !there
	case rest == "":
		return there, there
	case strings.HasPrefix(rest, "in"):
		return there && inList, there && inList
	}
	return there && !inList, !there || !inList
}

func TestSelectorCBOR(t *testing.T) {
	s, err := store.ParseSelector("role in (db,cache),env=prod")
	if err != nil {
		t.Fatal(err)
	}
	data, err := cbor.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again store.Selector
	if err := cbor.Unmarshal(data, &again); err != nil || !again.Equal(s) {
		t.Errorf("read %v, %v", again, err)
	}
	var zero store.Selector
	data, err = cbor.Marshal(zero)
	if err != nil || cbor.Unmarshal(data, &again) != nil || !again.IsZero() {
		t.Errorf("the zero selector became %v, %v", again, err)
	}
	for _, text := range []string{"env==prod", "b,a", " *", "a b"} {
		data, err := cbor.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if cbor.Unmarshal(data, &again) == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func FuzzParseSelector(f *testing.F) {
	for _, text := range []string{"*", "env=prod,role in (db,cache)", "a!=b,!c,d notin (e,f)", "a==b", ""} {
		f.Add(text, "env=prod,role=db")
	}
	f.Fuzz(func(t *testing.T, text, labelled string) {
		s, err := store.ParseSelector(text)
		if err != nil {
			if !s.IsZero() {
				t.Fatalf("%q is refused and became %q", text, s)
			}
			return
		}
		again, err := store.ParseSelector(s.String())
		if err != nil || !again.Equal(s) || s.IsZero() {
			t.Fatalf("%q became %q, and that %q, %v", text, s, again, err)
		}
		labels, err := store.ParseTargetLabels(labelled)
		if err == nil && s.Allows(labels) && !s.Forbids(labels) {
			t.Fatalf("%q of %q allows and does not forbid", s, labels)
		}
	})
}
