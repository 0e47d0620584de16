package access

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// Rules is the version of the rules in this program. A ledger that activated a
// later one is not decided by it.
const Rules = 1

// A State is everything that the entries so far add up to. It is immutable:
// Apply returns another one, and the two share what did not change, so that a
// State may be read while its successors are made.
type State struct {
	next     store.Index  // index of the next entry
	time     store.Millis // of the last entry
	rules    uint64
	name     string
	userCA   ssh.PublicKey
	targetCA ssh.PublicKey
	resets   table[store.Index, store.Millis] // entries after which times may go back, with their own
	bases    table[store.Index, base]         // of serials, by the entry it begins at
	settings table[store.Setting, decided]

	users       table[store.UserID, User]
	handles     table[store.Handle, store.UserID] // of users whose handle is known
	identities  table[string, store.UserID]       // of users whose linked account is known
	invitations table[store.Hash, invitation]
	joins       table[store.Hash, invitation] // to enrol a bot's key
	signIns     table[store.Index, SignIn]
	tokens      table[store.Hash, store.Index] // of signIns
	groups      table[store.Index, Group]
	groupNames  table[store.GroupName, store.Index]
	members     table[memberKey, store.Index]      // the entry since which
	memberships table[store.UserID, []store.Index] // the same by user, oldest group first
	targets     table[store.Index, Target]
	names       table[store.TargetName, store.Index]
	formers     table[store.TargetName, former] // names that targets had
	grants      table[grantKey, []*Grant]       // oldest first
	grantKeys   table[store.Index, grantKey]
	requests    table[store.Index, Request]
	reviews     table[store.Index, Review]
	reviewed    table[reviewKey, Reviewed]      // of those that have not ended
	sessions    table[store.SessionID, Session] // those that have not ended
	refusals    table[refusal, store.Millis]    // of the last minute
	locks       table[lockKey, Lock]
	lockKeys    table[store.Index, lockKey] // by the lock's entry

	openReviews []store.Index // those that have not ended, oldest first

	pending PendingRecovery // of an administrator; its Entry is 0 where there is none
}

// base is what serials begin at from an entry on, and when that was.
type base struct {
	_    struct{} `cbor:",toarray"`
	Base uint64
	Time store.Millis
}

// decided is the value of a setting, and the entry that gave it.
type decided struct {
	_     struct{} `cbor:",toarray"`
	Value string
	Entry store.Index
}

// A User is a person, or a bot.
type User struct {
	ID     store.UserID
	Handle store.Handle // empty where it was erased
	// Bot is set for a machine identity. It has keys for factors, no role, and none
	// of what proves that somebody is there, so that it can never approve anything.
	Bot   bool
	Roles []store.Role
	// Factors are what the person proves their identity with, oldest first.
	Factors []Factor
	// Recovery are the person's recovery codes; its Entry is 0 where there are none.
	Recovery Recovery
	// Contact commits to the person's e-mail address, whose text is in the side
	// table; it is zero where there is none.
	Contact store.Commitment
	// SSO is the entry that links them to an account of the company's provider, or 0.
	SSO   store.Index
	Entry store.Index // that added them
	Added store.Millis
	Seen  store.Millis // when they last signed in; 0: never

	identity      store.Commitment // of that account
	commitment    store.Commitment // of the handle
	invitation    store.Hash       // the open invitation, or zero
	join          store.Hash       // a bot's open join token, or zero
	signIns       []store.Index    // open sign-in sessions, oldest first
	administrator store.Index      // the entry since which they hold that role
}

// Has reports whether the user holds one of the roles.
func (u User) Has(roles ...store.Role) bool {
	return slices.ContainsFunc(roles, func(r store.Role) bool { return slices.Contains(u.Roles, r) })
}

// Factor returns the user's factor of an entry.
func (u User) Factor(entry store.Index) (Factor, bool) {
	i := slices.IndexFunc(u.Factors, func(f Factor) bool { return f.Entry == entry })
	if i < 0 || entry == 0 {
		return Factor{}, false
	}
	return u.Factors[i], true
}

// TOTP returns the user's TOTP factor.
func (u User) TOTP() (Factor, bool) {
	i := slices.IndexFunc(u.Factors, func(f Factor) bool { return f.Kind == store.FactorTOTP })
	if i < 0 {
		return Factor{}, false
	}
	return u.Factors[i], true
}

// Passkeys returns the user's passkeys that prove something, oldest first.
func (u User) Passkeys() []Factor {
	var all []Factor
	for _, f := range u.Factors {
		if f.Kind == store.FactorPasskey && !f.Cloned {
			all = append(all, f)
		}
	}
	return all
}

// Enrolled reports whether the user has a factor that proves something.
func (u User) Enrolled() bool {
	return slices.ContainsFunc(u.Factors, func(f Factor) bool { return !f.Cloned })
}

