package access

import "fmt"

// checked goes through the targets that were looked at.
func (f *finder) checked(look func(Target)) {
	for t := range f.Targets() {
		if t.Check.Entry != 0 {
			look(t)
		}
	}
}

func lookAt(t Target) string { return fmt.Sprintf("vaultpam admin target check %s", t.Name) }

func closing(t Target) string {
	return fmt.Sprintf("vaultpam admin target close %s --emergency-key FILE", t.Name)
}

func (f *finder) openTargets() {
	f.checked(func(t Target) {
		if n := t.Check.Doors; n > 0 {
			f.say(closing(t), fmt.Sprintf("the check of %s saw %s into %s that VaultPAM does not decide about", second(t.Check.Time), counted(n, "other way"), t.Name), t.Check.Entry)
		}
	})
}

func (f *finder) changedTargets() {
	f.checked(func(t Target) {
		if n := t.Check.New; n > 0 {
			f.say(closing(t), fmt.Sprintf("the check of %s saw %s into %s that the check before had not seen", second(t.Check.Time), counted(n, "other way"), t.Name), t.Check.Entry)
		}
	})
}

func (f *finder) unseenTargets() {
	f.checked(func(t Target) {
		if n := t.Check.Unread; n > 0 {
			f.say(lookAt(t), fmt.Sprintf("the check of %s could not look at %s of %s", second(t.Check.Time), counted(n, "thing"), t.Name), t.Check.Entry)
		}
	})
}

func (f *finder) uncheckedTargets() {
	for t := range f.Targets() {
		if t.Check.Entry == 0 {
			f.say(lookAt(t), fmt.Sprintf("nobody ever looked which other ways into %s there are", t.Name), t.Entry)
		}
	}
}

func (f *finder) overdueChecks() {
	f.checked(func(t Target) {
		if f.since(t.Check.Time, findCheck) {
			f.say(lookAt(t), fmt.Sprintf("the last check of %s that succeeded was %s ago", t.Name, f.days(t.Check.Time)), t.Check.Entry)
		}
	})
}
