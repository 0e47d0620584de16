package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/store"
)

// savedFormat is what a file of --save begins with; a changed meaning is another.
const savedFormat = "vaultpam approval v1"

// A savedApproval is what --save keeps: the stored bytes of three entries
// (docs/ledger-format.md), in base64.
type savedApproval struct {
	Format   string `json:"format"`
	Server   string `json:"server"` // its permanent name, which passkeys are bound to
	Asked    []byte `json:"asked"`  // request.made or change.proposed
	Approved []byte `json:"approved"`
	Factor   []byte `json:"factor"`
}

// An approvalReport is what `audit verify INDEX --json` prints.
type approvalReport struct {
	Approval   uint64    `json:"approval"`
	Time       time.Time `json:"time"`
	Approver   string    `json:"approver"`
	Asked      uint64    `json:"asked"` // entry
	Asker      string    `json:"asker"`
	What       string    `json:"what"`
	Hash       string    `json:"hash"` // hexadecimal; what was signed over
	Factor     uint64    `json:"factor"`
	Kind       string    `json:"kind"`
	Verifiable bool      `json:"verifiable"`
	Size       uint64    `json:"size,omitempty"` // of the ledger that all of it was proved in; 0: of a file
	Root       string    `json:"root,omitempty"`
}

var errUnverifiable = errors.New("nobody can verify this approval: it was made with a code, and is the server's word")

// verifyApproval verifies an approval from the server's ledger.
func (a *app) verifyApproval(ctx context.Context, index store.Index, save string, asJSON bool) error {
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	found, err := n.ledger.Approval(ctx, index)
	if errors.Is(err, client.ErrNoApproval) {
		return withHint(err, "vaultpam audit show %d shows it, and verifies that it is in the ledger", index)
	}
	if err != nil {
		return err
	}
	saved := savedApproval{Format: savedFormat, Server: n.settings.Name, Asked: found.Asked.Data, Approved: found.Approved.Data, Factor: found.Factor.Data}
	report, err := saved.report()
	if err != nil {
		return err
	}
	at := found.Factor.At // the last that was proved
	report.Approver, report.Asker, report.What = found.Approved.Shown.Actor, found.Asked.Shown.Actor, found.Asked.Shown.Summary
	report.Verifiable, report.Size, report.Root = found.Verified, at.Size, hex.EncodeToString(at.Root[:])
	if save != "" {
		data, err := json.MarshalIndent(saved, "", "  ")
		if err == nil {
			err = os.WriteFile(save, append(data, '\n'), 0o600)
		}
		if err != nil {
			return fmt.Errorf("keeping the approval: %w", err)
		}
		a.say("kept in %s; on any machine: vaultpam audit verify --file %s", client.Clean(save), client.Clean(save))
	}
	return a.printApproval(report, asJSON)
}

// verifySaved verifies what --save kept. It asks nobody.
func (a *app) verifySaved(file string, asJSON bool) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var saved savedApproval
	if err := json.Unmarshal(data, &saved); err != nil || saved.Format != savedFormat {
		return refuse("vaultpam audit verify INDEX --save FILE makes one", "%s holds no approval that this program knows", client.Clean(file))
	}
	report, err := saved.report()
	if err != nil {
		return fmt.Errorf("%s: %w", client.Clean(file), err)
	}
	err = store.VerifyApproval(saved.Asked, saved.Approved, saved.Factor, saved.Server)
	if report.Kind == string(store.FactorPasskey) && err != nil {
		return fmt.Errorf("%s: %w", client.Clean(file), err)
	}
	report.Verifiable = err == nil
	if err := a.printApproval(report, asJSON); err != nil {
		return err
	}
	a.say("the passkey's signature was verified for the server %s, not that these entries are in its ledger: that says vaultpam audit verify %d",
		client.Clean(saved.Server), report.Approval)
	return nil
}

// report says what the entries say by themselves, in which people are IDs.
func (s savedApproval) report() (approvalReport, error) {
	asked, err := store.DecodeEntry(s.Asked)
	if err != nil {
		return approvalReport{}, err
	}
	approved, err := store.DecodeEntry(s.Approved)
	if err != nil {
		return approvalReport{}, err
	}
	e, ok := approved.Event.(*store.RequestApproved)
	if !ok {
		return approvalReport{}, client.ErrNoApproval
	}
	hash := store.RequestHash(s.Asked)
	return approvalReport{
		Approval: uint64(approved.Index), Time: approved.Time.Time(), Approver: approved.Actor.User.String(),
		Asked: uint64(asked.Index), Asker: asked.Actor.User.String(), What: askedText(asked), Hash: hex.EncodeToString(hash[:]),
		Factor: uint64(e.Factor), Kind: string(e.Kind),
	}, nil
}

// askedText is what an entry asks for, in words that need no server.
func askedText(e *store.Entry) string {
	switch v := e.Event.(type) {
	case *store.RequestMade:
		purposes := ""
		if len(v.For) > 0 {
			purposes = fmt.Sprintf(" for %s", v.For)
		}
		return fmt.Sprintf("to log in as %s on the target of entry %d%s for %s, by the grant of entry %d", v.Login, v.Target, purposes, v.Lasts.Length(), v.Base)
	case *store.ChangeProposed:
		switch c := v.Change().(type) {
		case *store.GrantAdded:
			where := fmt.Sprintf("the target of entry %d", c.Target)
			if c.Target == 0 {
				where = fmt.Sprintf("targets with %s", c.Targets)
			}
			until := ""
			if c.Until != 0 {
				until = " until " + c.Until.Time().Format(time.RFC3339)
			}
			return fmt.Sprintf("a grant to log in as %v on %s%s", c.Logins, where, until)
		case *store.GrantRemoved:
			return fmt.Sprintf("to take back the grant of entry %d", c.Grant)
		case *store.MemberAdded:
			return fmt.Sprintf("to join the group of entry %d", c.Group)
		case *store.MemberRemoved:
			return fmt.Sprintf("to leave the group of entry %d", c.Group)
		case *store.TargetLabelled:
			return fmt.Sprintf("the labels %q for the target of entry %d", c.Labels.String(), c.Target)
		}
	}
	return string(e.Event.EventType())
}

func (a *app) printApproval(r approvalReport, asJSON bool) error {
	if asJSON {
		if err := printJSON(a.Stdout, r); err != nil {
			return err
		}
	} else {
		line := func(name, format string, args ...any) {
			fmt.Fprintf(a.Stdout, "%-12s %s\n", name, client.Clean(fmt.Sprintf(format, args...)))
		}
		line("approval", "entry %d, %s", r.Approval, utc(r.Time))
		line("approver", "%s", r.Approver)
		line("approved", "entry %d of %s: %s", r.Asked, r.Asker, r.What)
		line("hash", "%s", r.Hash)
		line("factor", "%s, enrolled by entry %d", r.Kind, r.Factor)
		line("verifiable", "%s", strconv.FormatBool(r.Verifiable))
		if r.Verifiable {
			line("verified", "the passkey signed exactly this")
		}
		if r.Size > 0 {
			line("ledger", "all three are in the ledger of %d entries with root %s", r.Size, r.Root)
		}
	}
	if !r.Verifiable {
		return withHint(errUnverifiable, "vaultpamd setting approve-with passkey keeps it from happening again")
	}
	return nil
}
