package notice_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
)

// TestNobodyHearsOfThePast: a ledger that has no cursor begins with its next
// entry, and one whose notices were off as well.
func TestNobodyHearsOfThePast(t *testing.T) {
	h, p, r := both(t)
	h.employ("bob", "bob@example.eu")
	h.run()
	h.do(addUser("carol", "carol@example.eu"))
	if n := hear(t, p, r, 1); n.to[0] != "carol@example.eu" {
		t.Errorf("the first notice goes to %v", n.to)
	}
	h.restart()
	h.do(addUser("dave", "dave@example.eu")) // the server is down for notices, not for commands
	if err := notice.Forget(t.Context(), h.backend); err != nil {
		t.Fatal(err)
	}
	h.run()
	h.do(addUser("erin", "erin@example.eu"))
	if n := hear(t, p, r, 1); n.to[0] != "erin@example.eu" {
		t.Errorf("after they were off the first goes to %v", n.to)
	}
}

// TestNothingIsLost: entries whose notices were not made before the process died
// are told of by the next one, and nothing twice.
func TestNothingIsLost(t *testing.T) {
	h, p, r := both(t)
	h.follow() // the cursor is there
	for i := range 5 {
		h.do(addUser(fmt.Sprintf("user%d", i), fmt.Sprintf("user%d@example.eu", i)))
	}
	h.restart()
	h.run()
	for i, n := range hearAll(t, p, r, 5) {
		if n.to[0] != fmt.Sprintf("user%d@example.eu", i) {
			t.Errorf("notice %d goes to %v", i, n.to)
		}
	}
	h.settled()
	if p.nothing(); len(r.calls) != 0 {
		t.Errorf("%d calls more", len(r.calls))
	}
	h.restart()
	h.run()
	h.do(addUser("zoe", "zoe@example.eu"))
	if n := hear(t, p, r, 1); n.to[0] != "zoe@example.eu" {
		t.Errorf("after a restart there comes one for %v again", n.to)
	}
}

// settled waits until nothing waits any more.
func (h *house) settled() {
	h.Helper()
	late := time.After(patience)
	for {
		if waiting, _ := h.notices.Waiting(); waiting == 0 {
			return
		}
		select {
		case <-h.ledger.Stopped():
			h.Fatal("the ledger stopped")
		case <-late:
			h.Fatal("notices wait for ever")
		case <-time.After(time.Millisecond):
		}
	}
}

// TestKilledBeforeMarking: a process that dies between sending and marking sends
// again, under the same ID.
func TestKilledBeforeMarking(t *testing.T) {
	h, p, r := both(t)
	h.follow()
	h.run()
	// From here on nothing is taken out: the process is as good as dead once it
	// has sent.
	h.backend.onWrite(func(writes []store.SideWrite) error {
		for _, w := range writes {
			if w.Value == nil {
				return errors.New("killed")
			}
		}
		return nil
	})
	h.do(addUser("carol", "carol@example.eu"))
	hook, mail := r.next(), read(t, p.next().data)
	h.log.says(t, "can't be marked as sent", 2)
	h.restart()
	h.run()
	again, anew := r.next(), read(t, p.next().data)
	if again.id != hook.id || again.raw != hook.raw || anew.Get("Message-Id") != mail.Get("Message-Id") || hook.id == "" || mail.Get("Message-Id") == "" {
		t.Errorf("IDs %q and %q, then %q and %q", hook.id, mail.Get("Message-Id"), again.id, anew.Get("Message-Id"))
	}
	h.settled()
	h.restart()
	h.run()
	h.do(addUser("dave", "dave@example.eu"))
	if n := hear(t, p, r, 1); n.to[0] != "dave@example.eu" || n.hook.id == hook.id {
		t.Errorf("then comes %+v", n)
	}
}

