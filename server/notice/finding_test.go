package notice_test

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
)

// looked carries a check of db1 out that finds doors.
func (h *house) looked(doors ...store.Door) {
	h.Helper()
	session := store.SessionID(random(16))
	session[6], session[8] = session[6]&0x0f|0x40, session[8]&0x3f|0x80
	h.do(access.StartErrand{By: local, Errand: store.ErrandCheck, Target: "db1", Session: session})
	h.do(access.EndSession{Session: session, Reason: store.EndedByUser})
	t, _ := h.ledger.State().TargetByName("db1")
	before := ""
	if t.Check.Entry != 0 {
		var err error
		if before, err = h.ledger.Text(h.Context(), store.UserID{}, t.Check.Report); err != nil {
			h.Fatal(err)
		}
	}
	h.do(access.RecordCheck{
		Target: t.Entry, Session: session, Report: store.DoorReport{Doors: doors}, Closed: len(doors) == 0, Before: before, BeforeOf: t.Check.Report, Salt: random32(),
	})
}

// TestFindings: of every high finding administrators and auditors hear once, when the
// entry is made that makes it.
func TestFindings(t *testing.T) {
	h, p, r := both(t)
	ada := h.employ("ada", "ada@example.eu", store.RoleAdministrator)
	signIn := h.index() - 1
	h.employ("dana", "dana@example.eu", store.RoleAuditor)
	eve := h.employ("eve", "", store.RoleEngineer)
	eves := h.index() - 1
	h.do(access.AddTarget{By: local, Name: "db1", Address: "db1:22", HostKeys: []ssh.PublicKey{h.ledger.UserCA.PublicKey()}, Logins: []string{"root"}, Egress: "192.0.2.1"})
	h.do(access.AddGroup{By: local, Name: "dba"})
	key := h.do(access.AddFactor{SignIn: signIn, Factor: passkey()}).First
	counts := passkey()
	counts.Passkey.Counter = 7
	copied := h.do(access.AddFactor{SignIn: eves, Factor: counts}).First
	h.run()

	var text bytes.Buffer
	told := map[access.FindingKind]bool{"recovery-under-way": true} // which has a notice of its own
	expect := func(kind access.FindingKind, readers ...string) {
		t.Helper()
		n := hear(t, p, r, len(readers))
		if diff := cmp.Diff(readers, n.to); diff != "" || n.hook.body.Type != notice.FindingMade {
			t.Errorf("%s, as %s, goes to (-want +got):\n%s", kind, n.hook.body.Type, diff)
		}
		told[kind] = true
		said := moments.ReplaceAllString(n.mail, "MOMENT")
		fmt.Fprintf(&text, "%s\n\n%s\n----\n", kind, regexp.MustCompile(`\b(This is entry|audit show|grant|grant rm) \d+`).ReplaceAllString(said, "$1 N"))
	}
	all := []string{"ada@example.eu", "dana@example.eu"}

	h.do(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantRefused}) // nobody hears
	h.do(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed})
	expect("self-grant-allowed", all...)

	give := access.AddGrant{By: caller(ada.token), User: "eve", Target: "db1", Logins: []string{"root"}}
	h.do(give) // nobody hears
	give.User = "ada"
	h.do(give)
	expect("self-granted", all...)
	toGroup := access.AddGrant{By: caller(ada.token), Group: "dba", Targets: "*", Logins: []string{"root"}}
	h.do(toGroup) // nobody hears: ada does not belong to it
	h.do(access.AddMember{By: caller(ada.token), Group: "dba", User: "ada"})
	h.do(toGroup)
	expect("self-granted", all...)

	h.looked() // nobody hears
	password := store.Door{Kind: store.DoorPassword, Account: "root", Detail: "password"}
	h.looked(password)
	expect("changed-target", all...)
	h.looked(password) // nobody hears again
	h.do(access.RemoveTarget{By: local, Name: "db1"})
	h.do(access.AddTarget{By: local, Name: "db1", Address: "db1:22", HostKeys: []ssh.PublicKey{h.ledger.UserCA.PublicKey()}, Logins: []string{"root"}, Egress: "192.0.2.1"})
	h.looked(password)
	expect("open-target", all...)

	h.do(access.RemoveFactor{By: caller(ada.token), Factor: key})
	if n, mail := r.next(), p.next(); n.body.Type != notice.FactorRemoved || mail.to != "ada@example.eu" {
		t.Errorf("before the finding comes %s to %s", n.body.Type, mail.to)
	}
	expect("administrator-without-passkey", all...)

	for _, role := range []store.Role{store.RoleEngineer, store.RoleAdministrator} {
		h.employ("new-"+string(role), "", role)
		kinds := []notice.Kind{notice.Invited, notice.FactorEnrolled}
		if role == store.RoleAdministrator {
			kinds = append([]notice.Kind{notice.AdminAdded}, kinds...)
			if mail := p.next(); mail.to != "ada@example.eu" {
				t.Errorf("of a new administrator hears %s", mail.to)
			}
		}
		for _, kind := range kinds {
			if n := r.next(); n.body.Type != kind {
				t.Errorf("%s comes where %s should", n.body.Type, kind)
			}
		}
	}
	expect("administrator-without-passkey", all...)

	_, err := h.ledger.Do(t.Context(), access.SignInWithPasskey{
		Assertion: access.Assertion{User: eve.id, Factor: copied, Counter: 5, Last: 7}, Holder: holder(random32(), "203.0.113.9"),
	})
	if !errors.Is(err, access.ErrCloned) {
		t.Fatalf("a copy signs in: %v", err)
	}
	if n := r.next(); n.body.Type != notice.FactorCloned { // eve has no address
		t.Errorf("before the finding comes %s", n.body.Type)
	}
	expect("copied-passkey", all...)

	h.do(access.RestoreLedger{})
	expect("restored-ledger", all...)

	for _, rule := range access.FindingRules() {
		if rule.Severity == access.High && !told[rule.Kind] {
			t.Errorf("of %s nobody hears", rule.Kind)
		}
	}
	compare(t, "testdata/findings.golden", text.Bytes())
}

// TestFindingOfRestore: whose notices begin with a ledger that was just restored hears
// of that, and of nothing before it.
func TestFindingOfRestore(t *testing.T) {
	h, p, r := both(t)
	h.employ("ada", "ada@example.eu", store.RoleAdministrator)
	h.do(access.RestoreLedger{})
	h.run()
	if n := hear(t, p, r, 1); n.hook.body.Type != notice.FindingMade || n.hook.body.Data.Entry != uint64(h.index()-1) {
		t.Errorf("%+v", n)
	}
}
