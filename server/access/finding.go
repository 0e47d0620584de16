package access

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// A Severity says how much a finding matters. There are three.
type Severity string

// The severities, the worst first.
const (
	High   Severity = "high"
	Medium Severity = "medium"
	Low    Severity = "low"
)

// Severities returns all of them, the worst first.
func Severities() []Severity { return []Severity{High, Medium, Low} }

// AtLeast reports whether a severity is another one or worse.
func (v Severity) AtLeast(other Severity) bool {
	all := Severities()
	i := slices.Index(all, v)
	return i >= 0 && i <= slices.Index(all, other)
}

// A FindingKind is one of the weak states that a report names: see FindingRules.
type FindingKind string

// A Finding is a weak state that a company is in at a moment: something that the
// rules allow, and that an auditor asks about.
type Finding struct {
	Kind     FindingKind
	Severity Severity
	Sentence string
	Entries  []store.Index // that make it true, in their order
	Mend     string        // the command that mends it; words in capitals are for its reader to fill in
	Whose    store.UserID  // who types it; zero: an administrator
}

// What is old, unused, or a while ago.
const (
	findUnused  = 90 * 24 * time.Hour  // a grant, a key, an account
	findKeyAge  = 365 * 24 * time.Hour // a bot's key
	findLock    = 30 * 24 * time.Hour  // a lock
	findCheck   = 7 * 24 * time.Hour   // a look at a target
	findHistory = 90 * 24 * time.Hour  // what happened to the ledger itself
	findSignIn  = 24 * time.Hour       // how long a sign-in session lasts
	findCodes   = 2                    // recovery codes that are left
)

// A finder gathers the findings of a state at a moment.
type finder struct {
	State
	now   store.Millis
	rule  FindingRule // whose turn it is
	found []Finding
}

// Findings are the weak states that the state is in at a moment, the worst first,
// and of one kind in the order of what they are about. They are a function of the
// entries before the moment and of the moment alone, so they can be told of any
// moment of the past.
func (s State) Findings(now store.Millis) []Finding {
	f := &finder{State: s, now: now}
	for _, f.rule = range FindingRules() {
		f.rule.find(f)
	}
	slices.SortStableFunc(f.found, func(a, b Finding) int {
		return cmp.Compare(slices.Index(Severities(), a.Severity), slices.Index(Severities(), b.Severity))
	})
	return f.found
}

// say adds a finding that an administrator mends.
func (f *finder) say(mend, sentence string, entries ...store.Index) {
	f.sayTo(store.UserID{}, mend, sentence, entries...)
}

// sayTo adds a finding that somebody mends themselves.
func (f *finder) sayTo(whose store.UserID, mend, sentence string, entries ...store.Index) {
	slices.Sort(entries)
	f.found = append(f.found, Finding{
		Kind: f.rule.Kind, Severity: f.rule.Severity, Sentence: sentence, Entries: slices.Compact(entries), Mend: mend, Whose: whose,
	})
}

// since reports whether a moment is at least so long ago.
func (f *finder) since(m store.Millis, d time.Duration) bool {
	return f.now-m >= store.Millis(d/time.Millisecond)
}

// days is how long a moment is ago.
func (f *finder) days(m store.Millis) string {
	return counted(uint64(time.Duration(f.now-m)*time.Millisecond/(24*time.Hour)), "day")
}

// counted is a number of things in words: 1 day, 2 days.
func counted(n uint64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// called is how a finding names somebody.
func called(u User) string { return cmp.Or(string(u.Handle), u.ID.String()) }

// setting tells of a setting whose value is a finding.
func (f *finder) setting(name store.Setting, weak func(value string) bool, sentence string) {
	if v, ok := f.settings.get(name); ok && weak(v.Value) {
		f.say(fmt.Sprintf("vaultpamd setting %s %s", name, name.Default()), sentence, v.Entry)
	}
}

func is(weak string) func(string) bool { return func(value string) bool { return value == weak } }

func (f *finder) selfGrantAllowed() {
	f.setting(store.SettingSelfGrant, is(store.SelfGrantAllowed), "an administrator may give access to themselves without a second person")
}

func (f *finder) codesApprove() {
	f.setting(store.SettingApproveWith, is(store.ApproveWithTOTP), "requests may be approved by a code, which nobody can verify afterwards")
}

func (f *finder) deviceLoginAnywhere() {
	f.setting(store.SettingDeviceLogin, is(store.DeviceLoginAny), "a sign-in may be confirmed for a machine in any network, so a code that was sent to somebody signs a stranger in")
}

func (f *finder) longSignIns() {
	long := func(value string) bool {
		d, err := store.ParseSignInLife(value)
		return err == nil && d > findSignIn
	}
	v := f.Setting(store.SettingSignInLife)
	f.setting(store.SettingSignInLife, long, fmt.Sprintf("a sign-in lasts %s, which is more than a day", v))
}

// restoredLedger and resetClock tell of what can't be undone, for a while: it goes
// by itself when whoever asks about the time behind it has read of it.
func (f *finder) restoredLedger() {
	for entry, b := range f.bases.all() {
		if !f.since(b.Time, findHistory) {
			f.say(fmt.Sprintf("vaultpam audit show %d", entry),
				fmt.Sprintf("the ledger was restored from a backup at %s: what was behind the backup is not in it", second(b.Time)), entry)
		}
	}
}

func (f *finder) resetClock() {
	for entry, at := range f.resets.all() {
		if !f.since(at, findHistory) {
			f.say(fmt.Sprintf("vaultpam audit show %d", entry),
				fmt.Sprintf("somebody set the ledger's clock to %s: the times of entries before may be wrong", second(at)), entry)
		}
	}
}

func (f *finder) recoveryUnderWay() {
	if p, ok := f.Recovery(f.now); ok {
		u, _ := f.users.get(p.User)
		f.say("vaultpam admin recovery stop",
			fmt.Sprintf("on the server's own machine somebody is making %s an administrator; it can be finished from %s on", called(u), second(p.Ready)), p.Entry)
	}
}

func (f *finder) longLocks() {
	for l := range f.Locks() {
		if !f.since(l.Time, findLock) {
			continue
		}
		switch {
		case !l.User.IsZero():
			u, _ := f.users.get(l.User)
			f.say(removal(u), fmt.Sprintf("%s is locked for %s, and still has all they were given", called(u), f.days(l.Time)), l.Entry)
		case l.Target != 0:
			t, _ := f.targets.get(l.Target)
			f.say(fmt.Sprintf("vaultpam unlock target %s", t.Name), fmt.Sprintf("target %s is locked for %s", t.Name, f.days(l.Time)), l.Entry)
		}
	}
}
