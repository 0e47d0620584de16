package access

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// FoldVersion changes whenever Apply or the form of a snapshot does; a snapshot
// of another version is not read but made anew from the entries.
const FoldVersion = 12

// A snapshot is a State as it is stored: without texts, so that it holds nothing
// about a person that an entry does not.
type snapshot struct {
	_           struct{} `cbor:",toarray"`
	Next        store.Index
	Time        store.Millis
	Rules       uint64
	Name        string
	UserCA      []byte
	TargetCA    []byte
	Resets      []pair[store.Index, store.Millis]
	Bases       []pair[store.Index, base]
	Settings    []pair[store.Setting, decided]
	Users       []snapUser
	Invitations []pair[store.Hash, invitation]
	Joins       []pair[store.Hash, invitation]
	SignIns     []snapSignIn
	Groups      []Group
	Members     []snapMember
	Targets     []Target
	Grants      []Grant
	Sessions    []Session
	Refusals    []snapRefusal
	Pending     PendingRecovery
	Locks       []Lock
	Requests    []Request
	Reviews     []Review
	Reviewed    []Reviewed
	Formers     []former
}

type pair[K, V any] struct {
	_ struct{} `cbor:",toarray"`
	K K
	V V
}

type snapUser struct {
	_             struct{} `cbor:",toarray"`
	ID            store.UserID
	Bot           bool
	Roles         []store.Role
	Factors       []Factor
	Recovery      Recovery
	Contact       store.Commitment
	SSO           store.Index
	Entry         store.Index
	Added         store.Millis
	Seen          store.Millis
	Identity      store.Commitment
	Commitment    store.Commitment
	Invitation    store.Hash
	Join          store.Hash
	SignIns       []store.Index
	Administrator store.Index
}

type snapSignIn struct {
	_     struct{} `cbor:",toarray"`
	X     SignIn
	Token store.Hash
}

type snapMember struct {
	_     struct{} `cbor:",toarray"`
	Group store.Index
	User  store.UserID
	Since store.Index
}

type snapRefusal struct {
	_      struct{} `cbor:",toarray"`
	User   store.UserID
	Target store.Index
	Login  store.Login
	Reason store.Refusal
	At     store.Millis
}

// Snapshot encodes the state in deterministic CBOR: equal states give equal
// bytes.
func (s State) Snapshot() ([]byte, error) {
	x := snapshot{Next: s.next, Time: s.time, Rules: s.rules, Name: s.name, Pending: s.pending}
	if s.userCA != nil {
		x.UserCA, x.TargetCA = s.userCA.Marshal(), s.targetCA.Marshal()
	}
	x.Resets, x.Bases, x.Settings = pairs(s.resets), pairs(s.bases), pairs(s.settings)
	for _, u := range s.users.all() {
		x.Users = append(x.Users, snapUser{
			ID: u.ID, Bot: u.Bot, Roles: u.Roles, Factors: u.Factors, Recovery: u.Recovery, Contact: u.Contact, SSO: u.SSO,
			Entry: u.Entry, Added: u.Added, Seen: u.Seen, Identity: u.identity,
			Commitment: u.commitment, Invitation: u.invitation, Join: u.join, SignIns: u.signIns, Administrator: u.administrator,
		})
	}
	x.Invitations, x.Joins = pairs(s.invitations), pairs(s.joins)
	for _, v := range s.signIns.all() {
		x.SignIns = append(x.SignIns, snapSignIn{X: v, Token: v.token})
	}
	for _, v := range s.groups.all() {
		x.Groups = append(x.Groups, v)
	}
	for k, since := range s.members.all() {
		x.Members = append(x.Members, snapMember{Group: k.group, User: k.user, Since: since})
	}
	for _, v := range s.targets.all() {
		x.Targets = append(x.Targets, v)
	}
	for _, f := range s.formers.all() {
		x.Formers = append(x.Formers, f)
	}
	for v := range s.Grants() {
		x.Grants = append(x.Grants, v)
	}
	for _, v := range s.sessions.all() {
		x.Sessions = append(x.Sessions, v)
	}
	for k, at := range s.refusals.all() {
		x.Refusals = append(x.Refusals, snapRefusal{User: k.user, Target: k.target, Login: k.login, Reason: k.reason, At: at})
	}
	for l := range s.Locks() {
		x.Locks = append(x.Locks, l)
	}
	for _, v := range s.requests.all() {
		x.Requests = append(x.Requests, v)
	}
	for _, v := range s.reviews.all() {
		x.Reviews = append(x.Reviews, v)
	}
	for _, v := range s.reviewed.all() {
		x.Reviewed = append(x.Reviewed, v)
	}
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("encoding a snapshot: %w", err)
	}
	data, err := enc.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("encoding a snapshot: %w", err)
	}
	return data, nil
}

