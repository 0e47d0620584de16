package access_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
)

const findingsPage = "../../docs/findings.md"

// tables are what docs/findings.md says between its two marks.
func tables() string {
	var b strings.Builder
	for _, v := range access.Severities() {
		fmt.Fprintf(&b, "### %s%s\n\n| finding | what there is | why it matters | how to mend it | controls |\n|---|---|---|---|---|\n", strings.ToUpper(string(v[:1])), v[1:])
		for _, r := range access.FindingRules() {
			if r.Severity == v {
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.Kind, r.What, r.Why, r.Mending, r.Controls)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestFindingsPage: the page has a row for each kind, and says of it what the code
// says.
func TestFindingsPage(t *testing.T) {
	data, err := os.ReadFile(findingsPage)
	if err != nil {
		t.Fatal(err)
	}
	marks := regexp.MustCompile(`(?s)(<!-- written by go test ./server/access -update -->\n)(.*)(<!-- until here -->\n)`)
	parts := marks.FindStringSubmatch(string(data))
	if parts == nil {
		t.Fatalf("%s has lost its marks", findingsPage)
	}
	if *update {
		text := strings.Replace(string(data), parts[0], parts[1]+tables()+parts[3], 1)
		if err := os.WriteFile(findingsPage, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(parts[2], tables()); diff != "" {
		t.Errorf("%s (-page +code; go test ./server/access -update writes it anew):\n%s", findingsPage, diff)
	}
}

// TestFindingRules: every kind is named once, in words that a script can hold on to,
// and says all that somebody asks of it.
func TestFindingRules(t *testing.T) {
	seen, controls := map[access.FindingKind]bool{}, regexp.MustCompile(`^A\.[58]\.\d+(, A\.[58]\.\d+)*; (CC\d\.\d|A1\.2)(, (CC\d\.\d|A1\.2))*; \([a-j]\)$`)
	for _, r := range access.FindingRules() {
		if seen[r.Kind] || !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(string(r.Kind)) {
			t.Errorf("kind %q is there twice, or is no name", r.Kind)
		}
		seen[r.Kind] = true
		for _, text := range []string{r.What, r.Why, r.Mending} {
			if !strings.HasSuffix(text, ".") && !strings.HasSuffix(text, ")") {
				t.Errorf("%s: %q is no sentence", r.Kind, text)
			}
		}
		if !controls.MatchString(r.Controls) {
			t.Errorf("%s: controls %q", r.Kind, r.Controls)
		}
	}
}
