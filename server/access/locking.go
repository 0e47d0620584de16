package access

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// A Lockable is what can be locked. Exactly one of its fields is set.
type Lockable struct {
	User    store.Handle
	Target  store.TargetName
	Session store.SessionID
	Serial  store.Serial
}

// find returns a Lockable as a Lock has it.
func (s State) find(what Lockable) (Lock, error) {
	named := 0
	for _, set := range []bool{what.User != "", what.Target != "", !what.Session.IsZero(), what.Serial != 0} {
		if set {
			named++
		}
	}
	switch {
	case named != 1:
		return Lock{}, &Refusal{Kind: Invalid, Message: "say what to lock: a user, a target, a session or a serial, and one of them"}
	case what.User != "":
		u, ok := s.UserByHandle(what.User)
		if !ok {
			return Lock{}, noUser(what.User)
		}
		return Lock{User: u.ID}, nil
	case what.Target != "":
		t, ok := s.TargetByName(what.Target)
		if !ok {
			return Lock{}, noTarget(what.Target)
		}
		return Lock{Target: t.Entry}, nil
	case !what.Session.IsZero():
		return Lock{Session: what.Session}, nil
	case what.Serial >= store.EmergencySerial:
		return Lock{}, &Refusal{
			Kind: Invalid, Message: fmt.Sprintf("serial %d is an emergency certificate's, which goes past VaultPAM and can't be stopped by it", what.Serial),
			Hint: "the emergency CA is trusted by the hosts: take it out of their TrustedUserCAKeys",
		}
	}
	return Lock{Serial: what.Serial}, nil
}

// AddLock stops something at once, until RemoveLock.
type AddLock struct {
	By   Caller
	What Lockable
	// Certificate is what the entry says of the certificate with the serial, which
	// the caller has read; nil where there is none.
	Certificate *store.CertificateIssued
	Why         string
	Salt        [32]byte // random
}

func (c AddLock) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	why, err := store.ParseWhy(c.Why)
	if err != nil {
		return Decision{}, invalid(err)
	}
	l, err := s.find(c.What)
	if err != nil {
		return Decision{}, err
	}
	if k, ok := s.key(l); ok {
		if old, locked := s.locks.get(k); locked {
			return Decision{}, &Refusal{
				Kind:    Conflict,
				Message: fmt.Sprintf("%s is locked already, since %s, by lock %d", s.lockName(old), second(old.Time), old.Entry),
				Hint:    "vaultpam lock ls",
			}
		}
	}
	if l.Of, err = c.mayLock(s, l); err != nil {
		return Decision{}, err
	}
	text := store.Opening{Owner: l.About(), Field: store.FieldLock, Salt: c.Salt, Text: why}
	return Decision{
		Actor: actor,
		Events: []store.Event{&store.LockAdded{
			User: l.User, Target: l.Target, Session: l.Session, Serial: l.Serial, Of: l.Of, Why: text.Commit(),
		}},
		Openings: []store.Opening{text},
	}, nil
}

// mayLock refuses locks that would stop nothing, and the one after which nobody
// could take any back. It returns whose session or certificate is locked.
func (c AddLock) mayLock(s State, l Lock) (store.UserID, error) {
	switch {
	case !l.User.IsZero():
		if u, _ := s.users.get(l.User); u.Has(store.RoleAdministrator) && s.lastAdministrator(u) {
			return store.UserID{}, &Refusal{
				Kind:    Conflict,
				Message: fmt.Sprintf("%s is the last administrator who can sign in, and nobody could unlock anything any more", u.Handle),
				Hint:    "first somebody else has to be one and enrol: vaultpam admin user add HANDLE --role administrator",
			}
		}
	case !l.Session.IsZero():
		x, ok := s.sessions.get(l.Session)
		if !ok {
			return store.UserID{}, &Refusal{
				Kind: NotFound, Message: fmt.Sprintf("session %s is not open", l.Session), Hint: "vaultpam audit ls --type session.started",
			}
		}
		return x.User, nil
	case l.Serial != 0:
		_, ok := s.CertificateIndex(l.Serial)
		if !ok || c.Certificate == nil {
			return store.UserID{}, noSerial(l.Serial)
		}
		if c.Certificate.Direct {
			return store.UserID{}, &Refusal{
				Kind:    Invalid,
				Message: fmt.Sprintf("the certificate with the serial %d goes past VaultPAM, which can't stop it; it ended or ends at %s", l.Serial, second(c.Certificate.Expires)),
				Hint:    "to keep its owner from another one: vaultpam lock user HANDLE",
			}
		}
		if _, open := s.sessions.get(c.Certificate.Session); !open && c.Certificate.Kind == store.CertificateTarget {
			return store.UserID{}, &Refusal{
				Kind:    NotFound,
				Message: fmt.Sprintf("the certificate with the serial %d was for session %s, which is over", l.Serial, c.Certificate.Session),
				Hint:    "lock the user instead: vaultpam lock user HANDLE",
			}
		}
		return c.Certificate.User, nil
	}
	return store.UserID{}, nil
}

func noSerial(n store.Serial) error {
	return &Refusal{Kind: NotFound, Message: fmt.Sprintf("no certificate has the serial %d", n), Hint: "vaultpam audit ls --type certificate.issued"}
}

// RemoveLock takes a lock away. Why may be empty.
type RemoveLock struct {
	By   Caller
	What Lockable
	Why  string
	Salt [32]byte // random
}

func (c RemoveLock) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	wanted, err := s.find(c.What)
	if err != nil {
		return Decision{}, err
	}
	k, ok := s.key(wanted)
	if !ok {
		return Decision{}, noSerial(wanted.Serial)
	}
	l, ok := s.locks.get(k)
	if !ok {
		return Decision{}, &Refusal{Kind: NotFound, Message: s.lockName(wanted) + " is not locked", Hint: "vaultpam lock ls"}
	}
	e := &store.LockRemoved{Lock: l.Entry, User: l.About(), Target: l.Target}
	d := Decision{Actor: actor, Events: []store.Event{e}}
	if c.Why == "" {
		return d, nil
	}
	why, err := store.ParseWhy(c.Why)
	if err != nil {
		return Decision{}, invalid(err)
	}
	text := store.Opening{Owner: l.About(), Field: store.FieldLock, Salt: c.Salt, Text: why}
	e.Why, d.Openings = text.Commit(), []store.Opening{text}
	return d, nil
}