// OpenSnapshot decodes what Snapshot encoded, and puts the texts back in. Bytes
// that are not exactly what Snapshot would return are refused.
func OpenSnapshot(data []byte, texts Texts) (State, error) {
	dec, err := cbor.DecOptions{MaxArrayElements: 1 << 30, DupMapKey: cbor.DupMapKeyEnforcedAPF}.DecMode()
	if err != nil {
		return State{}, fmt.Errorf("opening a snapshot: %w", err)
	}
	var x snapshot
	if err := dec.Unmarshal(data, &x); err != nil {
		return State{}, fmt.Errorf("opening a snapshot: %w", err)
	}
	s := New()
	s.next, s.time, s.rules, s.name = x.Next, x.Time, x.Rules, x.Name
	s.pending = x.Pending
	if s.userCA, err = ssh.ParsePublicKey(x.UserCA); err != nil {
		return State{}, fmt.Errorf("opening a snapshot: user CA: %w", err)
	}
	if s.targetCA, err = ssh.ParsePublicKey(x.TargetCA); err != nil {
		return State{}, fmt.Errorf("opening a snapshot: target CA: %w", err)
	}
	x.fill(&s, texts)
	if again, err := s.Snapshot(); err != nil || !bytes.Equal(again, data) {
		return State{}, errors.New("opening a snapshot: not in the one encoding of its state")
	}
	return s, nil
}

func (x *snapshot) fill(s *State, texts Texts) {
	for _, p := range x.Resets {
		s.resets = s.resets.set(p.K, p.V)
	}
	for _, p := range x.Bases {
		s.bases = s.bases.set(p.K, p.V)
	}
	for _, p := range x.Settings {
		s.settings = s.settings.set(p.K, p.V)
	}
	for _, v := range x.Users {
		u := User{
			ID: v.ID, Bot: v.Bot, Roles: v.Roles, Factors: v.Factors, Recovery: v.Recovery, Contact: v.Contact, SSO: v.SSO,
			Entry: v.Entry, Added: v.Added, Seen: v.Seen, identity: v.Identity,
			commitment: v.Commitment, invitation: v.Invitation, join: v.Join, signIns: v.SignIns, administrator: v.Administrator,
		}
		if text, ok := texts(v.Commitment); ok {
			u.Handle = store.Handle(text)
			s.handles = s.handles.set(u.Handle, u.ID)
		}
		if text, ok := texts(v.Identity); ok && u.SSO != 0 {
			s.identities = s.identities.set(text, u.ID)
		}
		s.users = s.users.set(u.ID, u)
	}
	for _, p := range x.Invitations {
		s.invitations = s.invitations.set(p.K, p.V)
	}
	for _, p := range x.Joins {
		s.joins = s.joins.set(p.K, p.V)
	}
	for _, v := range x.SignIns {
		v.X.token = v.Token
		s.signIns = s.signIns.set(v.X.Entry, v.X)
		s.tokens = s.tokens.set(v.Token, v.X.Entry)
	}
	for _, g := range x.Groups {
		s.groups = s.groups.set(g.Entry, g)
		s.groupNames = s.groupNames.set(g.Name, g.Entry)
	}
	for _, m := range x.Members {
		s.members = s.members.set(memberKey{m.Group, m.User}, m.Since)
		s.joinGroup(m.User, m.Group)
	}
	for _, t := range x.Targets {
		s.targets = s.targets.set(t.Entry, t)
		s.names = s.names.set(t.Name, t.Entry)
	}
	for _, f := range x.Formers {
		s.formers = s.formers.set(f.Name, f)
	}
	s.grants = filled(compareGrantKeys, x.grantLists)
	s.grantKeys = filled(cmp.Compare[store.Index], func(yield func(store.Index, grantKey) bool) {
		for _, g := range x.Grants {
			if !yield(g.Entry, g.key()) {
				return
			}
		}
	})
	for _, r := range x.Requests {
		s.requests = s.requests.set(r.Entry, r)
	}
	for _, r := range x.Reviews {
		s.reviews = s.reviews.set(r.Entry, r)
		if r.Ended == 0 {
			s.openReviews = append(s.openReviews, r.Entry)
		}
	}
	for _, v := range x.Reviewed {
		s.reviewed = s.reviewed.set(reviewKey{v.Review, v.Grant}, v)
	}
	for _, v := range x.Sessions {
		s.sessions = s.sessions.set(v.ID, v)
	}
	for _, l := range x.Locks {
		k, _ := s.key(l) // of the serial of no certificate the bytes are another snapshot's
		s.locks, s.lockKeys = s.locks.set(k, l), s.lockKeys.set(l.Entry, k)
	}
	for _, r := range x.Refusals {
		s.refusals = s.refusals.set(refusal{r.User, r.Target, r.Login, r.Reason}, r.At)
	}
}

// grantLists yields the lists of grants. Of bytes that are no snapshot, where grants
// are not in their order, some are missing, so that they are found out.
func (x *snapshot) grantLists(yield func(grantKey, []*Grant) bool) {
	for first := 0; first < len(x.Grants); {
		k, next := x.Grants[first].key(), first
		var list []*Grant
		for ; next < len(x.Grants) && x.Grants[next].key() == k; next++ {
			if g := &x.Grants[next]; len(list) == 0 || list[len(list)-1].Entry < g.Entry {
				list = append(list, g)
			}
		}
		if !yield(k, list) {
			return
		}
		first = next
	}
}

func pairs[K, V any](t table[K, V]) []pair[K, V] {
	var ps []pair[K, V]
	for k, v := range t.all() {
		ps = append(ps, pair[K, V]{K: k, V: v})
	}
	return ps
}
