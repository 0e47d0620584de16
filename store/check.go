package store

import (
	"errors"
	"fmt"
)

// A want is a condition and what it asks for, in words.
type want struct {
	ok   bool
	what string
}

func check(wants ...want) error {
	for _, w := range wants {
		if !w.ok {
			return fmt.Errorf("want %s", w.what)
		}
	}
	return nil
}

func checkRoles(roles []Role) error {
	if len(roles) == 0 {
		return errors.New("want a role")
	}
	for _, r := range roles {
		if !r.valid() {
			return &WordError{What: "role", Word: clip(string(r)), Want: words(Roles())}
		}
	}
	return nil
}

func checkLogins(logins []Login) error {
	if len(logins) == 0 {
		return errors.New("want a login")
	}
	for _, l := range logins {
		if _, err := ParseLogin(string(l)); err != nil {
			return err
		}
	}
	return nil
}
