package notice

import (
	"bytes"
	"slices"

	"github.com/vaultpam/vaultpam/store"
)

// A Kind is what a notice is about. It is the "type" that a webhook gets, and
// stays what it is.
type Kind string

// The kinds.
const (
	Invited          Kind = "invitation.made"
	FactorEnrolled   Kind = "factor.enrolled"
	FactorRemoved    Kind = "factor.removed"
	FactorCloned     Kind = "factor.cloned"
	CodesMade        Kind = "recovery-codes.made"
	CodeUsed         Kind = "recovery-code.used"
	SignInStopped    Kind = "signin.stopped"
	AddressChanged   Kind = "address.changed"
	RecoveryBegun    Kind = "recovery.begun"
	RecoveryStopped  Kind = "recovery.stopped"
	RecoveryFinished Kind = "recovery.finished"
	Locked           Kind = "lock.added"
	RequestMade      Kind = "request.made"
	RequestApproved  Kind = "request.approved"
	RequestDenied    Kind = "request.denied"
	ChangeProposed   Kind = "change.proposed"
	AdminAdded       Kind = "administrator.added"
	ReviewStarted    Kind = "review.started"
	ReviewDue        Kind = "review.due"
	ReviewEnded      Kind = "review.ended"
	FindingMade      Kind = "finding.made"
)

// A rule says what becomes of the entries of a type: whom a notice of the kind
// goes to, and what it says. An entry may also make none: write then writes no
// subject. Rules of one kind write by one function.
type rule struct {
	kind  Kind
	on    store.EventType
	to    audience
	write func(*page)
}

// rules are all there are: a kind more is a row more, and what it writes.
func rules() []rule {
	return []rule{
		{Invited, store.TypeInvitationCreated, thePerson, (*page).invited},
		{FactorEnrolled, store.TypeFactorEnrolled, thePerson, (*page).factorEnrolled},
		{FactorRemoved, store.TypeFactorRemoved, thePerson, (*page).factorRemoved},
		{FactorCloned, store.TypeFactorCloned, thePerson, (*page).factorCloned},
		{CodesMade, store.TypeRecoveryCreated, thePerson, (*page).codesMade},
		{CodeUsed, store.TypeSignInSucceeded, thePerson, (*page).codeUsed},
		{SignInStopped, store.TypeSignInStopped, thePerson, (*page).signInStopped},
		{AddressChanged, store.TypeUserContact, thePerson, (*page).addressChanged},
		{RecoveryBegun, store.TypeRecoveryBegun, administrators, (*page).recoveryBegun},
		{RecoveryStopped, store.TypeRecoveryStopped, administrators, (*page).recoveryStopped},
		{RecoveryFinished, store.TypeRecoveryFinished, administrators, (*page).recoveryFinished},
		{Locked, store.TypeLockAdded, otherAdministrators, (*page).locked},
		{RequestMade, store.TypeRequestMade, approvers, (*page).requestMade},
		{RequestApproved, store.TypeRequestApproved, thePerson, (*page).requestApproved},
		{RequestDenied, store.TypeRequestDenied, thePerson, (*page).requestDenied},
		{ChangeProposed, store.TypeChangeProposed, otherAdministrators, (*page).changeProposed},
		{AdminAdded, store.TypeUserAdded, otherAdministrators, (*page).administratorAdded},
		{ReviewStarted, store.TypeReviewStarted, thePerson, (*page).reviewStarted},
		{ReviewDue, store.TypeReviewReminded, thePerson, (*page).reviewDue},
		{ReviewEnded, store.TypeReviewEnded, administrators, (*page).reviewEnded},
		{FindingMade, store.TypeSettingChanged, readers, (*page).finding},
		{FindingMade, store.TypeGrantAdded, readers, (*page).finding},
		{FindingMade, store.TypeFactorEnrolled, readers, (*page).finding},
		{FindingMade, store.TypeFactorRemoved, readers, (*page).finding},
		{FindingMade, store.TypeFactorCloned, readers, (*page).finding},
		{FindingMade, store.TypeTargetChecked, readers, (*page).finding},
		{FindingMade, store.TypeLedgerRestored, readers, (*page).finding},
	}
}

func ruleOf(kind Kind) (rule, bool) {
	for _, r := range rules() {
		if r.kind == kind {
			return r, true
		}
	}
	return rule{}, false
}

// An audience says whom a notice goes to by mail.
type audience func(*page) []store.UserID

// thePerson is whom the entry is about.
func thePerson(p *page) []store.UserID { return []store.UserID{p.user} }

// administrators are all who held the role once the entry was made. It is read
// from the entries and not from the state: who becomes one by a recovery that
// nobody wanted removes the others next.
func administrators(p *page) []store.UserID { return holders(p, store.RoleAdministrator) }

func holders(p *page, roles ...store.Role) []store.UserID {
	var all []store.UserID
	for _, what := range []store.EventType{store.TypeUserAdded, store.TypeRecoveryFinished, store.TypeUserRemoved} {
		for _, e := range p.find(store.Query{Type: what, To: p.e.Index + 1}) {
			switch e := e.Event.(type) {
			case *store.UserAdded:
				if slices.ContainsFunc(e.Roles, func(r store.Role) bool { return slices.Contains(roles, r) }) {
					all = append(all, e.User)
				}
			case *store.RecoveryFinished:
				all = append(all, e.User)
			case *store.UserRemoved:
				all = slices.DeleteFunc(all, func(id store.UserID) bool { return id == e.User })
			}
		}
	}
	slices.SortFunc(all, func(a, b store.UserID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(all)
}
