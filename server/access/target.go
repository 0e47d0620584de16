package access

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// What one entry about a target or a grant may hold. Entries have a bound of
// their own, which these stay well below.
const (
	maxLogins   = 256
	maxHostKeys = 16
	maxAddress  = 300 // bytes
)

// AddTarget registers a host with the keys that an administrator looked at.
type AddTarget struct {
	By       Caller
	Name     string
	Address  string // HOST:PORT, held to its grammar by the caller
	HostKeys []ssh.PublicKey
	Logins   []string
	Egress   string // the relay's address as the host sees it
}

func (c AddTarget) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	e, err := c.event()
	if err != nil {
		return Decision{}, invalid(err)
	}
	if err := s.freeName(e.Name, 0, e.HostKeys, now); err != nil {
		return Decision{}, err
	}
	return Decision{Actor: actor, Events: []store.Event{e}}, nil
}

func (c AddTarget) event() (*store.TargetAdded, error) {
	name, err := newTargetName(c.Name)
	if err != nil {
		return nil, err
	}
	logins, err := parseLogins(c.Logins)
	if err != nil {
		return nil, err
	}
	if len(c.Address) > maxAddress || !utf8.ValidString(c.Address) {
		return nil, fmt.Errorf("want an address of at most %d bytes", maxAddress)
	}
	// What a certificate's source-address can't hold would be found at a login.
	egress, err := netip.ParseAddr(c.Egress)
	if err != nil || egress.Zone() != "" || egress.Is4In6() || egress.IsUnspecified() {
		return nil, fmt.Errorf("egress address %q: want an IP address as the target sees it", c.Egress)
	}
	if len(c.HostKeys) == 0 {
		return nil, errors.New("a target needs at least one pinned host key")
	}
	if len(c.HostKeys) > maxHostKeys {
		return nil, fmt.Errorf("want at most %d host keys", maxHostKeys)
	}
	e := &store.TargetAdded{Name: name, Address: c.Address, Logins: logins, Egress: c.Egress}
	for _, k := range c.HostKeys {
		if _, ok := k.(*ssh.Certificate); ok {
			return nil, errors.New("a host key to pin must be a plain key, not a certificate")
		}
		e.HostKeys = append(e.HostKeys, k.Marshal())
	}
	return e, nil
}

// RemoveTarget takes a host out, with every grant to it.
type RemoveTarget struct {
	By   Caller
	Name store.TargetName
}

func (c RemoveTarget) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	t, ok := s.TargetByName(c.Name)
	if !ok {
		return Decision{}, noTarget(c.Name)
	}
	return Decision{Actor: actor, Events: []store.Event{&store.TargetRemoved{Target: t.Entry}}}, nil
}

// ChangeSetting sets one of the settings that rules depend on. It takes somebody
// on the server's own machine.
type ChangeSetting struct {
	By      Caller
	Setting store.Setting
	Value   string
}

func (c ChangeSetting) decide(State, store.Millis) (Decision, error) {
	if !c.By.Local {
		return Decision{}, &Refusal{Kind: Forbidden, Message: "settings are changed on the server's own machine", Hint: "vaultpamd setting NAME VALUE"}
	}
	if err := c.Setting.Check(c.Value); err != nil {
		return Decision{}, invalid(err)
	}
	return Decision{
		Actor:  store.Actor{Local: true},
		Events: []store.Event{&store.SettingChanged{Setting: c.Setting, Value: c.Value}},
	}, nil
}

func parseLogins(texts []string) ([]store.Login, error) {
	if len(texts) == 0 {
		return nil, errors.New("want at least one login")
	}
	if len(texts) > maxLogins {
		return nil, fmt.Errorf("want at most %d logins", maxLogins)
	}
	var logins []store.Login
	for _, text := range texts {
		l, err := store.ParseLogin(text)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(logins, l) {
			logins = append(logins, l)
		}
	}
	slices.Sort(logins)
	return logins, nil
}

func noTarget(n store.TargetName) error {
	return &Refusal{Kind: NotFound, Message: fmt.Sprintf("there is no target %s", n), Hint: "vaultpam admin target ls"}
}

func join(logins []store.Login) string {
	text := ""
	for i, l := range logins {
		if i > 0 {
			text += ", "
		}
		text += string(l)
	}
	return text
}

// moment is how refusals name a time.
func moment(m store.Millis) string { return m.Time().Format("2006-01-02 15:04 MST") }
