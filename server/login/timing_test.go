package login_test

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// A couple is a handle that somebody has and one that nobody has, with the times
// of failed attempts at each.
type couple [2][]time.Duration

// apart returns the Kolmogorov-Smirnov statistic of the times of the first and of
// the second of each couple, where swapped says which couples are turned round.
// sorted holds every time with its couple and its place in it.
func apart(sorted []timing, swapped []bool) float64 {
	var most, known, unknown int
	for i, one := range sorted {
		if one.second == swapped[one.couple] {
			known++
		} else {
			unknown++
		}
		if i+1 == len(sorted) || sorted[i+1].took != one.took {
			most = max(most, known-unknown, unknown-known)
		}
	}
	return float64(most) / float64(len(sorted)/2)
}

type timing struct {
	took   time.Duration
	couple int
	second bool
}

// different returns the p-value of the two-sample Kolmogorov-Smirnov statistic, by
// permutation: how often the two are at least this far apart when the couples are
// turned round by chance. The times of one handle are not independent of each
// other (its row in the database lies where it lies), which the statistic's own
// distribution would take for a difference.
func different(couples []couple, chance *rand.Rand) float64 {
	const permutations = 999
	var sorted []timing
	for i, c := range couples {
		for side, times := range c {
			for _, took := range times {
				sorted = append(sorted, timing{took, i, side == 1})
			}
		}
	}
	slices.SortFunc(sorted, func(a, b timing) int { return cmp.Compare(a.took, b.took) })
	swapped := make([]bool, len(couples))
	found, asFar := apart(sorted, swapped), 1
	for range permutations {
		for i := range swapped {
			swapped[i] = chance.IntN(2) == 1
		}
		if apart(sorted, swapped) >= found {
			asFar++
		}
	}
	return float64(asFar) / (permutations + 1)
}

// median of the times of the couples' one side.
func median(couples []couple, side int) time.Duration {
	var all []time.Duration
	for _, c := range couples {
		all = append(all, c[side]...)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// TestS16SameTime: an attempt at a handle that nobody has takes the time of one
// at somebody's, in 2,000 pairs with an authenticator's code, in 2,000 with a
// recovery code, in 2,000 where everybody is locked, and in 2,000 with a signature at
// bots. A busy machine makes all of them slower and not one kind, because
// chance says which of a pair is first. One run in a hundred says
// p <= 0.01 of the same thing, so up to three are made: three in a row say it
// falsely once in a million, and of a real difference all three say it. That the
// measure would find one is shown with the very times that it was content with: on
// a busy machine they are spread wide, and fewer would hide more.
func TestS16SameTime(t *testing.T) {
	o := found(t)
	seed := o.employ("somebody")
	chance := rand.New(rand.NewPCG(1, 2))
	guess := func(code string) suspect {
		return suspect{
			add: func(handle string) { o.employ(handle) },
			try: func(handle string, i int) error { return o.try(handle, code, address(i)) }, answer: access.ErrSignIn,
		}
	}
	locked := guess(o.wrong(seed))
	locked.add = func(handle string) {
		o.employ(handle)
		o.lock(store.Handle(handle))
	}
	for name, who := range map[string]suspect{
		"recovery code": guess("aaaa-bbbb-cccc-dddd-eeee-ffff"), "code": guess(o.wrong(seed)), "code, everybody locked": locked, "bot's signature": o.suspectBot(),
	} {
		for run := 1; ; run++ {
			o.clock.wait(8 * 24 * time.Hour) // no waits are left of what was before
			couples := o.race(who, chance)
			p, usual := different(couples, chance), median(couples, 0)
			t.Logf("%s: p = %.3f; medians %v and %v", name, p, usual, median(couples, 1))
			if p <= 0.01 && run < 3 {
				continue
			}
			if p <= 0.01 {
				t.Errorf("%s: unknown handles take another time three times", name)
				break
			}
			for _, c := range couples {
				for i := range c[1] {
					c[1][i] += usual / 5
				}
			}
			if p := different(couples, chance); p > 0.01 {
				t.Errorf("%s: a fifth more is not found: p = %.3f", name, p)
			}
			break
		}
	}
}

// A suspect is a way to sign in that fails: how somebody who has the handle is
// added, what is tried at it, and what answers.
type suspect struct {
	add    func(handle string)
	try    func(handle string, i int) error
	answer error
}

// race times failures at handles that somebody has, and at others. All handles
// are drawn, so that nothing but their being known tells them apart.
func (o *office) race(who suspect, chance *rand.Rand) []couple {
	o.Helper()
	const pairs, each = 2000, 19 // less than makes anybody wait
	timed := func(handle string, i int) time.Duration {
		begin := time.Now()
		err := who.try(handle, i)
		took := time.Since(begin)
		if !errors.Is(err, who.answer) {
			o.Fatalf("%s: %v", handle, err)
		}
		return took
	}
	couples := make([]couple, pairs/each+1)
	names := make([][2]string, len(couples))
	for i := range names {
		names[i] = [2]string{fmt.Sprintf("u%016x", chance.Uint64()), fmt.Sprintf("u%016x", chance.Uint64())}
		who.add(names[i][0])
	}
	runtime.GC()
	for i := range pairs {
		n, first := i/each, chance.IntN(2)
		for _, side := range []int{first, 1 - first} {
			couples[n][side] = append(couples[n][side], timed(names[n][side], i))
		}
	}
	return couples
}
