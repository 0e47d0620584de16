package notice_test

import (
	"bytes"
	"crypto/ed25519"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

const golden = "testdata/notices.golden"

// both has notices go by mail and to a webhook.
func both(t *testing.T) (*house, *post, *receiver) {
	t.Helper()
	h, p, r := build(t), newPost(t, withSTARTTLS), newReceiver(t)
	h.mail, h.hook = newMail(t, p.config(notice.STARTTLS)), newHook(t, r.config())
	p.log, r.log = h.log, h.log
	return h, p, r
}

// A told is one notice as it came by both ways.
type told struct {
	to   []string // by mail
	mail string   // subject and text
	hook received
}

// hear waits for one notice by the webhook and so many mails. No other notice may
// be on its way: neither way waits for the other, and a mail more is one too many.
func hear(t *testing.T, p *post, r *receiver, mails int) told {
	t.Helper()
	n := told{hook: r.next()}
	for range mails {
		n.takes(t, p.next())
	}
	slices.Sort(n.to)
	p.nothing()
	return n
}

// hearAll waits for so many notices that go to one person each, and are all on
// their way. They come in the order of the entries on each way, and one way may
// have told of all before the other begins.
func hearAll(t *testing.T, p *post, r *receiver, many int) []told {
	t.Helper()
	all := make([]told, many)
	for i := range all {
		all[i].hook = r.next()
	}
	for i := range all {
		all[i].takes(t, p.next())
	}
	return all
}

// takes adds a mail, which has to say what the webhook heard.
func (n *told) takes(t *testing.T, got letter) {
	t.Helper()
	l := read(t, got.data)
	n.to = append(n.to, got.to)
	n.mail = l.subject(t) + "\n\n" + l.body
	if text := n.hook.body.Data.Subject + "\n\n" + n.hook.body.Data.Text + "\n"; text != n.mail {
		t.Errorf("the webhook hears\n%s\nthe mail says\n%s", text, n.mail)
	}
}

var moments = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`)

// botKey is one that a bot signs in with.
func botKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestKinds: every kind, whom it goes to and what it says.
func TestKinds(t *testing.T) {
	h, p, r := both(t)
	ada := h.employ("ada", "ada@example.eu", store.RoleAdministrator)
	h.employ("ann", "", store.RoleAdministrator)
	bob := h.employ("bob", "bob@example.eu", store.RoleApprover)
	h.employ("dan", "dan@example.eu", store.RoleApprover) // of another group
	h.do(access.SetContact{By: local, Handle: "alice", Email: "alice@example.eu", Salt: random32()})
	h.run()
	var text bytes.Buffer
	heard := map[notice.Kind]bool{}
	expect := func(kind notice.Kind, user string, to ...string) {
		t.Helper()
		n := hear(t, p, r, len(to))
		if diff := cmp.Diff(to, n.to); diff != "" {
			t.Errorf("%s goes to (-want +got):\n%s", kind, diff)
		}
		b := n.hook.body
		if b.Type != kind || b.Data.User != user || b.Data.Server != serverName || b.Data.Entry >= uint64(h.index()) || time.Since(b.Timestamp) > patience {
			t.Errorf("%s about %s: %+v", kind, user, b)
		}
		heard[kind] = true
		entry := regexp.MustCompile(`\bentry \d+|audit show \d+|key rm ci \d+`)
		said := moments.ReplaceAllString(n.hook.body.Data.Subject+"\n\n"+n.hook.body.Data.Text, "MOMENT")
		said = entry.ReplaceAllStringFunc(said, func(s string) string { return s[:strings.LastIndexByte(s, ' ')] + " N" })
		fmt.Fprintf(&text, "%s to %s\n\n%s\n\n----\n", kind, strings.Join(to, ", "), said)
	}
	carol := addUser("carol", "carol@example.eu")
	carol.By = caller(ada.token)
	h.do(carol)
	expect(notice.Invited, "carol", "carol@example.eu")
	in := store.Hash(random32())
	h.do(enroll(carol.Invite, in))
	expect(notice.FactorEnrolled, "carol", "carol@example.eu")
	h.do(access.CreateRecoveryCodes{By: caller(in), Codes: random32(), Step: 1001})
	expect(notice.CodesMade, "carol", "carol@example.eu")
	u, _ := h.ledger.State().User(carol.ID)
	code := store.Hash(random32())
	h.do(access.SignInWithRecoveryCode{User: u.ID, Codes: u.Recovery.Codes, Number: 3, Holder: holder(code, "198.51.100.9")})
	expect(notice.CodeUsed, "carol", "carol@example.eu")
	h.do(access.RenewFactor{By: caller(code), Invite: access.Invite{Token: random32()}})
	expect(notice.Invited, "carol", "carol@example.eu")
	h.do(access.SignInWithTOTP{User: u.ID, Step: 1002, Holder: holder(random32(), "192.0.2.7")}) // of which nobody hears
	h.do(access.NoteFailures{User: u.ID, Count: 3, Source: "203.0.113.0/24", Salt: random32()})
	h.do(access.NoteStop{User: u.ID, Count: 60})
	expect(notice.SignInStopped, "carol", "carol@example.eu")
	h.do(access.SetContact{By: caller(code), Email: "eve@example.com", Salt: random32()})
	expect(notice.AddressChanged, "carol", "carol@example.eu")
	h.do(access.SetContact{By: local, Handle: "carol"})
	expect(notice.AddressChanged, "carol", "eve@example.com")
	h.do(access.SetContact{By: local, Handle: "carol", Email: "carol@example.eu", Salt: random32()}) // there is nobody to tell

	administrators := []string{"ada@example.eu", "alice@example.eu"}
	begin := access.BeginRecovery{By: local, Handle: "carol", Pause: access.MinRecoverPause}
	h.do(begin)
	expect(notice.RecoveryBegun, "carol", administrators...)
	h.do(access.StopRecovery{By: caller(ada.token)})
	expect(notice.RecoveryStopped, "carol", administrators...)

	h.do(access.ChangeSetting{By: local, Setting: store.SettingApproveWith, Value: store.ApproveWithTOTP})
	h.do(access.AddTarget{By: local, Name: "db1", Address: "db1:22", HostKeys: []ssh.PublicKey{h.ledger.UserCA.PublicKey()}, Logins: []string{"root"}, Egress: "192.0.2.1"})
	h.do(access.AddGroup{By: local, Name: "leads"})
	h.do(access.AddMember{By: local, Group: "leads", User: "bob"})
	h.do(access.AddMember{By: local, Group: "leads", User: "carol"}) // who asks, and is no approver
	h.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, Approvers: "leads", Conditions: store.Conditions{Approvals: 1, Reason: true}})
	ask := func() store.Index {
		t.Helper()
		entry := h.ledger.State().Next()
		h.do(access.MakeRequest{
			By: caller(code), Target: "db1", Login: "root", Lasts: 90 * time.Minute, Reason: "the secret reason", Source: "192.0.2.7", Nonce: store.Hash(random32()),
		})
		expect(notice.RequestMade, "carol", "bob@example.eu")
		return entry
	}
	h.do(access.DenyRequest{By: caller(bob.token), Request: ask(), Comment: "the secret comment", Salt: random32()})
	expect(notice.RequestDenied, "carol", "carol@example.eu")
	h.do(access.ApproveWithTOTP{By: caller(bob.token), Request: ask(), Step: 5000})
	expect(notice.RequestApproved, "carol", "carol@example.eu")
	if strings.Contains(text.String(), "secret") {
		t.Error("a reason or a comment leaves the server")
	}

	// What an administrator wants for themselves the others hear, and its answers they.
	eve := h.employ("eve", "eve@example.eu", store.RoleAdministrator)
	expect(notice.AdminAdded, "eve", "ada@example.eu", "alice@example.eu")
	expect(notice.Invited, "eve", "eve@example.eu")
	expect(notice.FactorEnrolled, "eve", "eve@example.eu")
	expect(notice.FindingMade, "eve", "ada@example.eu", "alice@example.eu", "eve@example.eu") // of the app alone
	h.do(access.AddGroup{By: local, Name: "operators"})
	propose := func(c access.Command) store.Index {
		entry := h.index()
		h.do(c)
		expect(notice.ChangeProposed, "ada", "alice@example.eu", "eve@example.eu")
		return entry
	}
	proposal := propose(access.AddGrant{By: caller(ada.token), User: "ada", Target: "db1", Logins: []string{"root"}})
	h.do(access.DenyRequest{By: caller(eve.token), Request: proposal, Comment: "the secret comment", Salt: random32()})
	expect(notice.RequestDenied, "ada", "ada@example.eu")
	proposal = propose(access.AddMember{By: caller(ada.token), Group: "operators", User: "ada"})
	h.do(access.ApproveWithTOTP{By: caller(eve.token), Request: proposal, Step: 5000})
	expect(notice.RequestApproved, "ada", "ada@example.eu")
	h.do(access.RemoveUser{By: local, Handle: eve.handle})

	// Of bots the webhook hears, and nobody has a mailbox.
	h.do(access.AddBot{By: caller(ada.token), ID: store.UserID{7}, Handle: "ci", Salt: random32(), Key: &access.BotKey{Key: botKey(t)}})
	expect(notice.FactorEnrolled, "ci")
	join := access.JoinToken{Token: random32()}
	h.do(access.CreateJoin{By: caller(ada.token), Handle: "ci", Join: join})
	h.do(access.JoinBot{Token: join.Token, Key: access.BotKey{Key: botKey(t)}})
	expect(notice.FactorEnrolled, "ci")

	session := h.session("carol", code)
	for _, tc := range []struct {
		what access.Lockable
		user string
	}{
		{access.Lockable{Target: "db1"}, ""}, {access.Lockable{Session: session}, "carol"}, {access.Lockable{User: "carol"}, "carol"},
	} {
		h.do(access.AddLock{By: caller(ada.token), What: tc.what, Why: "a stolen laptop", Salt: random32()})
		expect(notice.Locked, tc.user, administrators...)
	}
	h.do(access.AddLock{By: local, What: access.Lockable{User: "ada"}, Why: "a stolen laptop", Salt: random32()})
	expect(notice.Locked, "ada", "alice@example.eu") // and not ada
	if bytes.Contains(text.Bytes(), []byte("laptop")) {
		t.Error("a mail says why somebody was locked")
	}

	h.reviews(func(kind notice.Kind) { expect(kind, "bob", "bob@example.eu") }, func(kind notice.Kind) { expect(kind, "bob", administrators...) })
	if bytes.Contains(text.Bytes(), []byte("the autumn one")) {
		t.Error("a title leaves the server")
	}

	for _, kind := range []notice.Kind{
		notice.ReviewStarted, notice.ReviewDue, notice.ReviewEnded, notice.RequestMade, notice.RequestApproved, notice.RequestDenied, notice.Invited, notice.FactorEnrolled, notice.CodesMade, notice.CodeUsed, notice.SignInStopped, notice.AddressChanged,
		notice.RecoveryBegun, notice.RecoveryStopped, notice.Locked, notice.ChangeProposed, notice.AdminAdded, notice.FindingMade,
	} {
		if !heard[kind] {
			t.Errorf("of %s nobody heard", kind)
		}
	}
	compare(t, golden, text.Bytes())
}

// reviews runs some: bob hears of their beginning and is reminded, administrators
// hear of what has no answer in the end, and of what has them all nobody hears more.
func (h *house) reviews(owner, administrators func(notice.Kind)) {
	h.Helper()
	by, week := access.Caller{Timetable: true}, store.Millis(7*24*time.Hour/time.Millisecond)
	for _, revokes := range []bool{false, true} {
		review := h.index()
		h.do(access.StartReview{
			By: local, Owner: "bob", Due: store.At(h.calendar.now()) + week, Revokes: revokes, Title: "the autumn one", Salt: random32(),
		})
		owner(notice.ReviewStarted)
		h.calendar.turn(4 * 24 * time.Hour)
		h.do(access.RemindReview{By: by, Review: review})
		owner(notice.ReviewDue)
		h.calendar.turn(access.ReviewReminder)
		h.do(access.EndReview{By: by, Review: review})
		administrators(notice.ReviewEnded)
	}
	h.do(access.AddGrant{By: local, User: "dan", Target: "db1", Logins: []string{"root"}})
	grant, review := h.index()-1, h.index()
	h.do(access.StartReview{By: local, Owner: "bob", Due: store.At(h.calendar.now()) + week})
	owner(notice.ReviewStarted)
	bob, _ := h.ledger.State().UserByHandle("bob")
	in := store.Hash(random32())
	h.do(access.SignInWithTOTP{User: bob.ID, Step: 6000, Holder: holder(in, "192.0.2.7")})
	h.do(access.AnswerReview{By: caller(in), Review: review, Grants: []store.Index{grant}, Answer: store.AnswerKeep})
	h.do(access.EndReview{By: caller(in), Review: review})
}

// TestRecoveryWithoutPause: of the two notices at once, and the invitation.
func TestRecoveryWithoutPause(t *testing.T) {
	h, p, r := both(t)
	h.do(access.SetContact{By: local, Handle: "alice", Email: "alice@example.eu", Salt: random32()})
	h.run()
	h.do(access.BeginRecovery{By: local, Handle: "alice", Pause: access.MinRecoverPause})
	h.do(access.FinishRecovery{By: local, Handle: "alice", Invite: access.Invite{Token: random32()}})
	var kinds []notice.Kind
	var text bytes.Buffer
	for range 3 {
		b := r.next().body
		kinds = append(kinds, b.Type)
		if b.Type == notice.RecoveryFinished {
			text.WriteString(moments.ReplaceAllString(b.Data.Text, "MOMENT") + "\n")
		}
		if got := p.next(); got.to != "alice@example.eu" {
			t.Errorf("a mail to %s", got.to)
		}
	}
	if diff := cmp.Diff([]notice.Kind{notice.RecoveryBegun, notice.RecoveryFinished, notice.Invited}, kinds); diff != "" {
		t.Error(diff)
	}
	compare(t, "testdata/finished.golden", text.Bytes())
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-golden +got; go test -update writes it anew):\n%s", path, diff)
	}
}

// session starts one of somebody's on a target that is added for it. Its ID is
// always the same.
func (h *house) session(handle store.Handle, token store.Hash) store.SessionID {
	h.Helper()
	h.do(access.AddGrant{By: local, User: handle, Target: "db1", Logins: []string{"root"}})
	u, x, err := h.ledger.State().Caller(caller(token), store.At(h.clock.now()))
	if err != nil {
		h.Fatal(err)
	}
	start := access.StartSession{
		Certificate: 1, SignIn: x.Entry, User: u.ID, Target: "db1", Login: "root", Way: store.WayProxy,
		Session: store.SessionID{6: 0x40, 8: 0x80, 15: 1}, Source: "192.0.2.7", Salt: random32(),
	}
	h.do(start)
	return start.Session
}
