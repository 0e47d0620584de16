package login_test

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/login"
)

// from is a sign-in from a device.
func (o *office) from(device []byte, handle, code string, source login.Client) (login.Session, error) {
	return o.SignIn(context.Background(), login.Proof{Handle: handle, Code: code, Device: device}, source)
}

// besiege has strangers guess at carol's code from many sources, as often as they
// are let, until nobody's guess is checked any more.
func (o *office) besiege(seed []byte) int {
	o.Helper()
	tried := 0
	for range 120 {
		for source := range 4 {
			if err := o.try("carol", o.wrong(seed), address(1000+tried*4+source)); errors.Is(err, access.ErrSignIn) {
				tried++
			} else if kind(err) != access.Limited {
				o.Fatal(err)
			}
		}
		o.clock.wait(24 * time.Hour)
	}
	return tried
}

// TestS15StrangersAreShutOut: after so many failures in a row strangers are not
// asked any more, over a restart; who was there before, a recovery code and a new
// factor are, and open it again.
func TestS15StrangersAreShutOut(t *testing.T) {
	for name, open := range map[string]func(o *office, seed []byte, s login.Session) ([]byte, error){
		"device": func(o *office, seed []byte, s login.Session) ([]byte, error) {
			o.clock.wait(-40 * 24 * time.Hour) // within the device's life
			_, err := o.from(s.Device, "carol", o.code(seed), home)
			return seed, err
		},
		"recovery code": func(o *office, seed []byte, s login.Session) ([]byte, error) {
			return seed, o.try("carol", s.Codes[7], home)
		},
		"invitation": func(o *office, _ []byte, _ login.Session) ([]byte, error) {
			token := random(32)
			o.do(access.InviteUser{By: access.Caller{Local: true}, Handle: "carol", Invite: access.Invite{Token: login.TokenHash(token)}})
			seed := o.seed(token)
			_, err := o.FinishEnrolment(context.Background(), token, o.code(seed), home)
			return seed, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := found(t)
			seed, s := o.engage("carol")
			if tried := o.besiege(seed); tried != login.LimitUnknown {
				t.Errorf("%d guesses, want %d", tried, login.LimitUnknown)
			}
			o.restart()
			err := o.try("carol", o.code(seed), address(7))
			var r *access.Refusal
			if !errors.As(err, &r) || r.Kind != access.Limited || r.RetryAfter != 0 || r.Hint == "" {
				t.Errorf("the right code from a stranger: %v", err)
			}
			if seed, err = open(o, seed, s); err != nil {
				t.Fatal(err)
			}
			o.clock.wait(24 * time.Hour)
			if err := o.try("carol", o.code(seed), address(8)); err != nil {
				t.Errorf("a new machine, after that: %v", err)
			}
		})
	}
}