// A Factor is what a person or a bot proves their identity with.
type Factor struct {
	Entry    store.Index
	Kind     store.FactorKind
	LastStep uint64           // the latest TOTP time step that was used
	Passkey  *store.Passkey   // with the counter that was shown last; nil for others
	Key      []byte           // a bot's public key in SSH wire format; nil for others
	Name     store.Commitment // of what its owner calls it, or zero
	Added    store.Millis
	Used     store.Millis // for a sign-in or a confirmation; 0: never
	Cloned   bool         // there is a copy, so it proves nothing
	CopyBy   store.Index  // the entry that says so, or 0
}

// A Recovery is a set of recovery codes, numbered from 1.
type Recovery struct {
	Entry store.Index
	Codes store.Hash // of the record in the side table
	Count uint64
	Used  uint64 // bit n-1 is of the code with the number n
}

// Left returns how many codes have not been used.
func (r Recovery) Left() int { return int(r.Count) - bits.OnesCount64(r.Used) }

// good reports whether there is a code with a number, and it was not used.
func (r Recovery) good(number uint64) bool {
	return 1 <= number && number <= r.Count && r.Used&(1<<(number-1)) == 0
}

// An invitation lets its holder enrol a factor.
type invitation struct {
	Entry   store.Index
	User    store.UserID
	Expires store.Millis
}

// A SignIn is an open sign-in session.
type SignIn struct {
	Entry   store.Index
	User    store.UserID
	Kind    store.FactorKind
	Factor  store.Index // which of its owner's
	Expires store.Millis
	Opened  store.Millis
	Used    store.Millis // when something was issued to it last
	Idle    store.Millis // after so long without that it is over
	// Confirmed is when its person last proved to be there, and Touched when they
	// did it with a passkey; 0: never. A recovery code proves it to nobody but the
	// sign-in itself.
	Confirmed store.Millis
	Touched   store.Millis
	Key       store.ClientKey
	Source    store.Commitment
	Machine   store.Commitment // or zero
	SSO       store.Index      // the link by which its person came, or 0
	SID       store.Hash       // of the provider's session, or zero

	token store.Hash
}

// Ends returns when the session is over if nothing is issued to it from now on.
func (x SignIn) Ends() store.Millis { return min(x.Expires, x.Used+x.Idle) }

func (x SignIn) over(now store.Millis) bool { return x.Ends() <= now }

// Fresh reports whether its person proved just now to be there.
func (x SignIn) Fresh(now store.Millis) bool { return x.Confirmed != 0 && now < x.Confirmed+freshLook }

// A Target is a registered host.
type Target struct {
	Entry    store.Index
	Name     store.TargetName
	Address  string
	HostKeys [][]byte
	Logins   []store.Login
	Egress   string
	Labels   store.TargetLabels
	Labelled store.Index // the entry that gave them, or 0
	// Certified is when the last direct certificate for it ends, or has ended.
	Certified store.Millis

	Errand store.SessionID // the server's last session on it, or zero
	Check  Check           // the last one that looked at it; its Entry is 0 where none has
}

// A Check is what a look at a target found. The report's text is in the side
// table.
type Check struct {
	Entry   store.Index
	Time    store.Millis
	Session store.SessionID
	Doors   uint64 // other ways in
	New     uint64 // of them, that the check before did not list
	Gone    uint64
	Unread  uint64
	Closed  bool
	Report  store.Commitment
	// Missed is when an errand that should have looked ended without a report
	// since, or 0.
	Missed store.Millis
}

// A Session is one that has not ended.
type Session struct {
	ID      store.SessionID
	Entry   store.Index
	User    store.UserID
	Target  store.Index
	Login   store.Login
	Grant   store.Index
	Started store.Millis
	Parent  store.Index  // the user certificate's entry
	Touched store.Millis // when its person had last touched a passkey at its start; 0: never
	Errand  store.Errand // of the server itself, which has no user, grant and parent
	// Certificates are the entries of those that it opens its target with.
	Certificates []store.Index
}

// refusal is what the repetitions of a refused session have in common.
type refusal struct {
	user   store.UserID
	target store.Index
	login  store.Login
	reason store.Refusal
}

