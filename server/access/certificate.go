package access

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

const (
	// UserCertificateLife is how long a user certificate is valid from its issue.
	UserCertificateLife = 5 * time.Minute
	// skew is how far before its issue a certificate is valid, for hosts whose
	// clocks are behind, and how long a target certificate is valid after it.
	skew = time.Minute
)

// IssueUserCertificate certifies a key of the caller's for the relay. Nonce is
// random.
type IssueUserCertificate struct {
	By    Caller
	Key   ssh.PublicKey
	Nonce [32]byte
}

func (c IssueUserCertificate) decide(s State, now store.Millis) (Decision, error) {
	u, x, err := s.Caller(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	expires := min(now+store.Millis(UserCertificateLife/time.Millisecond), x.Expires)
	unsigned, err := ca.Build(ca.Request{
		Kind:        ca.User,
		Authority:   s.userCA,
		Key:         c.Key,
		Serial:      s.serial(),
		KeyID:       userKeyID(u, x),
		Principal:   u.ID.String(),
		ValidAfter:  now.Time().Add(-skew),
		ValidBefore: expires.Time(),
		// What a person may do is for grants to say; their certificate permits all.
		Extensions: []string{
			ca.PermitX11Forwarding, ca.PermitAgentForwarding, ca.PermitPortForwarding, ca.PermitPTY, ca.PermitUserRC,
		},
		Nonce: c.Nonce,
	})
	if err != nil {
		return Decision{}, &Refusal{Kind: Invalid, Message: fmt.Sprintf("no certificate for this key: %v", err)}
	}
	return Decision{
		Actor: store.Actor{User: u.ID},
		Events: []store.Event{&store.CertificateIssued{
			Kind: store.CertificateUser, User: u.ID, TBS: unsigned.Hash(), Expires: seconds(unsigned.ValidBefore()),
			Rules: s.rules, SignIn: x.Entry,
		}},
		Certificate: unsigned,
	}, nil
}

func userKeyID(u User, x SignIn) ca.KeyID {
	if u.Bot {
		return ca.BotKeyID(u.Handle, x.Entry)
	}
	return ca.UserKeyID(u.Handle, x.Entry)
}

// IssueTargetCertificate certifies the key that the relay made for a session
// that has started. Extensions and ForceCommand are what the user's own
// certificate leaves of them. Nonce is random.
type IssueTargetCertificate struct {
	Session      store.SessionID
	Key          ssh.PublicKey
	Nonce        [32]byte
	Extensions   []string
	ForceCommand string
}

func (c IssueTargetCertificate) decide(s State, now store.Millis) (Decision, error) {
	x, ok := s.sessions.get(c.Session)
	if !ok {
		return Decision{}, &Refusal{Kind: NotFound, Message: "the session has not started, or has ended"}
	}
	if r := s.LockedSession(x.ID); r != nil {
		return Decision{}, r
	}
	if reason, ends := s.SessionEnds(x.ID, now); ends {
		return Decision{}, &Refusal{Kind: Forbidden, Message: fmt.Sprintf("the session has to end: %s", reason)}
	}
	u, _ := s.users.get(x.User)
	keyID := ca.TargetKeyID(u.Handle, x.ID)
	if x.Errand != "" {
		keyID = ca.ErrandKeyID(x.ID)
	}
	t, _ := s.targets.get(x.Target)
	egress, err := netip.ParseAddr(t.Egress)
	if err != nil {
		return Decision{}, invalid(fmt.Errorf("egress address of %s: %w", t.Name, err))
	}
	purposes, _ := s.SessionStanding(x.ID, now) // none for an errand, which needs no extension
	unsigned, err := ca.Build(ca.Request{
		Kind:          ca.Target,
		Authority:     s.targetCA,
		Key:           c.Key,
		Serial:        s.serial(),
		KeyID:         keyID,
		Principal:     ca.TargetPrincipal{Login: x.Login, Target: t.Name}.String(),
		ValidAfter:    now.Time().Add(-skew),
		ValidBefore:   now.Time().Add(skew),
		SourceAddress: []netip.Prefix{netip.PrefixFrom(egress, egress.BitLen())},
		ForceCommand:  c.ForceCommand,
		Extensions:    permitted(c.Extensions, purposes),
		Nonce:         c.Nonce,
	})
	if err != nil {
		return Decision{}, &Refusal{Kind: Invalid, Message: fmt.Sprintf("no certificate for %s@%s: %v", x.Login, t.Name, err)}
	}
	return Decision{
		Events: []store.Event{&store.CertificateIssued{
			Kind: store.CertificateTarget, User: u.ID, TBS: unsigned.Hash(), Expires: seconds(unsigned.ValidBefore()),
			Rules: s.rules, Target: t.Entry, Login: x.Login, Session: x.ID, Parent: x.Parent,
		}},
		Certificate: unsigned,
	}, nil
}

// permitted is what the session's purposes allow of the extensions that the user's
// own certificate leaves: a terminal always, the rest where a grant is for it.
func permitted(left []string, purposes store.Purposes) []string {
	wanted := map[string]bool{
		ca.PermitAgentForwarding: purposes.Has(store.PurposeAgentForward),
		ca.PermitPortForwarding:  purposes.Has(store.PurposeLocalForward) || purposes.Has(store.PurposeRemoteForward),
		ca.PermitPTY:             true,
	}
	var all []string
	for _, e := range left {
		if wanted[e] {
			all = append(all, e)
		}
	}
	slices.Sort(all) // as the format wants it (OpenSSH PROTOCOL.certkeys)
	return slices.Compact(all)
}

// serial is the serial number of a certificate whose entry comes next.
func (s State) serial() store.Serial { return s.SerialOf(s.next) }

// SerialOf returns the serial of the certificate whose entry has this index: the
// base that was in force there plus the index.
func (s State) SerialOf(index store.Index) store.Serial {
	base := uint64(0)
	for from, b := range s.bases.all() {
		if from > index {
			break
		}
		base = b.Base
	}
	return store.Serial(base + uint64(index))
}

// base is the serial base that is in force.
func (s State) base() uint64 {
	return uint64(s.SerialOf(s.next)) - uint64(s.next)
}

// CertificateIndex returns the index of the entry of a certificate with this
// serial, and false for a serial that this ledger never gave out.
func (s State) CertificateIndex(serial store.Serial) (store.Index, bool) {
	from, base, to := store.Index(0), uint64(0), s.next
	for next, b := range s.bases.all() {
		if uint64(serial) < b.Base+uint64(next) {
			to = next
			break
		}
		from, base = next, b.Base
	}
	if uint64(serial) < base {
		return 0, false
	}
	i := store.Index(uint64(serial) - base)
	return i, i != 0 && from <= i && i < to
}

func seconds(t time.Time) store.Millis { return store.Millis(t.Unix() * 1000) }
