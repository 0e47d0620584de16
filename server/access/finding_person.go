package access

import (
	"fmt"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// holders are the people who hold a role and could sign in.
func (f *finder) holders(role store.Role) []User {
	var all []User
	for u := range f.Users() {
		if _, locked := f.LockOfUser(u.ID); u.Has(role) && u.Enrolled() && !locked {
			all = append(all, u)
		}
	}
	return all
}

func (f *finder) fewAdministrators() {
	able := f.holders(store.RoleAdministrator)
	switch len(able) {
	case 0:
		var all []store.Index
		for u := range f.Users() {
			if u.Has(store.RoleAdministrator) {
				all = append(all, u.Entry)
			}
		}
		f.say("vaultpamd recover-admin HANDLE", "there is no administrator who could sign in", all...)
	case 1:
		f.say("vaultpam admin user add HANDLE --role administrator",
			fmt.Sprintf("%s is the only administrator who could sign in", called(able[0])), able[0].Entry)
	}
}

func (f *finder) noIndependentAuditor() {
	var both []store.Index
	for _, u := range f.holders(store.RoleAuditor) {
		if !u.Has(store.RoleAdministrator) {
			return
		}
		both = append(both, u.Entry)
	}
	sentence := "there is no auditor who could sign in, so nobody reads the recordings"
	if len(both) > 0 {
		sentence = "every auditor is an administrator as well, and audits themselves"
	}
	f.say("vaultpam admin user add HANDLE --role auditor", sentence, both...)
}

func (f *finder) administratorsWithoutPasskey() {
	f.withoutPasskey(func(u User) bool { return u.Has(store.RoleAdministrator) }, "administrator %s has no passkey: whoever talks them out of a code, or finds their secret, is an administrator")
}

func (f *finder) usersWithoutPasskey() {
	f.withoutPasskey(func(u User) bool { return !u.Has(store.RoleAdministrator) }, "%s has no passkey, and signs in with what they can be talked out of")
}

func (f *finder) withoutPasskey(which func(User) bool, sentence string) {
	for u := range f.Users() {
		if which(u) && u.Enrolled() && len(u.Passkeys()) == 0 {
			f.sayTo(u.ID, "vaultpam factor add", fmt.Sprintf(sentence, called(u)), entriesOf(u.Factors)...)
		}
	}
}

func entriesOf(factors []Factor) []store.Index {
	all := make([]store.Index, len(factors))
	for i, f := range factors {
		all[i] = f.Entry
	}
	return all
}

func (f *finder) copiedPasskeys() {
	for u := range f.Users() {
		for _, factor := range u.Factors {
			if factor.Cloned {
				f.sayTo(u.ID, fmt.Sprintf("vaultpam factor rm %d", factor.Entry),
					fmt.Sprintf("there is a copy of a passkey of %s: whoever has it may have signed in as them before that was noticed", called(u)), factor.Entry, factor.CopyBy)
			}
		}
	}
}

func (f *finder) recoveryCodesLow() {
	for u := range f.Users() {
		if left := u.Recovery.Left(); u.Recovery.Count > 0 && left <= findCodes {
			f.sayTo(u.ID, "vaultpam recovery new", fmt.Sprintf("%s has %s left", called(u), counted(uint64(left), "recovery code")), u.Recovery.Entry)
		}
	}
}

// idle reports whether somebody has not signed in for long. Who is locked can't.
func (f *finder) idle(u User) bool {
	_, locked := f.LockOfUser(u.ID)
	return !locked && f.since(max(u.Added, u.Seen), findUnused)
}

func (f *finder) idleUsers() {
	for _, id := range f.handles.all() {
		u, _ := f.users.get(id)
		switch {
		case !f.idle(u):
		case u.Seen == 0:
			f.say(removal(u), fmt.Sprintf("%s was added %s ago, and never signed in", called(u), f.days(u.Added)), u.Entry)
		default:
			f.say(removal(u), fmt.Sprintf("%s has not signed in for %s", called(u), f.days(u.Seen)), u.Entry)
		}
	}
}

// removal is the command that takes somebody out.
func removal(u User) string {
	if u.Bot {
		return fmt.Sprintf("vaultpam admin bot rm %s", called(u))
	}
	return fmt.Sprintf("vaultpam admin user rm %s", called(u))
}

// botKeys goes through the keys of bots.
func (f *finder) botKeys(look func(User, Factor)) {
	for _, id := range f.handles.all() {
		u, _ := f.users.get(id)
		if i := slices.IndexFunc(u.Factors, func(x Factor) bool { return x.Kind == store.FactorKey }); i < 0 {
			continue
		}
		for _, key := range u.Factors {
			look(u, key)
		}
	}
}

func (f *finder) oldBotKeys() {
	f.botKeys(func(u User, key Factor) {
		if f.since(key.Added, findKeyAge) {
			f.say(fmt.Sprintf("vaultpam admin bot key rm %s %d", called(u), key.Entry),
				fmt.Sprintf("a key of the bot %s is %s old", called(u), f.days(key.Added)), key.Entry)
		}
	})
}

// unusedBotKeys leaves out those of a bot that does nothing at all, which is a
// finding of its own.
func (f *finder) unusedBotKeys() {
	f.botKeys(func(u User, key Factor) {
		if last := max(key.Added, key.Used); !f.idle(u) && f.since(last, findUnused) {
			f.say(fmt.Sprintf("vaultpam admin bot key rm %s %d", called(u), key.Entry),
				fmt.Sprintf("a key of the bot %s was not used for %s", called(u), f.days(last)), key.Entry)
		}
	})
}
