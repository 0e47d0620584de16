package access_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

const day = 24 * time.Hour

// A sound company is one of which nothing is to be said.
type sound struct {
	*company
	ada, bob, dana person // two administrators and an auditor, with passkeys
}

func newSound(t rapid.TB) *sound {
	t.Helper()
	c := &sound{company: found(t)}
	c.do(access.ChangeSetting{By: local, Setting: store.SettingSignInIdle, Value: "24h"})
	c.ada, c.bob = c.employ("ada", store.RoleAdministrator), c.employ("bob", store.RoleAdministrator)
	c.dana = c.employ("dana", store.RoleAuditor)
	for _, p := range []person{c.ada, c.bob, c.dana} {
		c.passkeyOf(p)
	}
	c.do(access.RemoveUser{By: local, Handle: "alice"}) // who never enrolled
	if all := c.state.Findings(c.at()); len(all) > 0 {
		t.Fatalf("something is to be said of a sound company: %+v", all)
	}
	return c
}

// engineer employs one with a passkey.
func (c *sound) engineer(handle string) person {
	c.Helper()
	p := c.employ(handle)
	c.passkeyOf(p)
	return p
}

// busyFor lets time go by in which everybody signs in every week.
func (c *sound) busyFor(d time.Duration, more ...*person) {
	c.Helper()
	for end := c.now.Add(d); c.now.Before(end); {
		c.wait(min(7*day-time.Second, end.Sub(c.now)))
		for _, p := range append([]*person{&c.ada, &c.bob, &c.dana}, more...) {
			c.signIn(p)
		}
	}
}

func (c *sound) newest() store.Index { return c.state.Next() - 1 }

// checkedDB1 adds db1 and looks at it, which finds doors.
func (c *sound) checkedDB1(doors ...store.Door) store.Index {
	c.Helper()
	c.target("db1", "deploy", "root")
	c.looked(local, store.ErrandCheck, len(doors) == 0, doors...)
	return c.newest()
}

var (
	password = store.Door{Kind: store.DoorPassword, Account: "root", Detail: "password"}
	ownKey   = store.Door{Kind: store.DoorKey, Account: "root", Detail: "SHA256:abc"}
)

// A weakness is how a sound company comes to a finding, and how that is mended.
type weakness struct {
	kind access.FindingKind
	make func(*sound) []store.Index // returns the entries behind it
	want string                     // its sentence; N is the last of the entries, M the first
	mend string                     // the command, likewise
	do   func(*sound)               // what the command does; nil: nothing mends it but time
}

func settingWeakness(kind access.FindingKind, name store.Setting, weak, want string) weakness {
	return weakness{kind, func(c *sound) []store.Index {
		c.do(access.ChangeSetting{By: local, Setting: name, Value: weak})
		return []store.Index{c.newest()}
	}, want, fmt.Sprintf("vaultpamd setting %s %s", name, name.Default()), func(c *sound) {
		c.do(access.ChangeSetting{By: local, Setting: name, Value: name.Default()})
	}}
}

// grantWeakness is one of a grant that is taken away.
func grantWeakness(kind access.FindingKind, want string, give func(*sound) store.Index) weakness {
	return weakness{kind, func(c *sound) []store.Index { return []store.Index{give(c)} }, want, "vaultpam admin grant rm N", func(c *sound) {
		for g := range c.state.Grants() {
			if g.Request == 0 {
				c.do(access.RemoveGrant{By: local, Grant: g.Entry})
			}
		}
	}}
}

func weaknesses() []weakness {
	return slices.Concat(settingWeaknesses(), personWeaknesses(), botWeaknesses(), grantWeaknesses(), guardrailWeaknesses(), targetWeaknesses(), ledgerWeaknesses())
}

func settingWeaknesses() []weakness {
	return []weakness{
		settingWeakness("self-grant-allowed", store.SettingSelfGrant, store.SelfGrantAllowed, "an administrator may give access to themselves without a second person"),
		settingWeakness("codes-approve", store.SettingApproveWith, store.ApproveWithTOTP, "requests may be approved by a code, which nobody can verify afterwards"),
		settingWeakness("device-login-anywhere", store.SettingDeviceLogin, store.DeviceLoginAny, "a sign-in may be confirmed for a machine in any network, so a code that was sent to somebody signs a stranger in"),
		settingWeakness("long-sign-ins", store.SettingSignInLife, "25h", "a sign-in lasts 25h, which is more than a day"),
	}
}

