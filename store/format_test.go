package store_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
)

// documentedMaps returns the maps of the CDDL in docs/ledger-format.md: each
// field as "number name", with "?" behind it where it is optional.
func documentedMaps(t *testing.T) (string, map[string][]string) {
	t.Helper()
	page, err := os.ReadFile("../docs/ledger-format.md")
	if err != nil {
		t.Fatal(err)
	}
	var cddl strings.Builder
	for _, block := range regexp.MustCompile("(?s)```cddl\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		cddl.WriteString(block[1])
	}
	field := regexp.MustCompile(`^  (\? )?(\d+) : .*; (\w+)`)
	maps := map[string][]string{}
	for _, rule := range regexp.MustCompile(`(?ms)^([a-z-]+) = \{\n(.*?)^\}`).FindAllStringSubmatch(cddl.String(), -1) {
		for _, line := range strings.Split(strings.TrimSuffix(rule[2], "\n"), "\n") {
			m := field.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("field of %s without number, type and name: %q", rule[1], line)
			}
			maps[rule[1]] = append(maps[rule[1]], m[2]+" "+m[3]+strings.TrimSpace(m[1]))
		}
	}
	return cddl.String(), maps
}

// codedFields is documentedMaps for a Go struct.
func codedFields(typ reflect.Type) []string {
	var fields []string
	for i := range typ.NumField() {
		f := typ.Field(i)
		number, options, _ := strings.Cut(f.Tag.Get("cbor"), ",")
		optional := ""
		if strings.Contains(options, "omit") {
			optional = "?"
		}
		fields = append(fields, number+" "+f.Name+optional)
	}
	return fields
}

// TestFormatIsDocumented holds docs/ledger-format.md to the structs: every
// event and every field with its number, and nothing else.
func TestFormatIsDocumented(t *testing.T) {
	cddl, documented := documentedMaps(t)
	coded := map[string][]string{
		"recording-file": codedFields(reflect.TypeFor[store.RecordingFile]()),
		"passkey":        codedFields(reflect.TypeFor[store.Passkey]()),
		"assertion":      codedFields(reflect.TypeFor[store.Assertion]()),
		"conditions":     codedFields(reflect.TypeFor[store.Conditions]()),
	}
	for _, e := range examples() {
		name := strings.ReplaceAll(string(e.Event.EventType()), ".", "-")
		coded[name] = codedFields(reflect.TypeOf(e.Event).Elem())
	}
	if diff := cmp.Diff(coded, documented); diff != "" {
		t.Errorf("docs/ledger-format.md (-code +page):\n%s", diff)
	}
	for _, typ := range eventTypes(t) {
		want := fmt.Sprintf("( %q, 1, actor, %s )\n", typ, strings.ReplaceAll(string(typ), ".", "-"))
		if n := strings.Count(cddl, want); n != 1 {
			t.Errorf("the CDDL has %d times %q", n, want)
		}
	}
}

// TestWordsAreDocumented holds the closed sets of words to the page.
func TestWordsAreDocumented(t *testing.T) {
	cddl, _ := documentedMaps(t)
	source, err := os.ReadFile("word.go")
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`(?m)^(?:const |\t)\w+ +(?:\w+ +)?= "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(words) < 28 {
		t.Fatalf("only %d words in word.go", len(words))
	}
	for _, w := range words {
		if !strings.Contains(cddl, `"`+w[1]+`"`) {
			t.Errorf("docs/ledger-format.md does not know the word %q", w[1])
		}
	}
}
