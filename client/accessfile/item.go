package accessfile

import (
	"fmt"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// An Item is what can be added, changed and removed: a Group, a Target, a Grant
// or a Guardrail. String says all of it on one line, so that two items are the
// same exactly when their lines are.
type Item interface {
	fmt.Stringer
	// key tells an item from the others of its section.
	key() string
	section() Section
	// Stands returns where it stands.
	Stands() Place
}

var (
	_ Item = Group{}
	_ Item = Target{}
	_ Item = Grant{}
	_ Item = Guardrail{}
)

// Stands returns the place itself.
func (p Place) Stands() Place { return p }

func (Group) section() Section     { return SectionGroups }
func (Target) section() Section    { return SectionTargets }
func (Grant) section() Section     { return SectionGrants }
func (Guardrail) section() Section { return SectionGuardrails }

func (g Group) key() string     { return string(g.Name) }
func (t Target) key() string    { return string(t.Name) }
func (g Grant) key() string     { return ruleKey(g.Name, g) }
func (g Guardrail) key() string { return ruleKey(g.Name, g) }

// ruleKey is a rule's name, or all of it. A line begins with a word that no name
// is, so the two never meet.
func ruleKey(name string, rule fmt.Stringer) string {
	if name != "" {
		return name
	}
	return rule.String()
}

func (g Group) String() string {
	return fmt.Sprintf("group %s: %s", g.Name, orNone(joined(g.Members)))
}

func (t Target) String() string {
	return fmt.Sprintf("target %s: %s", t.Name, orNone(t.Labels.String()))
}

func (g Grant) String() string {
	return fmt.Sprintf("grant %s for %s%s", g.Rule, g.For, g.Conditions)
}

func (g Guardrail) String() string {
	forbidden := everything
	if g.Forbid != nil {
		forbidden = g.Forbid.String()
	}
	return fmt.Sprintf("guardrail %s forbids %s", g.Rule, forbidden)
}

func (r Rule) String() string {
	var b strings.Builder
	if r.Name != "" {
		fmt.Fprintf(&b, "%s: ", r.Name)
	}
	fmt.Fprintf(&b, "%s as %s on ", r.Subject, orAny(joined(r.Logins)))
	if r.Select.IsZero() {
		b.WriteString(joined(r.Targets))
	} else {
		fmt.Fprintf(&b, "{%s}", r.Select)
	}
	if r.From != 0 {
		fmt.Fprintf(&b, " from %s", formatMoment(r.From))
	}
	if r.Until != 0 {
		fmt.Fprintf(&b, " until %s", formatMoment(r.Until))
	}
	if !r.Hours.IsZero() {
		fmt.Fprintf(&b, " in {%s}", r.Hours)
	}
	return b.String()
}

func (c Conditions) String() string {
	var b strings.Builder
	if c.Reason {
		b.WriteString(", with a reason")
	}
	if c.Ticket != "" {
		fmt.Fprintf(&b, ", with a ticket %q", string(c.Ticket))
	}
	if c.Approvals != 0 {
		fmt.Fprintf(&b, ", with %d of %s", c.Approvals, c.Approvers)
	}
	if c.Passkey != 0 {
		fmt.Fprintf(&b, ", with a passkey within %s", formatMinutes(c.Passkey))
	}
	if c.Longest != 0 {
		fmt.Fprintf(&b, ", for at most %s", formatMinutes(c.Longest))
	}
	return b.String()
}

func joined[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, s := range list {
		texts[i] = string(s)
	}
	return strings.Join(texts, ", ")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func orAny(s string) string {
	if s == "" {
		return "any login"
	}
	return s
}

// compareItems puts named rules before others, each by their keys.
func compareItems(a, b Item) int {
	named := func(i Item) string {
		if i.key() == i.String() {
			return "1"
		}
		return "0"
	}
	return strings.Compare(named(a)+a.key(), named(b)+b.key())
}

// formatMoment writes a moment in UTC, with as many digits as it has.
func formatMoment(m store.Millis) string { return m.Time().Format(time.RFC3339Nano) }

// parseMoment reads a moment with its offset from UTC.
func parseMoment(s string) (store.Millis, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Nanosecond()%int(time.Millisecond) != 0 || t.UnixMilli() <= 0 {
		return 0, fmt.Errorf("moment %.80q: want it with its offset, as 2026-08-01T14:00:00Z or 2026-08-01T16:00:00+02:00", s)
	}
	return store.At(t), nil
}

// formatMinutes writes whole hours as such.
func formatMinutes(m uint64) string {
	if m%60 == 0 {
		return fmt.Sprintf("%dh", m/60)
	}
	return fmt.Sprintf("%dm", m)
}

// parseMinutes reads 15m, 8h or 1h30m.
func parseMinutes(s string) (uint64, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d%time.Minute != 0 {
		return 0, fmt.Errorf("time %.80q: want minutes or hours, as 15m or 8h", s)
	}
	return uint64(d / time.Minute), nil
}
