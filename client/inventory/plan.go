package inventory

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// A Registered target is one that the server has already.
type Registered struct {
	Name     store.TargetName
	Address  string // HOST:PORT
	Logins   []store.Login
	HostKeys []ssh.PublicKey
}

// A Verdict is what becomes of a proposal.
type Verdict string

const (
	New     Verdict = "new"     // it can be registered as it is
	There   Verdict = "there"   // it is registered, and nothing is to be done
	Differs Verdict = "differs" // it is registered as something else, which stays
	Skipped Verdict = "skipped" // something is missing or wrong
)

// A Proposal is a target with what becomes of it, and why. Of a new one Why holds
// what whoever agrees to it should know. Its labels are for whoever writes them
// once it is registered.
type Proposal struct {
	Target
	Verdict Verdict
	Why     []string
	// WantsKey is set where nothing but a known host key is missing.
	WantsKey bool
}

// Plan says of each target what becomes of it, in their order. Only what has a
// name, an address, a login and a known key is new, so that nothing is trusted on
// first use, and two targets never share an address: a host's sshd answers to one
// name.
func Plan(targets []Target, have []Registered) []Proposal {
	p := planner{names: map[store.TargetName]Registered{}, addresses: map[string]store.TargetName{}}
	for _, r := range have {
		p.names[r.Name] = r
		p.addresses[strings.ToLower(r.Address)] = r.Name
	}
	var all []Proposal
	for _, t := range targets {
		one := Proposal{Target: t}
		one.Verdict, one.Why = p.judge(t)
		if one.Verdict == New && len(t.HostKeys) == 0 {
			one.Verdict, one.Why, one.WantsKey = Skipped, append(one.Why, "no host key of it is known"), true
		}
		all = append(all, one)
	}
	return all
}

type planner struct {
	names     map[store.TargetName]Registered
	addresses map[string]store.TargetName
}

func (p planner) judge(t Target) (Verdict, []string) {
	why := slices.Clone(t.Problems)
	skip := func(format string, args ...any) (Verdict, []string) {
		return Skipped, append(why, fmt.Sprintf(format, args...))
	}
	// A problem says what is wrong with each of these.
	if t.Elsewhere || t.Name == "" || t.Address == "" || len(t.Logins) == 0 {
		return Skipped, why
	}
	if r, ok := p.names[t.Name]; ok {
		if other := differences(t, r); len(other) > 0 {
			return Differs, append(other, why...)
		}
		return There, why
	}
	if name, ok := p.addresses[strings.ToLower(t.Address)]; ok {
		return skip("%s is the target %s already", t.Address, name)
	}
	p.addresses[strings.ToLower(t.Address)] = t.Name
	return New, why
}

// differences says where a registered target is not what the files say. It may
// have more logins and keys than they know.
func differences(t Target, r Registered) []string {
	var all []string
	if !strings.EqualFold(t.Address, r.Address) {
		all = append(all, fmt.Sprintf("it is registered at %.300s", oneLine(r.Address)))
	}
	for _, l := range t.Logins {
		if !slices.Contains(r.Logins, l) {
			all = append(all, fmt.Sprintf("the login %s is not registered", l))
		}
	}
	for _, key := range t.HostKeys {
		if !slices.ContainsFunc(r.HostKeys, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }) {
			all = append(all, fmt.Sprintf("the %s key %s is not pinned", key.Type(), ssh.FingerprintSHA256(key)))
		}
	}
	return all
}
