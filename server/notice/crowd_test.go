package notice_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestS32OneMailboxHoldsNobodyUp: mails that the mail server does not take for
// their own sake don't make it a mail server that is away.
func TestS32OneMailboxHoldsNobodyUp(t *testing.T) {
	h, p, _ := both(t)
	h.hook = nil
	h.follow()
	h.notices.Hurry(20*time.Millisecond, time.Hour) // after 12 failures in a row of the way that is half a minute at least
	h.run()
	p.answers(func(step, to string) error {
		if step == "to" && strings.HasPrefix(to, "full") {
			return &smtp.SMTPError{Code: 452, Message: "mailbox full"}
		}
		return nil
	})
	for i := range 12 {
		h.do(addUser(fmt.Sprintf("full%d", i), fmt.Sprintf("full%d@example.eu", i)))
	}
	h.log.says(t, "is tried again", 12)
	h.do(addUser("carol", "carol@example.eu"))
	if got := p.next(); got.to != "carol@example.eu" {
		t.Errorf("a mail to %s", got.to)
	}
}

// TestS32PauseThatWasAskedFor: a webhook that wants a pause gets it from all
// notices, and not from the one alone that it answered.
func TestS32PauseThatWasAskedFor(t *testing.T) {
	for _, after := range []string{"60", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)} {
		t.Run(after, func(t *testing.T) { pauseAfter(t, after) })
	}
}

func pauseAfter(t *testing.T, after string) {
	const pause = 300 * time.Millisecond // the longest here
	h, _, r := both(t)
	h.mail = nil
	h.follow()
	h.notices.Hurry(time.Millisecond, pause)
	var calls atomic.Int32
	var asked atomic.Pointer[time.Time]
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) > 1 {
			if since := time.Since(*asked.Load()); since < pause {
				t.Errorf("called again after %s", since)
			}
			return
		}
		now := time.Now()
		asked.Store(&now)
		w.Header().Set("Retry-After", after)
		w.WriteHeader(http.StatusTooManyRequests)
	})
	h.do(addUser("carol", ""))
	h.do(addUser("dave", ""))
	h.run()
	for range 3 {
		r.next()
	}
	h.settled()
	if len(r.calls) != 0 {
		t.Errorf("%d calls more", len(r.calls))
	}
}

// TestFullDiskMakesNoRoom: what has to go for others goes with the write that keeps
// them, or stays with all that belongs to it.
func TestFullDiskMakesNoRoom(t *testing.T) {
	h, p, _ := both(t)
	h.hook = nil
	h.follow()
	h.notices.Bound(2)
	var away, full atomic.Bool
	away.Store(true)
	p.answers(func(step, _ string) error {
		if step == "from" && away.Load() {
			return errRefused
		}
		return nil
	})
	h.backend.onWrite(func([]store.SideWrite) error {
		if full.Load() {
			return store.ErrFull
		}
		return nil
	})
	for i := range 2 {
		h.do(addUser(fmt.Sprintf("user%d", i), fmt.Sprintf("user%d@example.eu", i)))
	}
	h.run() // both are found at once
	h.log.says(t, "is tried again", 3)
	full.Store(true)
	h.do(addUser("user2", "user2@example.eu"))
	h.log.says(t, "entries could not be looked at for notices", 2)
	if waiting, dropped := h.notices.Waiting(); waiting != 2 || dropped != 0 {
		t.Errorf("%d wait and %d were dropped, and nothing of it is written", waiting, dropped)
	}
	full.Store(false)
	h.log.says(t, "too many notices wait", 1)
	if waiting, dropped := h.notices.Waiting(); waiting > 2 || dropped != 1 {
		t.Errorf("%d wait and %d were dropped", waiting, dropped)
	}
	away.Store(false)
	var to []string
	for range 2 {
		to = append(to, p.next().to)
	}
	slices.Sort(to)
	if !slices.Contains(to, "user2@example.eu") {
		t.Errorf("mails go to %v", to)
	}
	h.settled()
	for row, err := range h.backend.SideAll(t.Context(), store.SideNotices, []byte("d")) {
		t.Errorf("what was dropped is still there: %q (%v)", row.Key, err)
	}
}