// New returns the state before the ledger's birth.
func New() State {
	return State{
		resets:      ordered[store.Index, store.Millis](),
		bases:       ordered[store.Index, base](),
		settings:    ordered[store.Setting, decided](),
		users:       byID[store.UserID, User](),
		handles:     ordered[store.Handle, store.UserID](),
		identities:  ordered[string, store.UserID](),
		invitations: byHash[store.Hash, invitation](),
		joins:       byHash[store.Hash, invitation](),
		signIns:     ordered[store.Index, SignIn](),
		tokens:      byHash[store.Hash, store.Index](),
		groups:      ordered[store.Index, Group](),
		groupNames:  ordered[store.GroupName, store.Index](),
		members:     newTable[memberKey, store.Index](compareMemberKeys),
		memberships: byID[store.UserID, []store.Index](),
		targets:     ordered[store.Index, Target](),
		names:       ordered[store.TargetName, store.Index](),
		formers:     ordered[store.TargetName, former](),
		grants:      newTable[grantKey, []*Grant](compareGrantKeys),
		grantKeys:   ordered[store.Index, grantKey](),
		requests:    ordered[store.Index, Request](),
		reviews:     ordered[store.Index, Review](),
		reviewed:    newTable[reviewKey, Reviewed](compareReviewKeys),
		sessions:    byID[store.SessionID, Session](),
		refusals:    newTable[refusal, store.Millis](compareRefusals),
		locks:       newTable[lockKey, Lock](compareLockKeys),
		lockKeys:    ordered[store.Index, lockKey](),
	}
}

func compareRefusals(a, b refusal) int {
	return cmp.Or(
		slices.Compare(a.user[:], b.user[:]),
		cmp.Compare(a.target, b.target),
		cmp.Compare(a.login, b.login),
		cmp.Compare(a.reason, b.reason),
	)
}

// Next returns the index of the next entry, which is the number of entries.
func (s State) Next() store.Index { return s.next }

// Time returns the moment of the last entry.
func (s State) Time() store.Millis { return s.time }

// Resets yields the indexes of the entries after which times may go back.
func (s State) Resets() iter.Seq[store.Index] {
	return func(yield func(store.Index) bool) {
		for i := range s.resets.all() {
			if !yield(i) {
				return
			}
		}
	}
}

// Name returns the server's permanent name.
func (s State) Name() string { return s.name }

// UserCA returns the authority that the ledger's user certificates are of, nil
// before its birth.
func (s State) UserCA() ssh.PublicKey { return s.userCA }

// TargetCA returns the authority that the ledger's target certificates are of,
// nil before its birth.
func (s State) TargetCA() ssh.PublicKey { return s.targetCA }

// Setting returns the value of a setting.
func (s State) Setting(name store.Setting) string {
	if v, ok := s.settings.get(name); ok {
		return v.Value
	}
	return name.Default()
}

// User returns a user by ID, a person or a bot.
func (s State) User(id store.UserID) (User, bool) { return s.users.get(id) }

// UserByHandle returns a user by handle, a person or a bot.
func (s State) UserByHandle(h store.Handle) (User, bool) {
	id, ok := s.handles.get(h)
	if !ok {
		return User{}, false
	}
	return s.users.get(id)
}

// Users yields all people in the order of their handles, which leaves out those
// that were erased, and bots.
func (s State) Users() iter.Seq[User] {
	return func(yield func(User) bool) {
		for _, id := range s.handles.all() {
			if u, ok := s.users.get(id); ok && !u.Bot && !yield(u) {
				return
			}
		}
	}
}

// Invited returns the user whom an invitation is for, and when it expires.
func (s State) Invited(token store.Hash, now store.Millis) (User, store.Millis, bool) {
	inv, ok := s.invitations.get(token)
	if !ok || inv.Expires <= now {
		return User{}, 0, false
	}
	u, ok := s.users.get(inv.User)
	return u, inv.Expires, ok
}

// Target returns a target by the index of its entry.
func (s State) Target(entry store.Index) (Target, bool) { return s.targets.get(entry) }

// TargetByName returns a target by name.
func (s State) TargetByName(name store.TargetName) (Target, bool) {
	entry, ok := s.names.get(name)
	if !ok {
		return Target{}, false
	}
	return s.targets.get(entry)
}

// Targets yields all targets in the order of their names.
func (s State) Targets() iter.Seq[Target] {
	return func(yield func(Target) bool) {
		for _, entry := range s.names.all() {
			if t, ok := s.targets.get(entry); ok && !yield(t) {
				return
			}
		}
	}
}

// Grants yields all grants, those of one user together, and of these those of one
// target.
func (s State) Grants() iter.Seq[Grant] {
	return func(yield func(Grant) bool) {
		for _, list := range s.grants.all() {
			for _, g := range list {
				if !yield(*g) {
					return
				}
			}
		}
	}
}

// Sessions yields the sessions that have not ended.
func (s State) Sessions() iter.Seq[Session] {
	return func(yield func(Session) bool) {
		for _, x := range s.sessions.all() {
			if !yield(x) {
				return
			}
		}
	}
}

// Session returns a session that has not ended.
func (s State) Session(id store.SessionID) (Session, bool) { return s.sessions.get(id) }