func personWeaknesses() []weakness {
	factors := func(c *sound, p person) []store.Index {
		u, _ := c.state.User(p.id)
		return []store.Index{u.Factors[len(u.Factors)-1].Entry}
	}
	return []weakness{
		{"administrator-without-passkey", func(c *sound) []store.Index {
			return factors(c, c.employ("erin", store.RoleAdministrator))
		}, "administrator erin has no passkey: whoever talks them out of a code, or finds their secret, is an administrator", "erin: vaultpam factor add", func(c *sound) {
			u, _ := c.state.UserByHandle("erin")
			c.passkeyOf(person{id: u.ID, handle: "erin", signIn: c.state.SignInsOf(u.ID, c.at())[0].Entry})
		}},
		{"user-without-passkey", func(c *sound) []store.Index {
			return factors(c, c.employ("carol"))
		}, "carol has no passkey, and signs in with what they can be talked out of", "carol: vaultpam factor add", func(c *sound) {
			c.do(access.RemoveUser{By: local, Handle: "carol"})
		}},
		{"copied-passkey", func(c *sound) []store.Index {
			carol := c.engineer("carol")
			key := c.passkey(carol, "blue key", 7)
			copied := access.SignInWithPasskey{Assertion: access.Assertion{User: carol.id, Factor: key, Counter: 3, Last: 7}, Holder: c.holder()}
			c.refused(copied)
			return []store.Index{key, c.newest()}
		}, "there is a copy of a passkey of carol: whoever has it may have signed in as them before that was noticed", "carol: vaultpam factor rm M", func(c *sound) {
			u, _ := c.state.UserByHandle("carol")
			x := c.state.SignInsOf(u.ID, c.at())[0]
			i := slices.IndexFunc(u.Factors, func(f access.Factor) bool { return f.Cloned })
			c.do(access.RemoveFactor{By: c.callerOf(x), Factor: u.Factors[i].Entry})
		}},
		{"recovery-under-way", func(c *sound) []store.Index {
			c.engineer("carol")
			c.do(c.recover("carol"))
			return []store.Index{c.newest()}
		}, "on the server's own machine somebody is making carol an administrator; it can be finished from 2026-11-03 12:00:00 UTC on", "vaultpam admin recovery stop", func(c *sound) {
			c.do(access.StopRecovery{By: c.ada.caller()})
		}},
		{"few-administrators", func(c *sound) []store.Index {
			c.lock(access.Lockable{User: "bob"})
			u, _ := c.state.User(c.ada.id)
			return []store.Index{u.Entry}
		}, "ada is the only administrator who could sign in", "vaultpam admin user add HANDLE --role administrator", func(c *sound) {
			c.passkeyOf(c.employ("erin", store.RoleAdministrator))
		}},
		{"no-independent-auditor", func(c *sound) []store.Index {
			c.do(access.RemoveUser{By: local, Handle: "dana"})
			p := c.employ("frank", store.RoleAdministrator, store.RoleAuditor)
			c.passkeyOf(p)
			u, _ := c.state.User(p.id)
			return []store.Index{u.Entry}
		}, "every auditor is an administrator as well, and audits themselves", "vaultpam admin user add HANDLE --role auditor", func(c *sound) {
			c.passkeyOf(c.employ("gina", store.RoleAuditor))
		}},
		{"idle-user", func(c *sound) []store.Index {
			u, _ := c.state.User(c.engineer("carol").id)
			c.busyFor(90 * day)
			return []store.Index{u.Entry}
		}, "carol has not signed in for 90 days", "vaultpam admin user rm carol", func(c *sound) {
			c.do(access.RemoveUser{By: local, Handle: "carol"})
		}},
		{"recovery-codes-low", func(c *sound) []store.Index {
			carol := c.engineer("carol")
			u, _ := c.state.User(carol.id)
			for n := uint64(1); n <= access.RecoveryCodes-2; n++ {
				c.do(c.useCode(carol, n))
			}
			return []store.Index{u.Recovery.Entry}
		}, "carol has 2 recovery codes left", "carol: vaultpam recovery new", func(c *sound) {
			u, _ := c.state.UserByHandle("carol")
			c.do(access.CreateRecoveryCodes{By: c.callerOf(c.state.SignInsOf(u.ID, c.at())[0]), Codes: c.hash(), Step: 2000})
		}},
		{"long-lock", func(c *sound) []store.Index {
			c.engineer("carol")
			lock := c.lock(access.Lockable{User: "carol"})
			c.busyFor(30 * day)
			return []store.Index{lock}
		}, "carol is locked for 30 days, and still has all they were given", "vaultpam admin user rm carol", func(c *sound) {
			c.do(access.RemoveUser{By: local, Handle: "carol"})
		}},
	}
}

