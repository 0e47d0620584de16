package server

import (
	"context"
	"slices"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// findings answers ?at= severity=: the weak states of that severity and worse.
func (n *Node) findings(ctx context.Context, c call, _ api.Empty) (api.Findings, error) {
	s, at, err := n.stateAt(ctx, c.query.Get("at"))
	if err != nil {
		return api.Findings{}, err
	}
	least := access.Low
	if text := c.query.Get("severity"); text != "" {
		if least = access.Severity(text); !slices.Contains(access.Severities(), least) {
			return api.Findings{}, api.NewError(api.KindInvalid, "", "severity: want high, medium or low")
		}
	}
	why := map[access.FindingKind]string{}
	for _, r := range access.FindingRules() {
		why[r.Kind] = r.Why
	}
	a := api.Findings{At: at.UTC(), Size: uint64(s.Next()), Findings: []api.Finding{}}
	for _, f := range s.Findings(store.At(at)) {
		if !f.Severity.AtLeast(least) {
			continue
		}
		w := api.Finding{
			Kind: string(f.Kind), Severity: string(f.Severity), Sentence: f.Sentence, Why: why[f.Kind], Mend: f.Mend, Entries: []uint64{},
		}
		for _, e := range f.Entries {
			w.Entries = append(w.Entries, uint64(e))
		}
		if u, ok := s.User(f.Whose); ok {
			w.Whose = string(u.Handle)
		}
		a.Findings = append(a.Findings, w)
	}
	return a, nil
}

// stateAt returns the state at a moment in RFC 3339, and the moment; now where there
// is none.
func (n *Node) stateAt(ctx context.Context, text string) (access.State, time.Time, error) {
	now := n.Now()
	if text == "" {
		return n.ledger.State(), now, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return access.State{}, now, api.NewError(api.KindInvalid, "", "at: want a time like 2026-08-01T14:00:00Z")
	}
	if at.After(now) {
		return access.State{}, now, api.NewError(api.KindInvalid, "leave --at out to ask about this moment", "at: %s is in the future", text)
	}
	s, err := n.ledger.At(ctx, store.At(at))
	return s, at, err
}
