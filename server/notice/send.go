package notice

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// compose writes the text of a delivery, with what it is about.
func (n *Notices) compose(ctx context.Context, d *delivery, link string) (*page, error) {
	r, ok := ruleOf(d.kind)
	if !ok {
		return nil, permanentError{fmt.Errorf("there is no notice %q", d.kind)}
	}
	e, _, err := n.Ledger.Entry(ctx, d.entry)
	if err != nil {
		return nil, err
	}
	p, err := n.page(ctx, r, e, link)
	if err == nil && p.subject == "" {
		err = permanentError{errors.New("there is nothing to tell of its entry")}
	}
	return p, err
}

// mail sends a delivery by mail.
func (n *Notices) mail(ctx context.Context, d *delivery) error {
	text, err := n.Ledger.Text(ctx, d.user, d.Address)
	if errors.Is(err, store.ErrNotFound) {
		return permanentError{errors.New("its address was erased")}
	} else if errors.Is(err, store.ErrCorrupt) {
		return permanentError{fmt.Errorf("reading its address: %w", err)}
	} else if err != nil {
		return err
	}
	to, err := store.ParseEmail(text)
	if err != nil {
		return permanentError{errors.New("its address is none")}
	}
	link, err := n.linkFor(ctx, d)
	if err != nil {
		return err
	}
	p, err := n.compose(ctx, d, link)
	if err != nil {
		return err
	}
	return n.Mail.Send(ctx, Message{
		ID: d.id(n.Ledger.Origin(), p.e), To: to, Date: p.e.Time.Time(), Subject: p.subject, Paragraphs: p.paragraphs,
	})
}

// linkFor opens the link that goes with a delivery. The link of an invitation
// that was used, replaced or ran out goes nowhere.
func (n *Notices) linkFor(ctx context.Context, d *delivery) (string, error) {
	if d.Link == (store.Hash{}) {
		return "", nil
	}
	if _, _, ok := n.Ledger.State().Invited(d.Link, store.At(n.Now())); !ok {
		return "", permanentError{errors.New("its invitation is void")}
	}
	link, err := n.link(ctx, d.user, d.Link)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt) {
		return "", permanentError{err}
	}
	return link, err
}

// A HookBody is what a webhook gets: the payload of Standard Webhooks.
type HookBody struct {
	Type      Kind      `json:"type"`
	Timestamp time.Time `json:"timestamp"` // of the entry
	Data      HookData  `json:"data"`
}

// HookData is what a notice says. It holds no secret and no address of a person's.
type HookData struct {
	Server  string `json:"server"`
	Entry   uint64 `json:"entry"`
	User    string `json:"user"` // handle of whom it is about; empty of a target
	UserID  string `json:"user_id"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
}

// hook sends a delivery to the webhook.
func (n *Notices) hook(ctx context.Context, d *delivery) error {
	p, err := n.compose(ctx, d, "")
	if err != nil {
		return err
	}
	body := HookBody{Type: d.kind, Timestamp: p.e.Time.Time(), Data: HookData{
		Server: n.Name, Entry: uint64(d.entry), User: p.person(), UserID: p.userID(),
		Subject: p.subject, Text: strings.Join(p.paragraphs, "\n\n"),
	}}
	if p.err != nil {
		return p.err
	}
	return n.Hook.Send(ctx, d.id(n.Ledger.Origin(), p.e), body)
}
