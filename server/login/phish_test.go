package login_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// confirmFrom types a code and touches a passkey, all from one place.
func (o *office) confirmFrom(code string, k *token, place login.Client) error {
	o.Helper()
	id, err := o.FindDevice(code, place.Source)
	if err != nil {
		return err
	}
	asked, err := o.Ask(id, chrome, place)
	if err != nil {
		return err
	}
	_, err = o.Answer(o.Context(), id, chrome, k.get(o, asked.Get), place)
	return err
}

// TestS20Phish: a stranger begins a sign-in and talks somebody into typing its
// code. Whether that works is the company's setting, and its default is that it
// doesn't.
func TestS20Phish(t *testing.T) {
	for _, c := range []struct {
		setting, asks, confirms string
		want                    access.Kind
	}{
		{"", "203.0.113.9", "192.0.2.7", access.Forbidden},
		{"", "192.0.2.7", "192.0.2.7", 0},
		{"", "192.0.2.8", "192.0.2.7", access.Forbidden},
		{"", "::ffff:192.0.2.7", "192.0.2.7", 0},
		{"", "2001:db8:0:1::1", "2001:db8:0:1:ffff::2", 0},
		{"", "2001:db8:0:1::1", "2001:db8:0:2::1", access.Forbidden},
		{"", "2001:db8::7", "192.0.2.7", access.Forbidden},
		{store.DeviceLoginSameSource, "203.0.113.9", "192.0.2.7", access.Forbidden},
		{store.DeviceLoginAny, "203.0.113.9", "192.0.2.7", 0},
		{store.DeviceLoginAny, "192.0.2.7", "192.0.2.7", 0},
	} {
		t.Run(fmt.Sprintf("%s %s %s", c.setting, c.asks, c.confirms), func(t *testing.T) {
			o := found(t)
			k, _ := o.enrolPasskey("carol")
			if c.setting != "" {
				o.settle(store.SettingDeviceLogin, c.setting)
			}
			p := o.device(from(c.asks))
			wantKind(t, "confirming", o.confirmFrom(p.begun.Code, k, from(c.confirms)), c.want)
			if c.want != 0 {
				o.nobodyIn("phished")
				return
			}
			if _, err := p.redeem(nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestS20NoSource: where it is not known whence somebody comes, they come from
// nowhere that is the same.
func TestS20NoSource(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	nowhere := login.Client{Key: clientKey}
	p := o.device(nowhere)
	wantKind(t, "both unknown", o.confirmFrom(p.begun.Code, k, nowhere), access.Forbidden)
	if _, err := o.Ask(p.begun.ID, chrome, home); kind(err) != access.Forbidden {
		t.Errorf("one unknown: %v", err)
	}
	o.nobodyIn("from nowhere")
}

// TestS20SettingChanges: the setting that counts is that of the moment.
func TestS20SettingChanges(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	far := from("203.0.113.9")
	o.settle(store.SettingDeviceLogin, store.DeviceLoginAny)
	p := o.device(far)
	asked, err := o.Ask(p.begun.ID, chrome, home)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{store.DeviceLoginSameSource, store.DeviceLoginOff} {
		o.settle(store.SettingDeviceLogin, value)
		_, err := o.Ask(p.begun.ID, chrome, home)
		wantKind(t, value+", asking", err, access.Forbidden)
		_, err = o.Answer(t.Context(), p.begun.ID, chrome, k.get(t, asked.Get), home)
		if err == nil {
			t.Errorf("%s: answered", value)
		}
		o.settle(store.SettingDeviceLogin, store.DeviceLoginAny)
		if asked, err = o.Ask(p.begun.ID, chrome, home); err != nil {
			t.Fatal(err)
		}
	}
	o.settle(store.SettingDeviceLogin, store.DeviceLoginOff)
	_, err = o.BeginSignIn(login.Client{Source: home.Source, Key: clientKey, Machine: "m"}, login.SignInWish{Challenge: store.Hash{1}})
	wantKind(t, "beginning when it is off", err, access.Forbidden)
	// One that was confirmed before it was turned off is not fetched after it.
	o.settle(store.SettingDeviceLogin, store.DeviceLoginAny)
	if _, err := o.Answer(t.Context(), p.begun.ID, chrome, k.get(t, o.ask(p)), home); err != nil {
		t.Fatal(err)
	}
	o.settle(store.SettingDeviceLogin, store.DeviceLoginOff)
	_, err = p.redeem(nil)
	wantKind(t, "fetching when it is off", err, access.Forbidden)
	o.nobodyIn("turned off")
	// The redirect is no device's way.
	o.enter(k)
}

func (o *office) ask(p *program) []byte {
	o.Helper()
	asked, err := o.Ask(p.begun.ID, chrome, home)
	if err != nil {
		o.Fatal(err)
	}
	return asked.Get
}

// TestS20OnlyItsKey: who knows everything of a device's sign-in but its key gets
// nothing.
func TestS20OnlyItsKey(t *testing.T) {
	o := found(t)
	k, _ := o.enrolPasskey("carol")
	p := o.device(home)
	p.touch(k)
	thief := p.client
	thief.Key = store.ClientKey{9}
	_, err := o.Redeem(t.Context(), p.redemption(nil), thief)
	wantKind(t, "another key", err, access.NotFound)
	wrong := p.redemption(nil)
	wrong.Verifier = "guessed"
	_, err = o.Redeem(t.Context(), wrong, p.client)
	wantKind(t, "another verifier", err, access.NotFound)
	o.nobodyIn("another key")
}

// TestS20View: who is asked to confirm is shown whose wish it is.
func TestS20View(t *testing.T) {
	o := found(t)
	p := o.device(from("203.0.113.9"))
	o.clock.wait(75 * time.Second)
	v, err := o.View(p.begun.ID)
	want := login.View{
		Purpose: login.PurposeSignIn, Machine: "carols-laptop", Source: netip.MustParseAddr("203.0.113.9"), Age: 75 * time.Second, Device: p.begun.Code,
	}
	if err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("view %+v, error %v; want %+v", v, err, want)
	}
	o.clock.wait(5*time.Minute - 75*time.Second)
	_, err = o.View(p.begun.ID)
	wantKind(t, "after five minutes", err, access.NotFound)
	_, err = o.FindDevice(p.begun.Code, home.Source)
	wantKind(t, "its code", err, access.NotFound)
	_, err = o.Ask(p.begun.ID, chrome, home)
	wantKind(t, "its page", err, access.NotFound)
	_, err = p.redeem(nil)
	wantKind(t, "its program", err, access.NotFound)
}

// TestS20Typing: people type codes as they like; nothing else is one.
func TestS20Typing(t *testing.T) {
	o := found(t)
	code := o.device(home).begun.Code
	plain := strings.ReplaceAll(code, "-", "")
	for _, typed := range []string{code, plain, strings.ToLower(code), " " + code + "\n", strings.Join(strings.Split(plain, ""), " ")} {
		if _, err := o.FindDevice(typed, home.Source); err != nil {
			t.Errorf("%q: %v", typed, err)
		}
	}
	for i, typed := range []string{"", "-", plain[:7], plain + "B", strings.Repeat(plain, 9), strings.Repeat(" ", 57) + plain, "%", "\x00"} {
		if id, err := o.FindDevice(typed, address(i).Source); err == nil {
			t.Errorf("%q: found %s", typed, id)
		}
	}
}

// TestS20Guesses: five wrong codes a source and 1,000 in all are checked in any
// five minutes, however they fall.
func TestS20Guesses(t *testing.T) {
	o := found(t)
	right := o.device(home).begun.Code
	guess := func(source netip.Addr) bool {
		_, err := o.FindDevice("BBBB-BBBB", source)
		return kind(err) == access.NotFound
	}
	for i := range login.MaxGuesses + 2 {
		if got := guess(home.Source); got != (i < login.MaxGuesses) {
			t.Errorf("guess %d of a source: checked %v", i+1, got)
		}
	}
	if _, err := o.FindDevice(right, home.Source); kind(err) != access.Limited {
		t.Errorf("the right code after wrong ones: %v", err)
	}
	if _, err := o.FindDevice(right, from("192.0.2.8").Source); err != nil {
		t.Errorf("the right code from elsewhere: %v", err)
	}
	// Who waits for the moment when a count begins anew.
	o.clock.wait(time.Hour)
	if !guess(home.Source) {
		t.Error("an hour later: not checked")
	}
	o.clock.wait(5*time.Minute - time.Second)
	for i := range login.MaxGuesses {
		if got := guess(home.Source); got != (i < login.MaxGuesses-1) {
			t.Errorf("guess %d, 5 minutes after the first: checked %v", i+2, got)
		}
	}
	o.clock.wait(2 * time.Second)
	if !guess(home.Source) || guess(home.Source) {
		t.Error("want one guess when the first is over, and no second")
	}
	// A day of a stranger with 10,000 addresses, who never stops: what is checked in
	// the life of a code, wherever that begins.
	var checked []time.Time
	for minute := range 24 * 60 {
		for i := range 400 {
			if guess(address(minute*400 + i).Source) {
				checked = append(checked, o.clock.Now())
			}
		}
		o.clock.wait(time.Minute)
	}
	most, first := 0, 0
	for i, at := range checked {
		for !checked[first].Add(5 * time.Minute).After(at) {
			first++
		}
		most = max(most, i-first+1)
	}
	if most > login.MaxAllGuesses {
		t.Errorf("%d in five minutes, want at most %d", most, login.MaxAllGuesses)
	}
	t.Logf("%d guesses in a day, %d in five minutes: a code among 10 that wait is found once in %.0f years",
		len(checked), most, 2.56e10/(10*float64(len(checked))*365))
	// The same for one source.
	o.clock.wait(time.Hour)
	checked = checked[:0]
	for range 3600 {
		if guess(home.Source) {
			checked = append(checked, o.clock.Now())
		}
		o.clock.wait(time.Second)
	}
	for i := range checked[login.MaxGuesses:] {
		if checked[i+login.MaxGuesses].Sub(checked[i]) < 5*time.Minute {
			t.Errorf("%d in %v", login.MaxGuesses+1, checked[i+login.MaxGuesses].Sub(checked[i]))
		}
	}
	o.clock.wait(5 * time.Minute)
	guess(home.Source)
	if _, guesses := o.Kept(); guesses > 2 {
		t.Errorf("%d sources' guesses are kept after their time", guesses)
	}
}

// TestS20Letters: all letters are as likely: over all values of a byte each comes
// out as often.
func TestS20Letters(t *testing.T) {
	var all bytes.Buffer
	for range 8 {
		for b := range 256 {
			all.WriteByte(byte(b))
		}
	}
	l := found(t).Login
	l.Random = &all
	count := map[rune]int{}
	for range 8 * 240 / 8 {
		code, err := login.NewDeviceCode(l)
		if err != nil {
			t.Fatal(err)
		}
		if len(code) != 9 || code[4] != '-' {
			t.Errorf("code %q", code)
		}
		for _, r := range strings.ReplaceAll(code, "-", "") {
			count[r]++
		}
	}
	if len(count) != 20 {
		t.Errorf("%d letters", len(count))
	}
	for r, n := range count {
		if n != 96 || strings.ContainsRune("AEIOUY", r) {
			t.Errorf("%c comes %d times, want 96 and no vowels", r, n)
		}
	}
	if _, err := login.NewDeviceCode(l); err == nil {
		t.Error("a code without randomness")
	}
	l.Random = rand.Reader
}

// TestS20FarDeny: what nobody asked for and turns down says so to the stranger, and
// their key gets nothing.
func TestS20FarDeny(t *testing.T) {
	o := found(t)
	p := o.device(from("203.0.113.9"))
	if err := o.Deny(p.begun.ID, chrome, home.Source); err != nil {
		t.Fatal(err)
	}
	if _, err := p.redeem(nil); kind(err) != access.Forbidden || errors.Is(err, login.ErrPending) {
		t.Errorf("error %v", err)
	}
}
