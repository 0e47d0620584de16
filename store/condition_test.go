package store_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
)

func TestConditions(t *testing.T) {
	tests := []struct {
		conditions store.Conditions
		want       string // a part of the refusal
	}{
		{store.Conditions{}, ""},
		{store.Conditions{Reason: true, Ticket: "INC-[0-9]+", Approvals: 2, Approvers: 7, Passkey: 15, Longest: 480}, ""},
		{store.Conditions{Approvals: store.MaxApprovals, Approvers: 1, Passkey: store.MaxPasskeyMinutes, Longest: store.MaxLongestMinutes}, ""},
		{store.Conditions{Approvals: 9, Approvers: 1}, "at most 8"},
		{store.Conditions{Approvals: 1}, "a group of approvers"},
		{store.Conditions{Approvers: 1}, "no group without"},
		{store.Conditions{Passkey: 1441}, "a day"},
		{store.Conditions{Longest: 44641}, "31 days"},
		{store.Conditions{Ticket: "("}, "ticket pattern"},
	}
	for _, tt := range tests {
		err := tt.conditions.Check()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.conditions, err, tt.want)
		}
		data, err := cbor.Marshal(tt.conditions)
		if err != nil {
			t.Fatal(err)
		}
		var again store.Conditions
		if err := cbor.Unmarshal(data, &again); err != nil || !cmp.Equal(again, tt.conditions) {
			t.Errorf("%+v read again: %+v, %v", tt.conditions, again, err)
		}
	}
	c := store.Conditions{Passkey: 15, Longest: 90}
	if within, ok := c.PasskeyWithin(); !ok || within != 15*time.Minute {
		t.Error(within, ok)
	}
	if longest, ok := c.LongestSession(); !ok || longest != 90*time.Minute {
		t.Error(longest, ok)
	}
	if _, ok := (store.Conditions{}).LongestSession(); ok || !(store.Conditions{}).IsZero() || c.IsZero() {
		t.Error("the zero conditions ask for something")
	}
}

func TestTicketPattern(t *testing.T) {
	tests := []struct {
		pattern   string
		want      string // a part of the refusal
		fits, not []string
	}{
		{"INC-[0-9]+", "", []string{"INC-1", "INC-4711"}, []string{"", "inc-1", "see INC-1", "INC-1 ", "INC-1\n", "INC-", "INC-1\nINC-2", "INC-" + strings.Repeat("1", 125)}},
		{"INC-[0-9]+|CHG-[0-9]+", "", []string{"INC-1", "CHG-2"}, []string{"INC-1CHG-2", "xCHG-2", "INC-1x"}},
		{"(?i)inc-[0-9]{1,6}", "", []string{"InC-1"}, []string{"inc-1234567"}},
		{"(?:INC|CHG)-[0-9]+", "", []string{"CHG-2"}, []string{"INC"}},
		{"(?m)a$b|INC", "", []string{"INC"}, []string{"INC\n", "\nINC"}},
		{".+", "", []string{"x", "é"}, []string{"", "a\nb"}},

		{"", "want a regular expression", nil, nil},
		{"^INC-[0-9]+$", "leave ^ and $ away", nil, nil},
		{"(INC|CHG)-[0-9]+", "write groups as", nil, nil},
		{"INC)|(?:x", "ticket pattern", nil, nil},
		{"INC-[0-9", "ticket pattern", nil, nil},
		{`\QINC`, "ticket pattern", nil, nil},
		{"[0-9]*", "fits an empty text", nil, nil},
		{"|INC", "fits an empty text", nil, nil},
		{"INC-\u0661", "printable ASCII", nil, nil},
		{" INC", "without spaces around", nil, nil},
		{"INC\n", "printable ASCII", nil, nil},
		{`(?=INC)`, "ticket pattern", nil, nil},
		{`a\1`, "ticket pattern", nil, nil},
		{"a{1001}", "ticket pattern", nil, nil},
		{"INC-" + strings.Repeat("0", 125), "129 bytes", nil, nil},
	}
	for _, tt := range tests {
		p, err := store.ParseTicketPattern(tt.pattern)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || p != "") {
			t.Errorf("%q: %q, %v; want %q", tt.pattern, p, err, tt.want)
		}
		for _, ticket := range tt.fits {
			if !p.Fits(ticket) {
				t.Errorf("%q does not fit %q", tt.pattern, ticket)
			}
		}
		for _, ticket := range tt.not {
			if p.Fits(ticket) {
				t.Errorf("%q fits %q", tt.pattern, ticket)
			}
		}
	}
	if store.TicketPattern("").Fits("") || store.TicketPattern("(").Fits("(") {
		t.Error("what is no pattern fits")
	}
}

func FuzzParseTicketPattern(f *testing.F) {
	f.Add("INC-[0-9]+", "INC-1")
	f.Add("(?i)a|b", "B")
	f.Add(`\Qa`, "a")
	f.Fuzz(func(t *testing.T, pattern, ticket string) {
		p, err := store.ParseTicketPattern(pattern)
		if err != nil {
			return
		}
		if string(p) != pattern || p.Fits("") {
			t.Fatalf("%q became %q, and fits an empty text: %t", pattern, p, p.Fits(""))
		}
		// What fits is one match from the first byte to the last.
		longest := regexp.MustCompile(pattern)
		longest.Longest()
		if p.Fits(ticket) && !strings.Contains(pattern, `\`) && !strings.ContainsAny(pattern, "^$") && longest.FindString(ticket) != ticket {
			t.Fatalf("%q fits %q, of which it finds %q", p, ticket, longest.FindString(ticket))
		}
	})
}