// TestMarkingIsTriedAgain without sending again.
func TestMarkingIsTriedAgain(t *testing.T) {
	h, p, r := both(t)
	h.run()
	var failed atomic.Int32
	h.backend.onWrite(func(writes []store.SideWrite) error {
		if slices.ContainsFunc(writes, func(w store.SideWrite) bool { return w.Value == nil }) && failed.Add(1) <= 4 {
			return store.ErrFull
		}
		return nil
	})
	h.do(addUser("carol", "carol@example.eu"))
	hear(t, p, r, 1)
	h.settled()
	if p.nothing(); len(r.calls) != 0 || failed.Load() < 5 {
		t.Errorf("%d calls more, %d failures", len(r.calls), failed.Load())
	}
}

// TestFullDisk: what can't be kept is not lost, because the entries stay.
func TestFullDisk(t *testing.T) {
	h, p, r := both(t)
	h.run()
	var full atomic.Bool
	full.Store(true)
	h.backend.onWrite(func([]store.SideWrite) error {
		if full.Load() {
			return store.ErrFull
		}
		return nil
	})
	h.do(addUser("carol", "carol@example.eu"))
	h.log.says(t, "entries could not be looked at for notices", 2)
	if p.nothing(); len(r.calls) != 0 {
		t.Error("sent and not kept")
	}
	full.Store(false)
	hear(t, p, r, 1)
}

// TestTriedAgain: with the same ID and later each time, until it is taken; a
// receiver that will never take it is left alone.
func TestTriedAgain(t *testing.T) {
	h, p, r := both(t)
	h.run()
	codes := []int{500, 429, 408, 302, 503}
	var calls atomic.Int32
	r.answers(func(w http.ResponseWriter, _ *http.Request) {
		if n := int(calls.Add(1)); n <= len(codes) {
			w.Header().Set("Retry-After", "1") // which is more than the most that is waited here
			w.WriteHeader(codes[n-1])
		}
	})
	var mails atomic.Int32
	p.answers(func(step, _ string) error {
		if step == "data" && mails.Add(1) <= 3 {
			return &smtp.SMTPError{Code: 451, Message: "later"}
		}
		return nil
	})
	h.do(addUser("carol", "carol@example.eu"))
	first := r.next()
	for range codes {
		if again := r.next(); again.id != first.id || again.raw != first.raw {
			t.Errorf("%+v, before it was %+v", again, first)
		}
	}
	p.next()
	h.settled()

	r.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	p.answers(func(step, _ string) error {
		if step == "to" {
			return &smtp.SMTPError{Code: 550, Message: "no such user"}
		}
		return nil
	})
	h.do(addUser("dave", "dave@example.eu"))
	h.log.says(t, "a notice is not taken, and given up", 2)
	h.settled()
	if r.next(); len(r.calls) != 0 {
		t.Error("410 was asked again")
	}
	p.nothing()
}

// TestPauses: they double from 5 seconds to a quarter of an hour, with half of it
// left to chance.
func TestPauses(t *testing.T) {
	h, _, _ := both(t)
	h.follow()
	h.notices.Hurry(5*time.Second, 15*time.Minute)
	want := 5 * time.Second
	seen := map[time.Duration]bool{}
	for failures := 1; failures < 30; failures++ {
		for range 20 {
			got := h.notices.Pause(failures)
			if got < want/2 || got > want {
				t.Fatalf("after %d failures %s, want %s to %s", failures, got, want/2, want)
			}
			seen[got] = true
		}
		want = min(2*want, 15*time.Minute)
	}
	if len(seen) < 100 {
		t.Errorf("only %d different pauses", len(seen))
	}
}

// TestGivenUpAfterADay: with a line in the log, and not before.
func TestGivenUpAfterADay(t *testing.T) {
	h, p, r := both(t)
	h.run()
	r.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	p.answers(func(step, _ string) error {
		if step == "from" {
			return &smtp.SMTPError{Code: 550, Message: "not from you"} // which is about the configuration
		}
		return nil
	})
	h.do(addUser("carol", "carol@example.eu"))
	h.log.says(t, "is tried again", 4)
	h.clock.turn(23*time.Hour + 59*time.Minute)
	h.log.says(t, "is tried again", 8)
	if waiting, _ := h.notices.Waiting(); waiting != 2 {
		t.Errorf("%d wait before the day is over", waiting)
	}
	h.clock.turn(time.Hour)
	h.log.says(t, "for a day, and is given up", 2)
	h.settled()
	h.restart()
	h.follow()
	if waiting, _ := h.notices.Waiting(); waiting != 0 {
		t.Errorf("%d wait after a restart", waiting)
	}
}