// TestDamagedTexts: one that was changed in the database is one that nobody knows,
// and holds nobody else's notices up.
func TestDamagedTexts(t *testing.T) {
	h, p, r := both(t)
	carol := h.employ("carol", "carol@example.eu")
	h.follow()
	u, _ := h.ledger.State().User(carol.id)
	h.do(access.SignInWithRecoveryCode{User: carol.id, Codes: u.Recovery.Codes, Number: 3, Holder: holder(random32(), "198.51.100.9")})
	damage := func(text string) {
		t.Helper()
		damaged := false
		for row, err := range h.backend.SideAll(t.Context(), store.SideOpenings, carol.id[:]) {
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(row.Value), text) {
				continue
			}
			damaged = true
			row.Value = []byte(strings.ReplaceAll(string(row.Value), text, strings.Repeat("x", len(text))))
			if err := h.backend.WriteSide(t.Context(), []store.SideWrite{row}); err != nil {
				t.Fatal(err)
			}
		}
		if !damaged {
			t.Fatalf("there is no text %q", text)
		}
	}
	damage("198.51.100.9")
	h.run()
	if n := hear(t, p, r, 1); !strings.Contains(n.mail, "from an address that is not known.") {
		t.Errorf("the notice says\n%s", n.mail)
	}
	damage("carol@example.eu")
	h.do(access.NoteStop{User: carol.id, Count: 60})
	h.do(addUser("dave", "dave@example.eu"))
	if got := p.next(); got.to != "dave@example.eu" {
		t.Errorf("a mail to %s", got.to)
	}
	h.log.says(t, "reading its address", 1)
	h.settled()
}

// TestLinksGoWithTheirWay: where mails were turned off the link of one goes too.
func TestLinksGoWithTheirWay(t *testing.T) {
	h, p, _ := both(t)
	h.follow()
	p.answers(func(string, string) error { return errRefused })
	dave := addUser("dave", "dave@example.eu")
	keep, err := h.notices.KeepLink(dave.ID, dave.Invite.Token, "https://pam.example.eu/enroll#secret")
	if err != nil {
		t.Fatal(err)
	}
	h.run()
	h.do(dave, keep)
	h.log.says(t, "is tried again", 1)
	h.restart()
	if _, err := h.backend.Side(t.Context(), store.SideNotices, keep.Key); err != nil {
		t.Fatalf("the link is gone too early: %v", err)
	}
	h.mail = nil
	h.follow()
	if _, err := h.backend.Side(t.Context(), store.SideNotices, keep.Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the link is still there: %v", err)
	}
}

// TestAdministratorsOfTheMoment: who becomes an administrator by a recovery and
// removes the others before anything is sent does not keep it from them.
func TestAdministratorsOfTheMoment(t *testing.T) {
	h, p, r := both(t)
	h.do(access.SetContact{By: local, Handle: "alice", Email: "alice@example.eu", Salt: random32()})
	h.do(addUser("ada", "ada@example.eu", store.RoleAdministrator))
	h.do(addUser("gone", "gone@example.eu", store.RoleAdministrator))
	h.do(access.RemoveUser{By: local, Handle: "gone"})
	h.do(addUser("eve", "eve@example.eu"))
	h.follow() // and does not run: the thief is faster
	h.do(access.BeginRecovery{By: local, Handle: "eve", Pause: access.MinRecoverPause})
	h.do(access.FinishRecovery{By: local, Handle: "eve", Invite: access.Invite{Token: random32()}})
	for _, handle := range []store.Handle{"alice", "ada"} {
		h.do(access.RemoveUser{By: local, Handle: handle})
	}
	h.run()
	got := map[string][]string{}
	for range 3 { // begun, finished, and eve's invitation
		r.next()
	}
	for range 2 + 3 + 1 {
		l := p.next()
		subject := read(t, l.data).subject(t)
		got[subject] = append(got[subject], l.to)
	}
	for _, to := range got {
		slices.Sort(to)
	}
	if diff := cmp.Diff(map[string][]string{
		"eve is about to become an administrator of pam.example.eu": {"ada@example.eu", "alice@example.eu"},
		"eve is an administrator of pam.example.eu by a recovery":   {"ada@example.eu", "alice@example.eu", "eve@example.eu"},
		"eve is invited to VaultPAM at pam.example.eu":              {"eve@example.eu"},
	}, got); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
	h.settled()
	p.nothing()
}
