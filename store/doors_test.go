package store_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
)

func TestDoorReportText(t *testing.T) {
	key := store.Door{Kind: store.DoorKey, Account: "root", Detail: "SHA256:abc, /root/.ssh/authorized_keys"}
	daemon := store.Door{Kind: store.DoorDaemon, Detail: "dropbear -p 2222"}
	for _, tc := range []struct {
		name   string
		report store.DoorReport
		want   string
	}{
		{"nothing", store.DoorReport{}, ""},
		{"sorted, and none twice", store.DoorReport{
			Doors: []store.Door{daemon, key, daemon}, Unread: []string{"/etc/shadow"},
		}, "door\tauthorized-key\troot\tSHA256:abc, /root/.ssh/authorized_keys\ndoor\tdaemon\t\tdropbear -p 2222\nunread\t/etc/shadow"},
		{"names of other scripts", store.DoorReport{Unread: []string{"/home/müller/.ssh"}}, "unread\t/home/müller/.ssh"},
	} {
		got, err := tc.report.Text()
		if err != nil || got != tc.want {
			t.Errorf("%s: %q, error %v, want %q", tc.name, got, err, tc.want)
		}
		again, err := store.ParseDoorReport(got)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if text, err := again.Text(); err != nil || text != got {
			t.Errorf("%s again: %q, error %v", tc.name, text, err)
		}
	}
	for name, d := range map[string]store.Door{
		"no kind":       {Account: "root", Detail: "x"},
		"another kind":  {Kind: "window", Detail: "x"},
		"no detail":     {Kind: store.DoorKey, Account: "root"},
		"a tab":         {Kind: store.DoorKey, Account: "ro\tot", Detail: "x"},
		"a line":        {Kind: store.DoorKey, Account: "root", Detail: "x\ny"},
		"an escape":     {Kind: store.DoorKey, Account: "root", Detail: "\x1b]0;x\a"},
		"a C1 control":  {Kind: store.DoorKey, Account: "root", Detail: "\u009b2J"},
		"U+2028":        {Kind: store.DoorKey, Account: "root", Detail: "a\u2028b"},
		"no UTF-8":      {Kind: store.DoorKey, Account: "root", Detail: "\xff"},
		"a long detail": {Kind: store.DoorKey, Account: "root", Detail: strings.Repeat("x", 257)},
	} {
		if text, err := (store.DoorReport{Doors: []store.Door{d}}).Text(); err == nil {
			t.Errorf("%s: %q", name, text)
		}
	}
	if _, err := (store.DoorReport{Unread: make([]string, 1)}).Text(); err == nil {
		t.Error("something unread has no name")
	}
	many := store.DoorReport{Unread: make([]string, 0, store.MaxDoors+1)}
	for i := range store.MaxDoors + 1 {
		many.Unread = append(many.Unread, strings.Repeat("x", i%250+1)+string(rune('a'+i/250)))
	}
	if _, err := many.Text(); err == nil {
		t.Error("a report may be of any length")
	}
}

// FuzzParseDoorReport: what is accepted is the one text of what it says.
func FuzzParseDoorReport(f *testing.F) {
	f.Add("")
	f.Add("door\tauthorized-key\troot\tSHA256:abc\nunread\t/etc/shadow")
	f.Add("unread\tb\nunread\ta")
	f.Add("door\tdaemon\t\tx\ndoor\tdaemon\t\tx")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := store.ParseDoorReport(text)
		if err != nil {
			if diff := cmp.Diff(store.DoorReport{}, r); diff != "" {
				t.Errorf("beside an error:\n%s", diff)
			}
			return
		}
		again, err := r.Text()
		if err != nil || again != text || len(r.Doors)+len(r.Unread) > store.MaxDoors {
			t.Errorf("%q is %+v, which is %q, error %v", text, r, again, err)
		}
	})
}