// TestS32DeadReceiversHoldNobodyUp: commands take no longer, what waits is
// bounded, and the oldest goes.
func TestS32DeadReceiversHoldNobodyUp(t *testing.T) {
	h, p, r := both(t)
	var holding sync.RWMutex // read by whoever is held
	dead := make(chan struct{})
	release := sync.OnceFunc(func() {
		close(dead)
		holding.Lock() // when nobody is held any more
		defer holding.Unlock()
	})
	t.Cleanup(release)
	r.answers(func(_ http.ResponseWriter, q *http.Request) {
		holding.RLock()
		defer holding.RUnlock()
		select {
		case <-dead:
		case <-q.Context().Done():
			panic(http.ErrAbortHandler) // or 200 would be on its way when the caller goes
		}
	})
	p.answers(func(step, _ string) error {
		if step == "from" {
			holding.RLock()
			defer holding.RUnlock()
			<-dead
			return errRefused
		}
		return nil
	})
	const most, many = 100, 300
	h.follow()
	h.notices.Bound(most)
	h.run()
	begin := time.Now()
	var group sync.WaitGroup
	for worker := range 20 {
		group.Go(func() {
			for i := worker; i < many; i += 20 {
				name := fmt.Sprintf("user%d", i)
				if _, err := h.ledger.Do(t.Context(), addUser(name, name+"@example.eu")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	t.Logf("%d invitations in %s, beside a mail server and a webhook that do not answer", many, time.Since(begin))
	h.log.says(t, "too many notices wait", 1)
	late := time.After(patience)
	for {
		waiting, dropped := h.notices.Waiting()
		if dropped == 2*(many-most) && waiting == 2*most {
			break
		}
		select {
		case <-late:
			t.Fatalf("%d wait and %d were dropped", waiting, dropped)
		case <-time.After(time.Millisecond):
		}
	}
	// What is kept is bounded as well, and a server in this state stops at once.
	rows := 0
	for _, err := range h.backend.SideAll(t.Context(), store.SideNotices, []byte("d")) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	if rows != 2*most {
		t.Errorf("%d rows", rows)
	}
	begin = time.Now()
	h.stop()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("stopping took %s", took)
	}
	release()
	r.answers(nil)
	p.answers(nil)
	h.restart()
	for len(r.calls) > 0 {
		<-r.calls
	}
	h.run()
	for range most {
		r.next()
		p.next()
	}
	h.settled()
}

// TestAddressOfTheMoment: who changes an address after the fact does not get the
// notice of it.
func TestAddressOfTheMoment(t *testing.T) {
	h, p, r := both(t)
	carol := h.employ("carol", "carol@example.eu")
	h.follow() // and does not run: the thief is faster
	h.do(access.CreateRecoveryCodes{By: caller(carol.token), Codes: random32(), Step: 2000})
	h.do(access.SetContact{By: caller(carol.token), Email: "eve@example.com", Salt: random32()})
	h.run()
	for _, n := range hearAll(t, p, r, 2) {
		if n.to[0] != "carol@example.eu" {
			t.Errorf("%s goes to %v", n.hook.body.Type, n.to)
		}
	}
}

// TestErasedAddress: a text that is gone makes no mail, and keeps nothing waiting.
func TestErasedAddress(t *testing.T) {
	h, p, r := both(t)
	carol := h.employ("carol", "carol@example.eu")
	for row, err := range h.backend.SideAll(t.Context(), store.SideOpenings, carol.id[:]) {
		if err != nil {
			t.Fatal(err)
		}
		row.Value = nil
		if err := h.backend.WriteSide(t.Context(), []store.SideWrite{row}); err != nil {
			t.Fatal(err)
		}
	}
	h.run()
	h.do(access.NoteStop{User: carol.id, Count: 60})
	if got := r.next(); got.body.Data.UserID != carol.id.String() {
		t.Errorf("%+v", got.body)
	}
	h.settled()
	p.nothing()
}

// TestS13NoSecretInANotice: an invitation's token is in no mail, no call, no log
// and no file; where it is to be sent, it is in that mail alone.
func TestS13NoSecretInANotice(t *testing.T) {
	h, p, r := both(t)
	h.follow()
	h.run()
	secrets := map[string][]byte{}
	invitation := func(add *access.AddUser) string {
		inv := api.Invitation{Host: serverName, Token: random32()}
		add.Invite.Token = tokenHash(inv.Token)
		text := inv.String()
		secrets["token of "+add.Handle], secrets["link of "+add.Handle] = inv.Token[:], []byte(text[strings.IndexByte(text, '#')+1:])
		return text
	}
	carol, dave := addUser("carol", "carol@example.eu"), addUser("dave", "dave@example.eu")
	invitation(&carol)
	h.do(carol)
	toCarol := hear(t, p, r, 1)
	link := invitation(&dave)
	keep, err := h.notices.KeepLink(dave.ID, dave.Invite.Token, link)
	if err != nil {
		t.Fatal(err)
	}
	p.answers(func(step, _ string) error {
		if step == "data" {
			return &smtp.SMTPError{Code: 451, Message: "later"}
		}
		return nil
	})
	h.do(dave, keep)
	h.log.says(t, "is tried again", 2)
	onDisk, err := os.ReadFile(h.path())
	if err != nil {
		t.Fatal(err)
	}
	p.answers(nil)
	mail := read(t, p.next().data)
	if !strings.Contains(mail.body, "vaultpam enroll '"+link+"'") {
		t.Errorf("the link is not in the mail:\n%s", mail.body)
	}
	toHook := r.next()
	if toHook.body.Data.Subject != mail.subject(t) || strings.Contains(toHook.raw, "enroll") {
		t.Errorf("the webhook hears %s", toHook.raw)
	}
	h.settled()
	if _, err := h.backend.Side(t.Context(), store.SideNotices, keep.Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the link is still there: %v", err)
	}
	for name, secret := range secrets {
		for where, text := range map[string]string{
			"carol's mail": toCarol.mail, "a call": toCarol.hook.raw, "dave's call": toHook.raw, "the log": h.log.String(), "the file": string(onDisk),
		} {
			if strings.Contains(text, string(secret)) {
				t.Errorf("the %s is in %s", name, where)
			}
		}
	}
	if bytes.Contains(onDisk, []byte("dave@example.eu")) != true {
		t.Error("the file was read too early to say anything")
	}
}

// TestLinksOfVoidInvitations go nowhere, and don't stay.
func TestLinksOfVoidInvitations(t *testing.T) {
	h, p, _ := both(t)
	h.hook = nil
	h.follow()
	dave := addUser("dave", "dave@example.eu")
	keep, err := h.notices.KeepLink(dave.ID, dave.Invite.Token, "https://pam.example.eu/enroll#secret")
	if err != nil {
		t.Fatal(err)
	}
	h.do(dave, keep)
	h.do(access.InviteUser{By: local, Handle: "dave", Invite: access.Invite{Token: random32()}})
	h.run()
	h.log.says(t, "its invitation is void", 1)
	if body := read(t, p.next().data).body; strings.Contains(body, "secret") || !strings.Contains(body, "You get a link from them") {
		t.Errorf("the later invitation says\n%s", body)
	}
	h.settled()
	if _, err := h.backend.Side(t.Context(), store.SideNotices, keep.Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the link is still there: %v", err)
	}
	// One that no mail was ever made for goes at the next start.
	lost := store.SideWrite{Table: store.SideNotices, Key: append([]byte("l"), random(32)...), Value: []byte{1}}
	if err := h.backend.WriteSide(t.Context(), []store.SideWrite{lost}); err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.follow()
	if _, err := h.backend.Side(t.Context(), store.SideNotices, lost.Key); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a link of no invitation stays: %v", err)
	}
}

// TestLinksAreBound to whom and to what they belong.
func TestLinksAreBound(t *testing.T) {
	h, p, _ := both(t)
	h.hook = nil
	h.follow()
	dave, eve := addUser("dave", "dave@example.eu"), addUser("eve", "eve@example.eu")
	keep, err := h.notices.KeepLink(dave.ID, dave.Invite.Token, "https://pam.example.eu/enroll#secret")
	if err != nil {
		t.Fatal(err)
	}
	// Who can write the database gives dave's link to eve.
	keep.Key = append([]byte("l"), eve.Invite.Token[:]...)
	h.do(dave)
	h.do(eve, keep)
	h.run()
	p.next() // dave's, without a link
	h.log.says(t, "was sealed with another key, or changed", 1)
	h.settled()
	p.nothing()
}

// TestWhatIsKept that nobody can read is dropped, and keeps nobody from starting.
func TestWhatIsKept(t *testing.T) {
	h, p, r := both(t)
	h.follow()
	for _, row := range []store.SideWrite{
		{Key: []byte("d"), Value: []byte{1}}, {Key: []byte("dm\x00\x00\x00\x00\x00\x00\x00\x01"), Value: []byte{0x83}},
		{Key: append([]byte("dx\x00\x00\x00\x00\x00\x00\x00\x01"), append(make([]byte, 16), "factor.enrolled"...)...), Value: []byte{0x80}},
		{Key: append([]byte("dm\x00\x00\x00\x00\x00\x00\x00\x01"), append(make([]byte, 16), "no.such"...)...), Value: []byte{0x80}},
		{Key: append([]byte("dm\xff\xff\xff\xff\xff\xff\xff\xff"), append(make([]byte, 16), "factor.enrolled"...)...), Value: []byte{0x80}},
	} {
		row.Table = store.SideNotices
		if err := h.backend.WriteSide(t.Context(), []store.SideWrite{row}); err != nil {
			t.Fatal(err)
		}
	}
	h.restart()
	// A cursor beyond the ledger is one of another ledger.
	if err := h.backend.WriteSide(t.Context(), []store.SideWrite{{Table: store.SideNotices, Key: []byte("cursor"), Value: bytes.Repeat([]byte{0x7f}, 8)}}); err != nil {
		t.Fatal(err)
	}
	h.run()
	h.log.says(t, "can't be sent any more, and is dropped", 5)
	h.do(addUser("carol", "carol@example.eu"))
	hear(t, p, r, 1)
}

func TestNewRefuses(t *testing.T) {
	h, p, _ := both(t)
	mail := newMail(t, p.config(notice.STARTTLS))
	good := notice.Config{Ledger: h.ledger, Name: serverName, Mail: mail, Key: h.key, Now: time.Now, Random: bytes.NewReader(nil)}
	if _, err := notice.New(t.Context(), good); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*notice.Config){
		"nothing": func(c *notice.Config) { *c = notice.Config{} }, "no ledger": func(c *notice.Config) { c.Ledger = nil },
		"no name": func(c *notice.Config) { c.Name = "" }, "no way": func(c *notice.Config) { c.Mail = nil }, "no key": func(c *notice.Config) { c.Key = nil },
		"a short key": func(c *notice.Config) { c.Key = c.Key[:31] }, "no clock": func(c *notice.Config) { c.Now = nil }, "no randomness": func(c *notice.Config) { c.Random = nil },
	} {
		c := good
		spoil(&c)
		if _, err := notice.New(t.Context(), c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	n, err := notice.New(t.Context(), notice.Config{Ledger: h.ledger, Name: serverName, Hook: h.hook, Key: h.key, Now: time.Now, Random: bytes.NewReader(nil)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.KeepLink(store.UserID{1}, store.Hash{1}, "x"); err == nil {
		t.Error("a link that no mail takes along")
	}
}