// callerOf is who opened a sign-in session.
func (c *company) callerOf(x access.SignIn) access.Caller {
	c.Helper()
	e, ok := c.entries[x.Entry].Event.(*store.SignInSucceeded)
	if !ok {
		c.Fatalf("entry %d is no sign-in", x.Entry)
	}
	return byToken(e.Token)
}

func botWeaknesses() []weakness {
	removed := func(c *sound) { // the key that the entry behind the finding enrolled
		u, _ := c.state.UserByHandle("ci")
		c.do(access.RemoveBotKey{By: local, Handle: "ci", Factor: u.Factors[0].Entry})
	}
	second := func(c *sound, ci robot) robot {
		ci.key = newKey().PublicKey()
		c.do(access.AddBotKey{By: local, Handle: "ci", Key: access.BotKey{Key: ci.key}})
		return ci
	}
	return []weakness{
		{"old-bot-key", func(c *sound) []store.Index {
			ci := c.bot("ci")
			c.busyFor(365 * day)
			second(c, ci)
			return []store.Index{ci.factor}
		}, "a key of the bot ci is 365 days old", "vaultpam admin bot key rm ci N", removed},
		{"unused-bot-key", func(c *sound) []store.Index {
			ci := c.bot("ci")
			other := second(c, ci)
			c.busyFor(90 * day)
			c.signInBot(&other)
			return []store.Index{ci.factor}
		}, "a key of the bot ci was not used for 90 days", "vaultpam admin bot key rm ci N", removed},
		{"idle-user", func(c *sound) []store.Index {
			ci := c.bot("ci")
			c.signInBot(&ci)
			c.busyFor(90 * day)
			return []store.Index{ci.factor - 1}
		}, "ci has not signed in for 90 days", "vaultpam admin bot rm ci", func(c *sound) {
			c.do(access.RemoveBot{By: local, Handle: "ci"})
		}},
	}
}

