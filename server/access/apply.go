package access

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// ErrApply is returned for an entry that does not follow from the state: the
// ledger contradicts itself, and nothing may be decided on it.
var ErrApply = errors.New("entry does not follow from those before it")

// Texts returns what a commitment stands for, where that is still known.
type Texts func(store.Commitment) (string, bool)

// Apply returns the state after an entry. Handles come from texts: they are not
// in entries, and a state with and without them differs in nothing else.
//
// It returns ErrApply for an entry that is out of order or refers to what is
// not there. It never skips one.
func Apply(s State, e *store.Entry, texts Texts) (State, error) {
	if e.Index != s.next || e.Time < s.time {
		return s, fmt.Errorf("%w: entry %d at %d, after %d entries and time %d", ErrApply, e.Index, e.Time, s.next, s.time)
	}
	if (e.Index == 0) != (e.Event.EventType() == store.TypeLedgerCreated) {
		return s, fmt.Errorf("%w: entry %d is %s", ErrApply, e.Index, e.Event.EventType())
	}
	a := applier{State: s, entry: e, texts: texts}
	a.next, a.time = e.Index+1, e.Onward()
	if err := a.apply(); err != nil {
		return s, fmt.Errorf("%w: entry %d, %s: %w", ErrApply, e.Index, e.Event.EventType(), err)
	}
	return a.State, nil
}

// An applier is the state while one entry is folded into it.
type applier struct {
	State
	entry *store.Entry
	texts Texts
}

func (a *applier) apply() error {
	switch e := a.entry.Event.(type) {
	case *store.LedgerCreated:
		return a.ledgerCreated(e)
	case *store.RulesActivated:
		a.rules = e.Rules
	case *store.LedgerRestored:
		return a.ledgerRestored(e)
	case *store.ClockAccepted:
		return a.clockAccepted(e)
	case *store.SettingChanged:
		a.settings = a.settings.set(e.Setting, decided{Value: e.Value, Entry: a.entry.Index})
	case *store.UserAdded:
		return a.userAdded(e)
	case *store.UserRemoved:
		return a.userRemoved(e)
	case *store.UserErased:
		if _, ok := a.users.get(e.User); ok {
			return errors.New("the user was not removed")
		}
	case *store.BotAdded:
		return a.botAdded(e)
	case *store.JoinCreated:
		return a.joinCreated(e)
	case *store.InvitationCreated:
		return a.invitationCreated(e)
	case *store.FactorEnrolled:
		return a.factorEnrolled(e)
	case *store.FactorNamed:
		return a.changeFactor(e.User, e.Factor, func(f *Factor) { f.Name = e.Name })
	case *store.FactorRemoved:
		return a.factorRemoved(e)
	case *store.FactorCloned:
		return a.changeFactor(e.User, e.Factor, func(f *Factor) { f.Cloned, f.CopyBy = true, a.entry.Index })
	case *store.SignInSucceeded:
		return a.signInSucceeded(e)
	case *store.SignInConfirmed:
		return a.signInConfirmed(e)
	case *store.SignInFailed, *store.SignInStopped:
	case *store.RecoveryCreated:
		return a.recoveryCreated(e)
	case *store.UserContact:
		return a.userContact(e)
	case *store.RecoveryBegun:
		return a.recoveryBegun(e)
	case *store.RecoveryStopped:
		return a.recoveryOver(e.User, e.Begun)
	case *store.RecoveryFinished:
		return a.recoveryFinished(e)
	case *store.SignInEnded:
		return a.signInEnded(e)
	case *store.SSOLinked:
		return a.ssoLinked(e)
	case *store.GroupAdded:
		return a.groupAdded(e)
	case *store.GroupRenamed:
		return a.groupRenamed(e)
	case *store.GroupRemoved:
		return a.groupRemoved(e)
	case *store.MemberAdded:
		return a.memberAdded(e)
	case *store.MemberRemoved:
		return a.memberRemoved(e)
	case *store.TargetAdded:
		return a.targetAdded(e)
	case *store.TargetRemoved:
		return a.targetRemoved(e)
	case *store.TargetRenamed:
		return a.targetRenamed(e)
	case *store.TargetLabelled:
		return a.targetLabelled(e)
	case *store.TargetChecked:
		return a.targetChecked(e)
	case *store.TargetClosed:
		return a.mustHaveLooked(e.Target, e.Session)
	case *store.TargetReopened:
		return a.mustHaveLooked(e.Target, e.Session)
	case *store.GrantAdded:
		return a.grantAdded(e)
	case *store.GrantRemoved:
		return a.grantRemoved(e)
	case *store.LockAdded:
		return a.lockAdded(e)
	case *store.LockRemoved:
		return a.lockRemoved(e)
	case *store.RequestMade:
		return a.requestMade(e)
	case *store.RequestApproved:
		return a.requestApproved(e)
	case *store.RequestDenied:
		return a.requestEnded(e.Request, e.User, e.Target, RequestDenied)
	case *store.RequestWithdrawn:
		return a.requestEnded(e.Request, e.User, e.Target, RequestWithdrawn)
	case *store.ChangeProposed:
		return a.changeProposed(e)
	case *store.ReviewStarted:
		return a.reviewStarted(e)
	case *store.ReviewAnswered:
		return a.reviewAnswered(e)
	case *store.ReviewReminded:
		return a.reviewReminded(e)
	case *store.ReviewEnded:
		return a.reviewEnded(e)
	case *store.CertificateIssued:
		a.certificateIssued(e)
	case *store.SessionStarted:
		return a.sessionStarted(e)
	case *store.SessionRefused:
		a.sessionRefused(e)
	case *store.SessionEnded:
		return a.sessionEnded(e)
	default:
		return store.ErrUnknownEvent
	}
	return nil
}

