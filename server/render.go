package server

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A reader turns entries into what people read: it names users and targets, also
// those that are gone, and remembers the names for one answer.
type reader struct {
	n       *Node
	state   access.State
	handles map[store.UserID]string
	targets map[store.Index]string // as they were registered
	// renamings are by target, in their order; nil where nobody asked yet.
	renamings map[store.Index][]renaming
	factors   map[store.Index]string
}

func (n *Node) newReader() *reader {
	return &reader{
		n: n, state: n.ledger.State(),
		handles: map[store.UserID]string{}, targets: map[store.Index]string{}, factors: map[store.Index]string{},
	}
}

// handle names a user: by handle, or by ID where the handle was erased. A bot has
// "bot " before it, so that nobody reads it as a person's. An errand's user is the
// server.
func (r *reader) handle(ctx context.Context, id store.UserID) string {
	if id.IsZero() {
		return "the server"
	}
	if name, ok := r.handles[id]; ok {
		return name
	}
	name := id.String()
	if handle, err := r.n.ledger.Handle(ctx, id); err == nil {
		name = string(handle)
	}
	if bot, err := r.n.ledger.Bot(ctx, id); err == nil && bot {
		name = "bot " + name
	}
	r.handles[id] = name
	return name
}

// factor is the kind of factor behind a certificate's entry.
func (r *reader) factor(ctx context.Context, c *store.CertificateIssued) string {
	signIn := c.SignIn
	if c.Kind == store.CertificateTarget && !c.Direct {
		if e, _, err := r.n.ledger.Entry(ctx, c.Parent); err == nil {
			if parent, ok := e.Event.(*store.CertificateIssued); ok {
				signIn = parent.SignIn
			}
		}
	}
	if kind, ok := r.factors[signIn]; ok {
		return kind
	}
	kind := ""
	if e, _, err := r.n.ledger.Entry(ctx, signIn); err == nil {
		if s, ok := e.Event.(*store.SignInSucceeded); ok {
			kind = string(s.Kind)
		}
	}
	r.factors[signIn] = kind
	return kind
}

// text is what a commitment stands for, if it was not erased.
func (r *reader) text(ctx context.Context, owner store.UserID, c store.Commitment) string {
	text, err := r.n.ledger.Text(ctx, owner, c)
	if errors.Is(err, store.ErrNotFound) {
		return "(erased)"
	} else if err != nil {
		r.n.Log.Error("a text of the side table can't be read", "error", err)
		return "(unreadable)" // which must not look like an erasure
	}
	return text
}

func (r *reader) actor(ctx context.Context, a store.Actor) string {
	switch {
	case a.Local:
		return "local administrator"
	case a.User.IsZero():
		return "server"
	}
	return r.handle(ctx, a.User)
}

// entry returns an entry as it is read.
func (r *reader) entry(ctx context.Context, e *store.Entry) api.Entry {
	record := store.NewRecord(nil, e)
	v := view{r: r, ctx: ctx, e: e, fields: map[string]any{}}
	v.describe()
	out := api.Entry{
		Index: uint64(e.Index), Time: e.Time.Time(), Type: string(e.Event.EventType()),
		Actor: r.actor(ctx, e.Actor), Target: v.target(record.Target), Fields: v.fields, Summary: v.summary,
	}
	if !record.User.IsZero() {
		out.User = r.handle(ctx, record.User)
	}
	return out
}

// A view collects the fields and the summary of one entry.
type view struct {
	r       *reader
	ctx     context.Context
	e       *store.Entry
	fields  map[string]any
	summary string
}

func (v *view) say(format string, args ...any) { v.summary = fmt.Sprintf(format, args...) }