func grantWeaknesses() []weakness {
	// give lets carol log in as root on db1, with a touch so that it is sound.
	give := func(c *sound, change func(*access.AddGrant)) store.Index {
		c.checkedDB1()
		c.engineer("carol")
		g := access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, Conditions: store.Conditions{Passkey: 15}}
		change(&g)
		c.do(g)
		return c.newest()
	}
	return []weakness{
		grantWeakness("root-without-conditions", "carol may log in as root on db1 at any time, without end and without a touch: grant N", func(c *sound) store.Index {
			return give(c, func(g *access.AddGrant) { g.Conditions.Passkey = 0 })
		}),
		grantWeakness("every-target", "carol may log in as deploy, root on every target, also on those that are not registered yet: grant N", func(c *sound) store.Index {
			return give(c, func(g *access.AddGrant) { g.Target, g.Targets, g.Logins = "", "*", []string{"root", "deploy"} })
		}),
		grantWeakness("past-the-relay", "carol may go to db1 past the relay, where nothing is recorded and no lock ends a session: grant N", func(c *sound) store.Index {
			return give(c, func(g *access.AddGrant) { g.For = "shell; direct" })
		}),
		grantWeakness("self-granted", "ada gave access to themselves: grant N, to db1 as root", func(c *sound) store.Index {
			c.do(access.ChangeSetting{By: local, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed})
			return give(c, func(g *access.AddGrant) { g.By, g.User = c.ada.caller(), "ada" })
		}),
		grantWeakness("unused-grant", "nobody logged in by grant N, of carol to db1 as root, for 90 days", func(c *sound) store.Index {
			grant := give(c, func(*access.AddGrant) {})
			u, _ := c.state.UserByHandle("carol")
			c.busyFor(90*day, &person{id: u.ID, step: 1000})
			return grant
		}),
		{"approved-by-code", func(c *sound) []store.Index {
			c.do(access.ChangeSetting{By: local, Setting: store.SettingApproveWith, Value: store.ApproveWithTOTP})
			c.checkedDB1()
			carol, bob := c.engineer("carol"), c.employ("ben", store.RoleApprover)
			c.passkeyOf(bob)
			c.group("leads", bob)
			c.do(access.AddGrant{
				By: local, User: "carol", Target: "db1", Logins: []string{"root"}, Approvers: "leads", Conditions: store.Conditions{Approvals: 1},
			})
			entry := c.state.Next()
			c.do(c.request(carol))
			c.do(access.ApproveWithTOTP{By: bob.caller(), Request: entry, Step: 2000})
			return []store.Index{entry + 1, entry + 2}
		}, "carol has access to db1 as root by an approval with a code, which nobody can verify: grant N", "vaultpam admin grant rm N", func(c *sound) {
			c.wait(time.Hour) // or its end
		}},
	}
}

func guardrailWeaknesses() []weakness {
	forbid := func(want string, change func(*sound, *access.AddGuardrail)) weakness {
		return grantWeakness("idle-guardrail", want, func(c *sound) store.Index {
			c.checkedDB1()
			g := access.AddGuardrail{By: local, Target: "db1"}
			change(c, &g)
			c.do(g)
			c.wait(time.Hour)
			return c.newest()
		})
	}
	return []weakness{
		forbid("guardrail N forbids nothing: no target fits env=prod", func(_ *sound, g *access.AddGuardrail) {
			g.Target, g.Targets = "", "env=prod"
		}),
		forbid("guardrail N forbids nothing: there is no login www on targets *", func(_ *sound, g *access.AddGuardrail) {
			g.Target, g.Targets, g.Logins = "", "*", []string{"www"}
		}),
		forbid("guardrail N forbids nothing: nobody belongs to group contractors", func(c *sound, g *access.AddGuardrail) {
			c.group("contractors")
			g.Group = "contractors"
		}),
		forbid("guardrail N forbids nothing any more: it ended at 2026-11-02 12:30:00 UTC", func(c *sound, g *access.AddGuardrail) {
			g.Until = c.at() + store.Millis(30*time.Minute/time.Millisecond)
		}),
	}
}

func targetWeaknesses() []weakness {
	again := func(c *sound) { c.looked(local, store.ErrandCheck, true) }
	return []weakness{
		{"open-target", func(c *sound) []store.Index { return []store.Index{c.checkedDB1(password)} },
			"the check of 2026-11-02 12:00:00 UTC saw 1 other way into db1 that VaultPAM does not decide about", "vaultpam admin target close db1 --emergency-key FILE", again},
		{"changed-target", func(c *sound) []store.Index {
			c.checkedDB1(password)
			c.looked(local, store.ErrandCheck, false, password, ownKey)
			return []store.Index{c.newest()}
		}, "the check of 2026-11-02 12:00:00 UTC saw 1 other way into db1 that the check before had not seen", "vaultpam admin target close db1 --emergency-key FILE", again},
		{"unchecked-target", func(c *sound) []store.Index { return []store.Index{c.target("db1", "root")} },
			"nobody ever looked which other ways into db1 there are", "vaultpam admin target check db1", again},
		{"overdue-check", func(c *sound) []store.Index {
			entry := c.checkedDB1()
			c.busyFor(7 * day)
			return []store.Index{entry}
		}, "the last check of db1 that succeeded was 7 days ago", "vaultpam admin target check db1", again},
		{"unseen-target", func(c *sound) []store.Index {
			c.checkedDB1()
			start := c.errand(local, store.ErrandCheck)
			c.do(start)
			c.over(start.Session)
			t, _ := c.state.TargetByName("db1")
			before, _ := c.text(t.Check.Report)
			c.do(access.RecordCheck{
				Target: t.Entry, Session: start.Session, Report: store.DoorReport{Unread: []string{"accounts of LDAP"}}, Before: before, BeforeOf: t.Check.Report, Salt: c.random(),
			})
			return []store.Index{c.newest()}
		}, "the check of 2026-11-02 12:00:00 UTC could not look at 1 thing of db1", "vaultpam admin target check db1", again},
		{"long-lock", func(c *sound) []store.Index {
			c.checkedDB1()
			lock := c.lock(access.Lockable{Target: "db1"})
			c.busyFor(30 * day)
			return []store.Index{lock}
		}, "target db1 is locked for 30 days", "vaultpam unlock target db1", func(c *sound) { c.unlock(access.Lockable{Target: "db1"}) }},
	}
}

