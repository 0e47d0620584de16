package access

import "github.com/vaultpam/vaultpam/store"

// SetContact says where a person gets notices. An administrator says it for
// anybody, everybody else for themselves. An empty Email takes the address away.
type SetContact struct {
	By     Caller
	Handle store.Handle // empty: of the caller
	Email  string
	Salt   [32]byte // random
}

func (c SetContact) decide(s State, now store.Millis) (Decision, error) {
	actor, u, err := c.whose(s, now)
	if err != nil {
		return Decision{}, err
	}
	if c.Email == "" {
		if u.Contact == (store.Commitment{}) {
			return Decision{}, &Refusal{Kind: Conflict, Message: "there is no e-mail address to take away"}
		}
		return Decision{Actor: actor, Events: []store.Event{&store.UserContact{User: u.ID}}}, nil
	}
	event, opening, err := contact(u.ID, c.Email, c.Salt)
	if err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{event}, Openings: []store.Opening{opening}}, nil
}

// whose returns who acts, and on whose address.
func (c SetContact) whose(s State, now store.Millis) (store.Actor, User, error) {
	if !c.By.Local {
		u, _, err := s.Person(c.By, now)
		if err != nil {
			return store.Actor{}, User{}, err
		}
		if c.Handle == "" || c.Handle == u.Handle {
			return store.Actor{User: u.ID}, u, nil
		}
	}
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return store.Actor{}, User{}, err
	}
	if c.Handle == "" {
		return store.Actor{}, User{}, &Refusal{Kind: Invalid, Message: "say whose address it is"}
	}
	u, err := s.personByHandle(c.Handle)
	if err != nil {
		return store.Actor{}, User{}, err
	}
	return actor, u, nil
}

// contact is the event that gives somebody an address, and its text.
func contact(user store.UserID, text string, salt [32]byte) (*store.UserContact, store.Opening, error) {
	email, err := store.ParseEmail(text)
	if err != nil {
		return nil, store.Opening{}, invalid(err)
	}
	opening := store.Opening{Owner: user, Field: store.FieldEmail, Salt: salt, Text: string(email)}
	return &store.UserContact{User: user, Email: opening.Commit()}, opening, nil
}

func (a *applier) userContact(e *store.UserContact) error {
	u, err := a.mustPerson(e.User)
	if err != nil {
		return err
	}
	u.Contact = e.Email
	a.users = a.users.set(u.ID, u)
	return nil
}