func (v *view) describe() {
	switch e := v.e.Event.(type) {
	case *store.LedgerCreated:
		v.born(e)
	case *store.RulesActivated:
		v.fields["rules"] = e.Rules
		v.say("rules version %d decides from here on", e.Rules)
	case *store.LedgerRestored:
		v.fields["base"], v.fields["lost_size"] = e.Base, e.Size
		if e.Size > 0 {
			v.fields["lost_root"] = hex.EncodeToString(e.Root[:])
		}
		v.say("the ledger was restored from a backup that may lack entries; %d is added to indexes for serials", e.Base)
	case *store.ClockAccepted:
		v.fields["time"] = stamp(e.Time)
		v.say("the server's clock was accepted as right at %s", e.Time.Time().Format("2006-01-02 15:04:05 MST"))
	case *store.SettingChanged:
		v.fields["setting"], v.fields["value"] = string(e.Setting), e.Value
		v.say("setting %s is %s", e.Setting, e.Value)
	case *store.UserAdded, *store.UserRemoved, *store.UserErased, *store.InvitationCreated, *store.BotAdded, *store.JoinCreated:
		v.person()
	case *store.FactorEnrolled, *store.FactorNamed, *store.FactorRemoved, *store.FactorCloned, *store.SignInConfirmed:
		v.factor()
	case *store.RecoveryCreated:
		v.fields["count"], v.fields["second_look"] = e.Count, e.Step != 0
		v.say("%s got %d new recovery codes; those before count no more", v.r.handle(v.ctx, e.User), e.Count)
	case *store.UserContact, *store.RecoveryBegun, *store.RecoveryStopped, *store.RecoveryFinished:
		v.contact()
	case *store.SignInSucceeded, *store.SignInFailed, *store.SignInStopped, *store.SignInEnded:
		v.signIn()
	case *store.SSOLinked:
		v.fields["account"] = strings.ReplaceAll(v.r.text(v.ctx, e.User, e.Identity), "\n", " ")
		v.say("%s is linked to an account of the company's provider", v.r.handle(v.ctx, e.User))
	case *store.GroupAdded, *store.GroupRenamed, *store.GroupRemoved, *store.MemberAdded, *store.MemberRemoved:
		v.group()
	case *store.TargetAdded, *store.TargetRemoved, *store.TargetRenamed, *store.TargetLabelled:
		v.host()
	case *store.TargetChecked, *store.TargetClosed, *store.TargetReopened:
		v.doors()
	case *store.GrantAdded, *store.GrantRemoved:
		v.grant()
	case *store.LockAdded, *store.LockRemoved:
		v.lock()
	case *store.RequestMade, *store.RequestApproved, *store.RequestDenied, *store.RequestWithdrawn, *store.ChangeProposed:
		v.request()
	case *store.ReviewStarted, *store.ReviewAnswered, *store.ReviewReminded, *store.ReviewEnded:
		v.review()
	case *store.CertificateIssued:
		v.certificate(e)
	case *store.SessionStarted, *store.SessionRefused, *store.SessionEnded:
		v.session()
	}
}

func (v *view) born(e *store.LedgerCreated) {
	v.fields["name"], v.fields["rules"] = e.Name, e.Rules
	v.fields["log_key"] = base64.StdEncoding.EncodeToString(e.LogKey)
	for name, blob := range map[string][]byte{
		"user_ca": e.UserCA, "target_ca": e.TargetCA, "host_ca": e.HostCA, "emergency_ca": e.EmergencyCA,
	} {
		if key, err := ssh.ParsePublicKey(blob); err == nil {
			v.fields[name] = ssh.FingerprintSHA256(key)
		}
	}
	v.say("the ledger of %s began", e.Name)
}

func (v *view) person() {
	switch e := v.e.Event.(type) {
	case *store.UserAdded:
		v.fields["id"], v.fields["roles"] = e.User.String(), texts(e.Roles)
		v.say("%s was added as %s", v.r.handle(v.ctx, e.User), strings.Join(texts(e.Roles), ", "))
	case *store.UserErased:
		v.fields["id"] = e.User.String()
		v.say("every text about %s was erased", e.User)
	case *store.UserRemoved:
		v.fields["id"] = e.User.String()
		v.say("%s was removed", v.r.handle(v.ctx, e.User))
	case *store.BotAdded:
		v.fields["id"] = e.User.String()
		v.say("%s was added", v.r.handle(v.ctx, e.User))
	case *store.JoinCreated:
		v.fields["expires"] = stamp(e.Expires)
		v.say("%s got a token to join with", v.r.handle(v.ctx, e.User))
	case *store.InvitationCreated:
		v.fields["expires"] = stamp(e.Expires)
		v.say("%s was invited", v.r.handle(v.ctx, e.User))
	}
}

