package ca

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// A KeyID is what sshd and the relay write to their logs beside the serial. The
// server builds it from values that each have a grammar without ":", so no text
// of a user's choosing can imitate another field:
//
//	vaultpam:user:HANDLE:SIGNIN        SIGNIN is the decimal index of the sign-in's entry
//	vaultpam:bot:HANDLE:SIGNIN         the same of a bot
//	vaultpam:target:HANDLE:SESSIONID   HANDLE is - where the server opened the session for itself
//	vaultpam:direct:HANDLE:SIGNIN      a target certificate for a key of the user's own, a person's or a bot's
//	vaultpam:host:NAME                 NAME comes last and may be an IPv6 address
//	vaultpam:emergency:TARGET
//
// Only the fields of its kind are set.
type KeyID struct {
	Kind    Kind
	Bot     bool // of a user certificate: a machine's, and no person's
	Direct  bool // of a target certificate: past the relay, for no session
	Handle  store.Handle
	SignIn  store.Index
	Session store.SessionID
	Host    HostName
	Target  store.TargetName
}

const (
	keyIDPrefix = "vaultpam:"
	nobody      = "-" // no handle begins with it
	bot         = "bot"
	direct      = "direct"
)

// UserKeyID names the person and the sign-in that a user certificate stands on.
func UserKeyID(handle store.Handle, signIn store.Index) KeyID {
	return KeyID{Kind: User, Handle: handle, SignIn: signIn}
}

// BotKeyID names the bot and the sign-in that its user certificate stands on.
func BotKeyID(handle store.Handle, signIn store.Index) KeyID {
	return KeyID{Kind: User, Bot: true, Handle: handle, SignIn: signIn}
}

// TargetKeyID names the person and the session that a target certificate is for.
func TargetKeyID(handle store.Handle, session store.SessionID) KeyID {
	return KeyID{Kind: Target, Handle: handle, Session: session}
}

// DirectKeyID names the person or bot, and the sign-in, that a target certificate
// for a key of their own stands on.
func DirectKeyID(handle store.Handle, signIn store.Index) KeyID {
	return KeyID{Kind: Target, Direct: true, Handle: handle, SignIn: signIn}
}

// ErrandKeyID names a session that the server opened for itself.
func ErrandKeyID(session store.SessionID) KeyID { return KeyID{Kind: Target, Session: session} }

// HostKeyID names the host that a host certificate speaks for.
func HostKeyID(name HostName) KeyID { return KeyID{Kind: Host, Host: name} }

// EmergencyKeyID names the target that an emergency certificate opens.
func EmergencyKeyID(target store.TargetName) KeyID {
	return KeyID{Kind: Emergency, Target: target}
}

// String returns the text form. It is a key ID only if [ParseKeyID] accepts it,
// which Build checks.
func (id KeyID) String() string {
	head := keyIDPrefix + id.Kind.String() + ":"
	switch {
	case id.Bot:
		head = keyIDPrefix + bot + ":"
	case id.Direct:
		head = keyIDPrefix + direct + ":"
	}
	switch id.Kind {
	case User:
		return head + string(id.Handle) + ":" + strconv.FormatUint(uint64(id.SignIn), 10)
	case Target:
		if id.Direct {
			return head + string(id.Handle) + ":" + strconv.FormatUint(uint64(id.SignIn), 10)
		}
		if id.Handle == "" {
			return head + nobody + ":" + id.Session.String()
		}
		return head + string(id.Handle) + ":" + id.Session.String()
	case Host:
		return head + string(id.Host)
	case Emergency:
		return head + string(id.Target)
	}
	return head
}

// ParseKeyID parses the text form. Exactly one text names each KeyID.
func ParseKeyID(s string) (KeyID, error) {
	id, err := parseKeyID(s)
	if err != nil {
		return KeyID{}, fmt.Errorf("%w: %q: %w", ErrKeyID, clip(s), err)
	}
	return id, nil
}

func parseKeyID(s string) (KeyID, error) {
	var id KeyID
	rest, ok := strings.CutPrefix(s, keyIDPrefix)
	word, rest, found := strings.Cut(rest, ":")
	if !ok || !found {
		return KeyID{}, errors.New("does not begin with vaultpam: and a kind")
	}
	switch word {
	case bot:
		word, id.Bot = User.String(), true
	case direct:
		word, id.Direct = Target.String(), true
	}
	kind, err := ParseKind(word)
	if err != nil {
		return KeyID{}, err
	}
	id.Kind = kind
	switch kind {
	case Host:
		id.Host, err = ParseHostName(rest)
		return id, err
	case Emergency:
		id.Target, err = store.ParseTargetName(rest)
		return id, err
	}
	handle, rest, _ := strings.Cut(rest, ":")
	if kind != Target || id.Direct || handle != nobody {
		if id.Handle, err = store.ParseHandle(handle); err != nil {
			return id, err
		}
	}
	if kind == User || id.Direct {
		id.SignIn, err = parseSignIn(rest)
	} else {
		id.Session, err = store.ParseSessionID(rest)
	}
	return id, err
}

// parseSignIn refuses 0, which is the ledger's birth and nobody's sign-in.
func parseSignIn(s string) (store.Index, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || n >= uint64(store.EmergencySerial) || strconv.FormatUint(n, 10) != s {
		return 0, fmt.Errorf("sign-in %q: want the decimal index of an entry", clip(s))
	}
	return store.Index(n), nil
}
