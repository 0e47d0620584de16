package notice

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// A page is the text of a notice while it is written from an entry. An error of
// the ledger stays, and whoever asked for the page looks at it last.
type page struct {
	n    *Notices
	ctx  context.Context
	e    *store.Entry
	user store.UserID // whom the entry is about
	link string       // of an invitation, where it goes by mail

	subject    string
	paragraphs []string
	err        error
}

// page writes what a rule has to say about an entry. A page without a subject
// says that there is nothing to tell.
func (n *Notices) page(ctx context.Context, r rule, e *store.Entry, link string) (*page, error) {
	p := &page{n: n, ctx: ctx, e: e, user: store.NewRecord(nil, e).User, link: link}
	r.write(p)
	if p.subject != "" {
		p.say("This is entry %d of the ledger: vaultpam audit show %d", e.Index, e.Index)
	}
	return p, p.err
}

// about begins the text.
func (p *page) about(format string, args ...any) { p.subject = fmt.Sprintf(format, args...) }

// say adds a paragraph.
func (p *page) say(format string, args ...any) {
	p.paragraphs = append(p.paragraphs, fmt.Sprintf(format, args...))
}

// notYou is the last paragraph of what happens to an account.
func (p *page) notYou() {
	p.say("If this was not you, tell an administrator of %s at once, and not by answering this mail.", p.n.Name)
}

func (p *page) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// unread reports whether a text is not there to be read, because it was erased or
// was damaged. The notice is told without it: one text must not hold up what else
// there is to tell, to anybody.
func unread(err error) bool {
	return errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt)
}

// name is the handle of a user, or their ID where it can't be read.
func (p *page) name(id store.UserID) string {
	handle, err := p.n.Ledger.Handle(p.ctx, id)
	if unread(err) {
		return id.String()
	}
	if err != nil {
		p.fail(err)
	}
	return string(handle)
}

// actor names who caused the entry.
func (p *page) actor() string {
	switch {
	case p.e.Actor.Local:
		return "Somebody on the server's own machine"
	case p.e.Actor.User.IsZero():
		return "The server"
	}
	return p.name(p.e.Actor.User)
}

// person is whom the entry is about, or nobody.
func (p *page) person() string {
	if p.user.IsZero() {
		return ""
	}
	return p.name(p.user)
}

func (p *page) userID() string {
	if p.user.IsZero() {
		return ""
	}
	return p.user.String()
}

func (p *page) when() string { return moment(p.e.Time) }

func moment(m store.Millis) string { return m.Time().Format(time.DateTime + " MST") }

// source is the address that a sign-in or an enrolment came from, where the ledger
// says that for certain: that of the sign-in session that a factor was added in,
// or was opened by it. Any other address of the person's would only lull them.
func (p *page) source() string {
	switch e := p.e.Event.(type) {
	case *store.SignInSucceeded:
		return p.text(e.Source)
	case *store.FactorEnrolled:
		q := store.Query{Type: store.TypeSignInSucceeded, User: p.user, From: p.e.Index, Limit: 1}
		if e.SignIn != 0 {
			q.From, q.To = e.SignIn, e.SignIn+1
		}
		for _, found := range p.find(q) {
			if in, ok := found.Event.(*store.SignInSucceeded); ok && (e.SignIn != 0 || in.Factor == p.e.Index && found.Time == p.e.Time) {
				return p.text(in.Source)
			}
		}
	}
	return unknownSource
}

// kindOf is the kind of a factor of the person's, from the entry that enrolled it.
func (p *page) kindOf(factor store.Index) store.FactorKind {
	for _, e := range p.find(store.Query{Type: store.TypeFactorEnrolled, User: p.user, From: factor, To: factor + 1}) {
		if enrolled, ok := e.Event.(*store.FactorEnrolled); ok {
			return enrolled.Kind
		}
	}
	p.fail(store.ErrCorrupt) // the rules let nothing else be removed
	return ""
}

const unknownSource = "an address that is not known"

func (p *page) find(q store.Query) []*store.Entry {
	found, err := p.n.Ledger.Find(p.ctx, q)
	if err != nil {
		p.fail(err)
	}
	return found
}

func (p *page) text(c store.Commitment) string {
	text, err := p.n.Ledger.Text(p.ctx, p.user, c)
	if unread(err) {
		return unknownSource
	}
	if err != nil {
		p.fail(err)
	}
	return text
}