func (v *view) signIn() {
	switch e := v.e.Event.(type) {
	case *store.SignInSucceeded:
		v.fields["factor"], v.fields["expires"] = string(e.Kind), stamp(e.Expires)
		v.fields["source"] = v.r.text(v.ctx, e.User, e.Source)
		if machine := v.r.title(v.ctx, e.User, e.Machine); machine != "" {
			v.fields["machine"] = machine
		}
		if !e.Key.IsZero() {
			v.fields["key"] = hex.EncodeToString(e.Key[:])
		}
		v.say("%s signed in with %s from %s", v.r.handle(v.ctx, e.User), e.Kind, v.fields["source"])
		if e.Kind == store.FactorKey {
			v.say("%s signed in with its key from %s", v.r.handle(v.ctx, e.User), v.fields["source"])
		}
		if e.SSO != 0 {
			v.fields["sso"] = uint64(e.SSO)
		}
		if e.Kind == store.FactorRecovery {
			v.fields["code"], v.fields["set"] = e.Code, uint64(e.Factor)
			v.say("%s signed in with recovery code %d of set %d from %s", v.r.handle(v.ctx, e.User), e.Code, e.Factor, v.fields["source"])
		}
	case *store.SignInFailed:
		v.fields["count"], v.fields["source"] = e.Count, v.r.text(v.ctx, e.User, e.Source)
		v.say("%d failed sign-ins as %s from %s", e.Count, v.r.handle(v.ctx, e.User), v.fields["source"])
	case *store.SignInStopped:
		v.fields["count"] = e.Count
		v.say("%d sign-ins in a row as %s failed: until the next good one, machines that did not sign in before are refused", e.Count, v.r.handle(v.ctx, e.User))
	case *store.SignInEnded:
		v.fields["sign_in"] = uint64(e.SignIn)
		v.say("%s signed out", v.r.handle(v.ctx, e.User))
		if v.e.Actor == (store.Actor{}) {
			v.say("the company's provider signed %s out", v.r.handle(v.ctx, e.User))
		}
	}
}

func (v *view) certificate(e *store.CertificateIssued) {
	v.fields["kind"], v.fields["serial"], v.fields["rules"] = string(e.Kind), uint64(v.r.state.SerialOf(v.e.Index)), e.Rules
	v.fields["tbs_sha256"], v.fields["expires"] = hex.EncodeToString(e.TBS[:]), stamp(e.Expires)
	v.fields["factor"] = v.r.factor(v.ctx, e)
	v.fields["principal"] = e.User.String()
	if e.Kind == store.CertificateUser {
		v.fields["sign_in"] = uint64(e.SignIn)
		v.say("user certificate for %s", v.r.handle(v.ctx, e.User))
		return
	}
	name := v.target(e.Target)
	v.fields["principal"], v.fields["login"], v.fields["target"] = string(e.Login)+"@"+name, string(e.Login), name
	if e.Direct {
		v.fields["direct"] = true
		v.fields["sign_in"], v.fields["grant"], v.fields["source"] = uint64(e.SignIn), uint64(e.Grant), v.r.text(v.ctx, e.User, e.Source)
		v.say("direct certificate for %s as %s@%s, past the relay", v.r.handle(v.ctx, e.User), e.Login, name)
		return
	}
	v.fields["session"], v.fields["parent"] = e.Session.String(), uint64(e.Parent)
	v.say("target certificate for %s as %s@%s", v.r.handle(v.ctx, e.User), e.Login, name)
}

// stamp is a moment in RFC 3339, or nothing for none.
func stamp(m store.Millis) string {
	if m == 0 {
		return ""
	}
	return m.Time().Format(time.RFC3339)
}

func until(m store.Millis) string {
	if m == 0 {
		return ""
	}
	return " until " + m.Time().Format("2006-01-02 15:04 MST")
}