func (a *applier) ledgerCreated(e *store.LedgerCreated) error {
	var err error
	if a.userCA, err = ssh.ParsePublicKey(e.UserCA); err != nil {
		return fmt.Errorf("user CA: %w", err)
	}
	if a.targetCA, err = ssh.ParsePublicKey(e.TargetCA); err != nil {
		return fmt.Errorf("target CA: %w", err)
	}
	a.name, a.rules = e.Name, e.Rules
	return nil
}

func (a *applier) ledgerRestored(e *store.LedgerRestored) error {
	if e.Base <= a.base() {
		return errors.New("the base of serials was not raised")
	}
	a.bases = a.bases.set(a.entry.Index, base{Base: e.Base, Time: a.entry.Time})
	return nil
}

func (a *applier) clockAccepted(e *store.ClockAccepted) error {
	if e.Time > a.entry.Time {
		return errors.New("the time that was accepted is after the entry's own")
	}
	a.resets = a.resets.set(a.entry.Index, e.Time)
	return nil
}

func (a *applier) userAdded(e *store.UserAdded) error {
	u := User{ID: e.User, Roles: e.Roles, commitment: e.Handle}
	if u.Has(store.RoleAdministrator) {
		u.administrator = a.entry.Index
	}
	return a.addUser(u)
}

// addUser adds a person or a bot.
func (a *applier) addUser(u User) error {
	if _, ok := a.users.get(u.ID); ok {
		return errors.New("the user is there already")
	}
	if text, ok := a.texts(u.commitment); ok {
		u.Handle = store.Handle(text)
		a.handles = a.handles.set(u.Handle, u.ID)
	}
	u.Entry, u.Added = a.entry.Index, a.entry.Time
	a.users = a.users.set(u.ID, u)
	return nil
}

func (a *applier) userRemoved(e *store.UserRemoved) error {
	u, err := a.mustUser(e.User)
	if err != nil {
		return err
	}
	for _, entry := range u.signIns {
		a.endSignIn(entry)
	}
	a.invitations, a.joins = a.invitations.drop(u.invitation), a.joins.drop(u.join)
	for g := range a.GrantsOf(u.ID) {
		if g.User == u.ID {
			a.dropGrant(g)
		}
	}
	if a.pending.User == u.ID {
		a.pending = PendingRecovery{}
	}
	a.leaveGroups(u.ID)
	a.dropLock(lockKey{user: u.ID})
	a.forgetRequests(u.ID)
	a.forgetIdentity(u)
	a.handles = a.handles.drop(u.Handle)
	a.users = a.users.drop(u.ID)
	return nil
}