func ledgerWeaknesses() []weakness {
	return []weakness{
		{"restored-ledger", func(c *sound) []store.Index {
			c.do(access.RestoreLedger{})
			return []store.Index{c.newest()}
		}, "the ledger was restored from a backup at 2026-11-02 12:00:00 UTC: what was behind the backup is not in it", "vaultpam audit show N", nil},
		{"reset-clock", func(c *sound) []store.Index {
			c.do(access.AcceptClock{By: local})
			return []store.Index{c.newest()}
		}, "somebody set the ledger's clock to 2026-11-02 12:00:00 UTC: the times of entries before may be wrong", "vaultpam audit show N", nil},
	}
}

// of returns the findings of a kind.
func (c *sound) of(kind access.FindingKind) []access.Finding {
	return slices.DeleteFunc(c.state.Findings(c.at()), func(f access.Finding) bool { return f.Kind != kind })
}

// TestFindings: each kind is not told of a sound company, is told with its entries
// once what it is about is so, and goes by the command that it names.
func TestFindings(t *testing.T) {
	severity, tried := map[access.FindingKind]access.Severity{}, map[access.FindingKind]bool{}
	for _, r := range access.FindingRules() {
		severity[r.Kind] = r.Severity
	}
	for _, w := range weaknesses() {
		tried[w.kind] = true
		t.Run(fmt.Sprintf("%s/%.40s", w.kind, w.want), func(t *testing.T) {
			c := newSound(t)
			entries := w.make(c)
			want := access.Finding{Kind: w.kind, Severity: severity[w.kind], Sentence: withEntries(w.want, entries), Mend: withEntries(w.mend, entries), Entries: entries}
			if who, command, ok := strings.Cut(want.Mend, ": "); ok {
				u, _ := c.state.UserByHandle(store.Handle(who))
				want.Whose, want.Mend = u.ID, command
			}
			if diff := cmp.Diff([]access.Finding{want}, c.of(w.kind)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if w.do == nil {
				c.wait(90*day - time.Millisecond)
				if len(c.of(w.kind)) == 0 {
					t.Error("it is told for less than 90 days")
				}
				c.wait(time.Millisecond)
			} else {
				w.do(c)
			}
			if left := c.of(w.kind); len(left) > 0 {
				t.Errorf("mended, and still there: %+v", left)
			}
		})
	}
	for kind := range severity {
		if !tried[kind] {
			t.Errorf("nothing here makes a %s", kind)
		}
	}
}

// withEntries puts the last of the entries where a sentence has the word N, and the
// first where it has M.
func withEntries(sentence string, entries []store.Index) string {
	words := strings.Split(sentence, " ")
	for i, w := range words {
		switch strings.TrimRight(w, ",") {
		case "N":
			words[i] = strings.Replace(w, "N", fmt.Sprint(entries[len(entries)-1]), 1)
		case "M":
			words[i] = strings.Replace(w, "M", fmt.Sprint(entries[0]), 1)
		}
	}
	return strings.Join(words, " ")
}