// TestS15StopIsNoted: the auditor reads that strangers were shut out, once.
func TestS15StopIsNoted(t *testing.T) {
	o := found(t)
	seed, _ := o.engage("carol")
	o.besiege(seed)
	for range 3 {
		if err := o.NoteFailures(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := o.stops(); len(n) != 1 || n[0] != login.LimitUnknown {
		t.Errorf("stops %v", n)
	}
	sum := uint64(0)
	for _, e := range o.noted() {
		sum += e.Count
	}
	if sum != login.LimitUnknown {
		t.Errorf("%d failures are noted", sum)
	}
}

// TestS15Devices: a device has ten failures of its own, then it is a stranger;
// there are four of them, and each is forgotten after 90 days.
func TestS15Devices(t *testing.T) {
	o := found(t)
	seed, s := o.engage("carol")
	tokens := [][]byte{s.Device}
	for range login.MaxDevices {
		o.clock.wait(time.Minute)
		s, err := o.from(nil, "carol", o.code(seed), home)
		if err != nil {
			t.Fatal(err)
		}
		tokens = append(tokens, s.Device)
	}
	// 60 strangers' failures and ten of each device are 100, and no more.
	total := o.besiege(seed)
	o.clock.wait(-110 * 24 * time.Hour)
	for _, token := range tokens {
		for range 30 {
			if _, err := o.from(token, "carol", o.wrong(seed), home); errors.Is(err, access.ErrSignIn) {
				total++
			} else if kind(err) != access.Limited {
				t.Fatal(err)
			}
		}
	}
	if total != 100 || login.LimitUnknown+login.MaxDevices*login.LimitPerDevice != 100 {
		t.Errorf("%d failures in a row", total)
	}
}

func TestS15DevicesAge(t *testing.T) {
	o := found(t)
	seed, s := o.engage("carol")
	o.clock.wait(login.DeviceLife - time.Second)
	again, err := o.from(s.Device, "carol", o.code(seed), home)
	if err != nil || string(again.Device) != string(s.Device) {
		t.Errorf("known: another token, error %v", err)
	}
	o.clock.wait(login.DeviceLife)
	if again, err = o.from(s.Device, "carol", o.code(seed), home); err != nil || string(again.Device) == string(s.Device) {
		t.Errorf("after its life: the same token, error %v", err)
	}
	// Somebody else's device is a stranger's.
	other, bob := o.engage("bob")
	for range login.LimitPerPair {
		_, _ = o.from(again.Device, "bob", o.wrong(other), home)
	}
	if _, err := o.from(again.Device, "bob", o.wrong(other), home); kind(err) != access.Limited {
		t.Errorf("with carol's device: %v", err)
	}
	if _, err := o.from(bob.Device, "bob", o.wrong(other), home); !errors.Is(err, access.ErrSignIn) {
		t.Errorf("with his own: %v", err)
	}
}

// TestS15Week: two hundred sources guess for a week, each at every moment that it
// is let. The owner signs in twice a day and notices nothing.
func TestS15Week(t *testing.T) {
	const sources, days = 200, 7
	o := found(t)
	seed, s := o.engage("carol")
	guesses := make([]int, days)
	begin := o.clock.Now()
	for hour := range days * 24 {
		if hour == 80 {
			o.restart()
		}
		for range 4 { // every quarter of an hour, which is the shortest wait
			var strangers sync.WaitGroup // end with their answers
			results := make([]error, sources)
			for i := range sources {
				strangers.Go(func() { results[i] = o.try("carol", o.wrong(seed), address(i)) })
			}
			strangers.Wait()
			for _, err := range results {
				if errors.Is(err, access.ErrSignIn) {
					guesses[int(o.clock.Now().Sub(begin)/(24*time.Hour))]++
				} else if kind(err) != access.Limited {
					t.Fatal(err)
				}
			}
			o.clock.wait(15 * time.Minute)
		}
		if hour%12 == 0 {
			if _, err := o.from(s.Device, "carol", o.code(seed), home); err != nil {
				t.Fatalf("the owner, in hour %d: %v", hour, err)
			}
			if err := o.NoteFailures(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	total := 0
	for _, n := range guesses {
		total += n
	}
	// Of a million codes three fit at any moment.
	p := 1 - math.Pow(1-3e-6, float64(total))
	t.Logf("guesses by day %v, %d in the week: one gets in with a probability of %.6f", guesses, total, p)
	if total > 40 || guesses[0] > login.LimitFree+10 || guesses[days-1] > 2 {
		t.Errorf("guesses by day %v", guesses)
	}
	if len(o.stops()) != 0 {
		t.Error("strangers were shut out, though the owner was let in meanwhile")
	}
}

// TestS15WaitIsTrue: each refusal says how long, and that is true.
func TestS15WaitIsTrue(t *testing.T) {
	o := found(t)
	seed, _ := o.engage("carol")
	var waits []time.Duration
	for tried := 0; len(waits) < 6; tried++ {
		err := o.try("carol", o.wrong(seed), home)
		var r *access.Refusal
		if !errors.As(err, &r) || r.Kind != access.Limited {
			continue
		}
		waits = append(waits, r.RetryAfter)
		o.clock.wait(r.RetryAfter - time.Second)
		if err := o.try("carol", o.wrong(seed), home); kind(err) != access.Limited {
			t.Errorf("a second too early: %v", err)
		}
		o.clock.wait(time.Second)
		if err := o.try("carol", o.wrong(seed), home); !errors.Is(err, access.ErrSignIn) {
			t.Errorf("in time: %v", err)
		}
	}
	for i, minutes := range []int{15, 30, 60, 120, 240, 240} {
		if waits[i] != time.Duration(minutes)*time.Minute {
			t.Errorf("waits %v", waits)
			break
		}
	}
}
