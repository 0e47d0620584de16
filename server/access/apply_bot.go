package access

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// errBot is of an entry that makes a bot what only people are, or the other way
// round.
var errBot = errors.New("of a bot what is a person's, or of a person what is a bot's")

func (a *applier) mustPerson(id store.UserID) (User, error) {
	u, err := a.mustUser(id)
	if err == nil && u.Bot {
		err = errBot
	}
	return u, err
}

func (a *applier) mustBot(id store.UserID) (User, error) {
	u, err := a.mustUser(id)
	if err == nil && !u.Bot {
		err = errBot
	}
	return u, err
}

func (a *applier) botAdded(e *store.BotAdded) error {
	return a.addUser(User{ID: e.User, Bot: true, commitment: e.Handle})
}

func (a *applier) joinCreated(e *store.JoinCreated) error {
	u, err := a.mustBot(e.User)
	if err != nil {
		return err
	}
	if _, taken := a.joins.get(e.Token); taken {
		return errors.New("the token is there already")
	}
	a.joins = a.joins.drop(u.join) // one at a time
	u.join = e.Token
	a.users = a.users.set(u.ID, u)
	a.joins = a.joins.set(e.Token, invitation{Entry: a.entry.Index, User: u.ID, Expires: e.Expires})
	return nil
}

// keyEnrolled gives a bot another key.
func (a *applier) keyEnrolled(e *store.FactorEnrolled) error {
	u, err := a.mustBot(e.User)
	if err != nil {
		return err
	}
	key, err := ssh.ParsePublicKey(e.Key)
	if err != nil || !bytes.Equal(key.Marshal(), e.Key) {
		return fmt.Errorf("the key: %w", errors.Join(err, errors.New("not in SSH wire format")))
	}
	if e.Join != 0 {
		j, ok := a.joins.get(u.join)
		if !ok || j.Entry != e.Join {
			return errors.New("no such join token is open")
		}
		a.joins, u.join = a.joins.drop(u.join), store.Hash{}
	}
	u.Factors = append(slices.Clip(u.Factors), Factor{
		Entry: a.entry.Index, Kind: e.Kind, Key: e.Key, Name: e.Name, Added: a.entry.Time,
	})
	a.users = a.users.set(u.ID, u)
	return nil
}

// keyRemoved ends what a bot signed in to with a key that was taken away.
func (a *applier) keyRemoved(u User, factor store.Index) {
	for _, entry := range u.signIns {
		if x, ok := a.signIns.get(entry); ok && u.Bot && x.Factor == factor {
			a.endSignIn(entry)
		}
	}
}