func (a *applier) invitationCreated(e *store.InvitationCreated) error {
	u, err := a.mustPerson(e.User)
	if err != nil {
		return err
	}
	a.invitations = a.invitations.drop(u.invitation) // one at a time
	u.invitation = e.Token
	a.users = a.users.set(u.ID, u)
	a.invitations = a.invitations.set(e.Token, invitation{Entry: a.entry.Index, User: u.ID, Expires: e.Expires})
	return nil
}

func (a *applier) factorEnrolled(e *store.FactorEnrolled) error {
	if e.Kind == store.FactorKey {
		return a.keyEnrolled(e)
	}
	u, err := a.mustPerson(e.User)
	if err != nil {
		return err
	}
	if e.Invitation != 0 {
		// Who enrols anew has lost their factors, or somebody else has them: whatever
		// was signed in with them is over, and so are the codes that went with them.
		for _, entry := range u.signIns {
			a.endSignIn(entry)
		}
		a.invitations = a.invitations.drop(u.invitation)
		u.signIns, u.invitation, u.Factors, u.Recovery = nil, store.Hash{}, nil, Recovery{}
	}
	f := Factor{
		Entry: a.entry.Index, Kind: e.Kind, LastStep: e.Step, Passkey: e.Passkey, Name: e.Name, Added: a.entry.Time,
	}
	u.Factors = slices.DeleteFunc(slices.Clone(u.Factors), func(o Factor) bool {
		return e.Kind == store.FactorTOTP && o.Kind == store.FactorTOTP // there is one secret
	})
	u.Factors = append(u.Factors, f)
	a.users = a.users.set(u.ID, u)
	return nil
}

// changeFactor changes one of a user's factors, which others may still be reading.
func (a *applier) changeFactor(user store.UserID, entry store.Index, change func(*Factor)) error {
	u, err := a.mustUser(user)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(u.Factors, func(f Factor) bool { return f.Entry == entry })
	if i < 0 {
		return errors.New("no such factor")
	}
	u.Factors = slices.Clone(u.Factors)
	change(&u.Factors[i])
	a.users = a.users.set(u.ID, u)
	return nil
}

func (a *applier) factorRemoved(e *store.FactorRemoved) error {
	u, err := a.mustUser(e.User)
	if err != nil {
		return err
	}
	if _, ok := u.Factor(e.Factor); !ok {
		return errors.New("no such factor")
	}
	a.keyRemoved(u, e.Factor)
	u, _ = a.users.get(e.User)
	u.Factors = slices.DeleteFunc(slices.Clone(u.Factors), func(f Factor) bool { return f.Entry == e.Factor })
	a.users = a.users.set(u.ID, u)
	return nil
}

// used takes in that a factor proved something.
func (a *applier) used(user store.UserID, entry store.Index, step, counter uint64) error {
	return a.changeFactor(user, entry, func(f *Factor) {
		f.LastStep, f.Used = max(f.LastStep, step), a.entry.Time
		if f.Passkey != nil {
			p := *f.Passkey
			p.Counter = counter
			f.Passkey = &p
		}
	})
}

func (a *applier) signInSucceeded(e *store.SignInSucceeded) error {
	u, err := a.mustUser(e.User)
	if err != nil {
		return err
	}
	for _, entry := range u.signIns {
		if x, ok := a.signIns.get(entry); ok && x.over(a.entry.Time) {
			a.endSignIn(entry)
		}
	}
	if u.Bot != (e.Kind == store.FactorKey) {
		return errBot
	}
	now := a.entry.Time
	x := SignIn{
		Entry: a.entry.Index, User: u.ID, Kind: e.Kind, Factor: e.Factor, Expires: e.Expires, Opened: now, Used: now,
		Idle: a.duration(store.SettingSignInIdle), Key: e.Key, Source: e.Source, Machine: e.Machine,
		SSO: e.SSO, SID: e.SID, token: e.Token,
	}
	if e.SSO != 0 && e.SSO != u.SSO {
		return errors.New("the user came by another link")
	}
	switch e.Kind {
	case store.FactorSSO: // proves to be there to nobody but the sign-in itself
	case store.FactorRecovery:
		err = a.recoveryUsed(e)
	case store.FactorKey: // proves that a program has a key, and nobody to be there
		x.Idle = e.Expires - now
		err = a.used(e.User, e.Factor, 0, 0)
	case store.FactorPasskey:
		x.Touched = now
		fallthrough
	default:
		x.Confirmed = now
		err = a.used(e.User, e.Factor, e.Step, e.Counter)
	}
	if err != nil {
		return err
	}
	u, _ = a.users.get(e.User)
	u.signIns, u.Seen = append(slices.Clip(u.signIns), a.entry.Index), now
	a.users = a.users.set(u.ID, u)
	a.signIns = a.signIns.set(x.Entry, x)
	a.tokens = a.tokens.set(e.Token, x.Entry)
	return nil
}

