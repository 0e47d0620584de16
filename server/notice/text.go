package notice

import (
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func (p *page) invited() {
	e, ok := p.e.Event.(*store.InvitationCreated)
	if !ok {
		return
	}
	if p.e.Actor.User == p.user && !p.e.Actor.Local {
		p.about("A new authenticator for %s at %s", p.person(), p.n.Name)
		p.say("After a sign-in with a recovery code, an invitation to enrol another authenticator for %s was made at %s. It works once, until %s.",
			p.person(), p.when(), moment(e.Expires))
		p.notYou()
		return
	}
	p.about("%s is invited to VaultPAM at %s", p.person(), p.n.Name)
	p.say("%s invited you to VaultPAM at %s as %s.", p.actor(), p.n.Name, p.person())
	if p.link == "" {
		p.say("You get a link from them. It works once, until %s.", moment(e.Expires))
		return
	}
	p.say("To accept, install vaultpam and type this before %s:", moment(e.Expires))
	p.say("    vaultpam enroll '%s'", p.link)
	p.say("The link works once, and whoever opens it first is taken for you. Don't pass this mail on, and delete it when you have enrolled. "+
		"If the link does not work, somebody else may have used it: tell an administrator of %s at once, and not by answering this mail.", p.n.Name)
}

func (p *page) factorEnrolled() {
	e, ok := p.e.Event.(*store.FactorEnrolled)
	if !ok {
		return
	}
	if e.Kind == store.FactorKey {
		p.about("A new key signs the bot %s in at %s", p.person(), p.n.Name)
		how := p.actor() + " named it."
		if e.Join != 0 {
			how = "It joined with a token that an administrator had made."
		}
		p.say("The bot %s has another key since %s. %s Whoever holds it can do what the bot is granted.", p.person(), p.when(), how)
		p.say("If none of you wants that: vaultpam admin bot ls, and vaultpam admin bot key rm %s %d", p.person(), p.e.Index)
		return
	}
	p.about("A new factor signs %s in at %s", p.person(), p.n.Name)
	p.say("A factor of the kind %s was enrolled for %s at %s, from %s. Whoever holds it can sign in as you.",
		e.Kind, p.person(), p.when(), p.source())
	p.notYou()
}

func (p *page) factorRemoved() {
	e, ok := p.e.Event.(*store.FactorRemoved)
	if !ok {
		return
	}
	p.about("A factor of %s at %s was removed", p.person(), p.n.Name)
	p.say("The factor of the kind %s that entry %d enrolled was taken from %s at %s, by somebody who had signed in as you. It signs nobody in any more.",
		p.kindOf(e.Factor), e.Factor, p.person(), p.when())
	p.notYou()
}

func (p *page) factorCloned() {
	e, ok := p.e.Event.(*store.FactorCloned)
	if !ok {
		return
	}
	p.about("There is a copy of a passkey of %s at %s", p.person(), p.n.Name)
	p.say("At %s the %s that entry %d enrolled for %s gave a right answer with the count %d, after it had been at %d. So its key is in two places, or was put back from a copy. The answer was refused, and neither of them signs anybody in any more.",
		p.when(), p.kindOf(e.Factor), e.Factor, p.person(), e.Counter, e.Last)
	p.say("Sign in with another factor, and remove this one: vaultpam factor rm %d", e.Factor)
	p.say("Tell an administrator of %s at once, and not by answering this mail: whoever has the copy may have signed in as you before.", p.n.Name)
}

// codesMade leaves out the codes that came with a factor: its own notice is
// enough.
func (p *page) codesMade() {
	e, ok := p.e.Event.(*store.RecoveryCreated)
	if !ok {
		return
	}
	for _, f := range p.find(store.Query{Type: store.TypeFactorEnrolled, User: p.user, To: p.e.Index, Limit: 1, Order: store.NewestFirst}) {
		if f.Index+1 == p.e.Index && f.Actor == p.e.Actor {
			return // they came with it
		}
	}
	p.about("New recovery codes for %s at %s", p.person(), p.n.Name)
	p.say("%d recovery codes were made for %s at %s. Those from before count no more.", e.Count, p.person(), p.when())
	p.notYou()
}

func (p *page) codeUsed() {
	e, ok := p.e.Event.(*store.SignInSucceeded)
	if !ok || e.Kind != store.FactorRecovery {
		return
	}
	p.about("A recovery code signed %s in at %s", p.person(), p.n.Name)
	p.say("Recovery code number %d of %s was used at %s, from %s. It is used up. For %d minutes after it another authenticator can be enrolled.",
		e.Code, p.person(), p.when(), p.source(), int(access.RenewalLife.Minutes()))
	p.notYou()
}

func (p *page) signInStopped() {
	e, ok := p.e.Event.(*store.SignInStopped)
	if !ok {
		return
	}
	p.about("Somebody tries to sign in as %s at %s", p.person(), p.n.Name)
	p.say("%d sign-ins in a row as %s failed until %s. None of them got in.", e.Count, p.person(), p.when())
	p.say("Until you sign in again, only machines on which you have signed in before are let try, and elsewhere a recovery code or an invitation.")
	p.say("There is nothing that you have to do. If you can't sign in, tell an administrator of %s.", p.n.Name)
}

// addressChanged goes to the address that was: it is the only one whose owner
// might not know. Of a first address there is nothing to tell.
func (p *page) addressChanged() {
	e, ok := p.e.Event.(*store.UserContact)
	if !ok {
		return
	}
	if before, err := p.n.contact(p.ctx, p.user, p.e.Index); err != nil || before == (store.Commitment{}) {
		p.fail(err)
		return
	}
	where := "to another address"
	if e.Email == (store.Commitment{}) {
		where = "nowhere"
	}
	p.about("Notices about %s at %s go elsewhere", p.person(), p.n.Name)
	p.say("%s changed at %s where notices about %s go: from now on %s. This is the last one that comes here.", p.actor(), p.when(), p.person(), where)
	p.notYou()
}

func (p *page) recoveryBegun() {
	e, ok := p.e.Event.(*store.RecoveryBegun)
	if !ok {
		return
	}
	ends := access.PendingRecovery{Ready: e.Ready}.Ends()
	p.about("%s is about to become an administrator of %s", p.person(), p.n.Name)
	p.say("On the machine of %s itself a recovery of %s as administrator was begun at %s. It can be finished from %s to %s: then %s is an administrator and gets an invitation.",
		p.n.Name, p.person(), p.when(), moment(e.Ready), moment(ends), p.person())
	p.say("If none of you wants that, stop it: vaultpam admin recovery stop")
	p.say("Whoever began it can run programs on the server as its own account. If nobody knows of it, take the server off the network.")
}

func (p *page) recoveryStopped() {
	e, ok := p.e.Event.(*store.RecoveryStopped)
	if !ok {
		return
	}
	p.about("The recovery of %s at %s was stopped", p.person(), p.n.Name)
	p.say("%s stopped at %s the recovery of %s as administrator that entry %d began.", p.actor(), p.when(), p.person(), e.Begun)
}

func (p *page) recoveryFinished() {
	e, ok := p.e.Event.(*store.RecoveryFinished)
	if !ok {
		return
	}
	p.about("%s is an administrator of %s by a recovery", p.person(), p.n.Name)
	p.say("The recovery of %s that entry %d began was finished on the machine of %s itself at %s. %s is an administrator, and whoever sits there has an invitation for them.",
		p.person(), e.Begun, p.n.Name, p.when(), p.person())
	p.say("If none of you wants that: vaultpam admin user rm %s", p.person())
}
