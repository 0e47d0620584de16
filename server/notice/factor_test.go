package notice_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/notice"
)

// TestFactorsThatGo: the person hears that somebody holds a copy of their passkey,
// and that a factor was taken away, whoever took it.
func TestFactorsThatGo(t *testing.T) {
	h, p, r := both(t)
	carol := h.employ("carol", "carol@example.eu")
	signIn := h.index() - 1
	h.run()
	counts := passkey()
	counts.Passkey.Counter = 7
	key := h.do(access.AddFactor{SignIn: signIn, Factor: counts}).First
	hear(t, p, r, 1)
	_, err := h.ledger.Do(t.Context(), access.SignInWithPasskey{
		Assertion: access.Assertion{User: carol.id, Factor: key, Counter: 5, Last: 7}, Holder: holder(random32(), "203.0.113.9"),
	})
	if !errors.Is(err, access.ErrCloned) {
		t.Fatalf("a copy signs in: %v", err)
	}
	copied := hear(t, p, r, 1)
	if n := r.next(); n.body.Type != notice.FindingMade { // for administrators and auditors, of whom none has an address
		t.Errorf("after %s comes %s", copied.hook.body.Type, n.body.Type)
	}
	h.do(access.RemoveFactor{By: caller(carol.token), Factor: key})
	removed := hear(t, p, r, 1)

	var text bytes.Buffer
	for i, n := range []told{copied, removed} {
		if kind := []notice.Kind{notice.FactorCloned, notice.FactorRemoved}[i]; n.hook.body.Type != kind || n.to[0] != "carol@example.eu" || n.hook.body.Data.User != "carol" {
			t.Errorf("%s: %+v", kind, n)
		}
		said := moments.ReplaceAllString(n.mail, "MOMENT")
		said = strings.ReplaceAll(said, fmt.Sprintf("entry %d enrolled", key), "entry K enrolled")
		said = strings.ReplaceAll(said, fmt.Sprintf("factor rm %d", key), "factor rm K")
		fmt.Fprintf(&text, "%s\n----\n", regexp.MustCompile(`\b(This is entry|audit show) \d+`).ReplaceAllString(said, "$1 N"))
	}
	compare(t, "testdata/factors.golden", text.Bytes())
}