func (a *applier) recoveryUsed(e *store.SignInSucceeded) error {
	u, _ := a.users.get(e.User)
	if e.Factor != u.Recovery.Entry || !u.Recovery.good(e.Code) {
		return errors.New("there is no such recovery code, or it was used")
	}
	u.Recovery.Used |= 1 << (e.Code - 1)
	a.users = a.users.set(u.ID, u)
	return nil
}

func (a *applier) signInConfirmed(e *store.SignInConfirmed) error {
	x, ok := a.signIns.get(e.SignIn)
	if !ok || x.User != e.User {
		return errors.New("no such sign-in session is open")
	}
	if _, err := a.mustPerson(e.User); err != nil {
		return err
	}
	x.Confirmed, x.Used = a.entry.Time, a.entry.Time
	if e.Kind == store.FactorPasskey {
		x.Touched = a.entry.Time
	}
	a.signIns = a.signIns.set(x.Entry, x)
	return a.used(e.User, e.Factor, e.Step, e.Counter)
}

func (a *applier) recoveryCreated(e *store.RecoveryCreated) error {
	u, err := a.mustPerson(e.User)
	if err != nil {
		return err
	}
	u.Recovery = Recovery{Entry: a.entry.Index, Codes: e.Codes, Count: e.Count}
	a.users = a.users.set(u.ID, u)
	f, ok := u.TOTP()
	switch {
	case e.Step == 0:
		return nil
	case !ok:
		return errors.New("a code of a factor that is not there")
	}
	return a.used(u.ID, f.Entry, e.Step, 0)
}

func (a *applier) signInEnded(e *store.SignInEnded) error {
	if _, ok := a.signIns.get(e.SignIn); !ok {
		return errors.New("the sign-in session is not open")
	}
	a.endSignIn(e.SignIn)
	return nil
}

func (a *applier) grantAdded(e *store.GrantAdded) error {
	if _, err := a.mustUser(e.User); err != nil && (!e.User.IsZero() || e.Group == 0 && !e.Forbids) {
		return err
	}
	if _, ok := a.targets.get(e.Target); !ok && e.Target != 0 {
		return errors.New("no such target")
	}
	for _, group := range []store.Index{e.Group, e.Conditions.Approvers} {
		if _, ok := a.groups.get(group); !ok && group != 0 {
			return errNoGroup
		}
	}
	if err := a.fulfilled(e); err != nil {
		return err
	}
	g := NewGrant(a.entry.Index, e)
	g.Added = a.entry.Time
	if !a.agreed() {
		g.By = a.entry.Actor.User
	}
	if r, ok := a.requests.get(e.Request); ok {
		g.ByCode = r.byCode()
	}
	a.setGrant(g)
	return nil
}

func (a *applier) grantRemoved(e *store.GrantRemoved) error {
	g, ok := a.Grant(e.Grant)
	if !ok {
		return errors.New("no such grant")
	}
	a.dropGrant(g)
	if g.requested() { // nothing else is what a request was fulfilled by
		for other := range a.Grants() {
			if other.Base == g.Entry {
				a.dropGrant(other)
			}
		}
	}
	return a.revokedBy(e.Review, g.Entry)
}

func (a *applier) mustUser(id store.UserID) (User, error) {
	u, ok := a.users.get(id)
	if !ok {
		return User{}, errors.New("no such user")
	}
	return u, nil
}

func (a *applier) endSignIn(entry store.Index) {
	x, ok := a.signIns.get(entry)
	if !ok {
		return
	}
	a.signIns = a.signIns.drop(entry)
	a.tokens = a.tokens.drop(x.token)
	if u, ok := a.users.get(x.User); ok {
		u.signIns = slices.DeleteFunc(slices.Clone(u.signIns), func(i store.Index) bool { return i == entry })
		a.users = a.users.set(u.ID, u)
	}
}
