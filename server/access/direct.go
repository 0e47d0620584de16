package access

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

// DirectCertificateLife is how long a direct certificate is valid from its issue at
// the most. It ends earlier with what allows it.
const DirectCertificateLife = 5 * time.Minute

// IssueDirectCertificate certifies a key of the caller's for one login of one target,
// so that they may go past the relay. It takes what a session takes, and a grant for
// it. Nonce and Salt are random.
type IssueDirectCertificate struct {
	By     Caller
	Target store.TargetName
	Login  store.Login
	Key    ssh.PublicKey
	Source string // the IP address that the caller asks from
	Nonce  [32]byte
	Salt   [32]byte
}

func (c IssueDirectCertificate) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Caller(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	st, t, err := s.mayStart(u.ID, x.Entry, c.Target, c.Login, now)
	if err == nil {
		if r := st.directly(u, t.Name, c.Login); r != nil {
			err = r
		}
	}
	var refused *Refusal
	if errors.As(err, &refused) {
		return s.noteRefusal(StartSession{User: u.ID, Target: c.Target, Login: c.Login}, refused, now), refused
	} else if err != nil {
		return Decision{}, err
	}
	from, err := s.directSource(c.Source)
	if err != nil {
		return Decision{}, invalid(err)
	}
	unsigned, err := ca.Build(ca.Request{
		Kind:          ca.Target,
		Authority:     s.targetCA,
		Key:           c.Key,
		Serial:        s.serial(),
		KeyID:         ca.DirectKeyID(u.Handle, x.Entry),
		Principal:     ca.TargetPrincipal{Login: c.Login, Target: t.Name}.String(),
		ValidAfter:    now.Time().Add(-skew),
		ValidBefore:   s.directUntil(u, x, t, c.Login, now).Time(),
		SourceAddress: from,
		Extensions:    directExtensions(st.Purposes),
		Nonce:         c.Nonce,
	})
	if err != nil {
		return Decision{}, &Refusal{Kind: Invalid, Message: fmt.Sprintf("no certificate for %s@%s: %v", c.Login, t.Name, err)}
	}
	source := store.Opening{Owner: u.ID, Field: store.FieldSource, Salt: c.Salt, Text: c.Source}
	return Decision{
		Actor: store.Actor{User: u.ID},
		Events: []store.Event{&store.CertificateIssued{
			Kind: store.CertificateTarget, User: u.ID, TBS: unsigned.Hash(), Expires: seconds(unsigned.ValidBefore()),
			Rules: s.rules, SignIn: x.Entry, Target: t.Entry, Login: c.Login, Direct: true,
			Grant: st.direct().longest().Entry, Source: source.Commit(),
		}},
		Openings:    []store.Opening{source},
		Certificate: unsigned,
	}, nil
}

// direct is the standing by the grants alone that are for going past the relay.
func (st Standing) direct() Standing {
	return Standing{Grants: slices.DeleteFunc(slices.Clone(st.Grants), func(g Grant) bool {
		return !g.Purposes().Has(store.PurposeDirect)
	})}
}

// directly says why somebody who may log in may not do so past the relay, or nil.
//
// A certificate can't hold the host to less than every command, nor end a
// connection. So going past the relay gives nobody more than they have through it:
// who may not do everything there, or not for as long as they like, does not.
func (st Standing) directly(u User, name store.TargetName, login store.Login) *Refusal {
	const through = "go through the relay, which allows what your grants say"
	var missing store.Purposes
	for _, u := range store.DefaultPurposes() {
		if !(store.Purposes{u}).Within(st.Purposes) {
			missing = append(missing, u)
		}
	}
	allowed := len(st.direct().Grants) > 0
	switch {
	case allowed && !st.Purposes.Has(store.PurposeDirect):
		return refuse(store.RefusedDirect, through, "to log in past the relay as %s on %s is forbidden to %s by %s",
			login, name, u.Handle, grantList(slices.DeleteFunc(slices.Clone(st.Guardrails), func(g Grant) bool { return !g.For.Has(store.PurposeDirect) })))
	case !allowed:
		return refuse(store.RefusedDirect, "go through the relay, or ask an administrator for a grant that is for direct",
			"%s may log in as %s on %s, but not past the relay", u.Handle, login, name)
	case len(missing) > 0:
		return refuse(store.RefusedDirect, through,
			"nothing holds %s past the relay to less than everything as %s on %s, and some of it is not allowed: %s", u.Handle, login, name, missing)
	case lasts(st.Grants, 1) != 0:
		return refuse(store.RefusedDirect, through,
			"nothing ends a connection past the relay, and %s may stay as %s on %s for a time only", u.Handle, login, name)
	}
	return nil
}

// directExtensions are those that hold what the purposes hold: forwarding is one
// extension for all directions and destinations, and so it is given where every one
// is granted, or not at all.
func directExtensions(purposes store.Purposes) []string {
	everywhere := []string{"*:*", "unix:*"}
	all := []string{ca.PermitPTY}
	if purposes.Has(store.PurposeAgentForward) {
		all = append(all, ca.PermitAgentForwarding)
	}
	if (store.Purposes{
		{Purpose: store.PurposeLocalForward, Limits: everywhere}, {Purpose: store.PurposeRemoteForward, Limits: everywhere},
	}).Within(purposes) {
		all = append(all, ca.PermitPortForwarding)
	}
	slices.Sort(all) // as the format wants it (OpenSSH PROTOCOL.certkeys)
	return all
}

// directSource is where a direct certificate may be used from, by the setting; none
// is anywhere.
func (s State) directSource(seen string) ([]netip.Prefix, error) {
	addr, err := netip.ParseAddr(seen)
	if err != nil {
		return nil, fmt.Errorf("source %.64q: want an IP address", seen)
	}
	switch value := s.Setting(store.SettingDirectSource); value {
	case store.DirectSourceAny:
		return nil, nil
	case store.DirectSourceSeen:
		addr = addr.Unmap().WithZone("")
		return []netip.Prefix{netip.PrefixFrom(addr, addr.BitLen())}, nil
	default:
		return store.ParseDirectSource(value)
	}
}

// directUntil is when a direct certificate that is issued now ends: after its life,
// with the sign-in, or at the first moment at which what is known now no longer
// allows it.
func (s State) directUntil(u User, x SignIn, t Target, login store.Login, now store.Millis) store.Millis {
	end, touch := min(now+store.Millis(DirectCertificateLife/time.Millisecond), x.Expires), Touch{x.Touched, now}
	for at := s.Standing(u.ID, touch, t, login, now).Changes; at != 0 && at < end; {
		st := s.Standing(u.ID, touch, t, login, at)
		if st.directly(u, t.Name, login) != nil {
			return at
		}
		at = st.Changes
	}
	return end
}
