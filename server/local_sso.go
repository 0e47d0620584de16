package server

import (
	"context"
	"encoding/json"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// LocalClaims are somebody's claims, as the members of a decoded ID token. Handle
// says whose they would be; where it is empty the claims do.
type LocalClaims struct {
	Handle string                     `json:"handle,omitempty"`
	Claims map[string]json.RawMessage `json:"claims"`
}

// LocalReading is what the mapping makes of them, and what a sign-in with them would
// change. Nothing is changed by asking.
type LocalReading struct {
	Handle  string   `json:"handle"` // of whom, or empty where the claims speak of nobody here
	Subject string   `json:"subject"`
	Counts  bool     `json:"counts"` // the provider's second factor is enough
	Groups  []string `json:"groups"` // that the claims give
	Add     []string `json:"add"`    // of those, what they don't belong to yet
	Remove  []string `json:"remove"` // what the mapping names and the claims don't
	Missing []string `json:"missing"`
}

func (n *Node) localSSO(_ context.Context, _ call, q LocalClaims) (LocalReading, error) {
	return n.ReadClaims(q)
}

// ReadClaims shows what a sign-in with some claims would do.
func (n *Node) ReadClaims(q LocalClaims) (LocalReading, error) {
	if n.config.SSO.Issuer == "" {
		return LocalReading{}, api.NewError(api.KindConflict, "name it in vaultpam.yaml: sso", "this server knows no provider of sign-ins")
	}
	reading, err := n.config.SSO.mapping().Read(q.Claims)
	if err != nil {
		return LocalReading{}, api.NewError(api.KindInvalid, "", "%v", err)
	}
	s := n.ledger.State()
	r := LocalReading{Subject: reading.Subject, Counts: reading.Counts, Groups: texts(reading.Groups.Wanted)}
	u, known := s.UserBySSO(access.Identity{Issuer: n.config.SSO.Issuer, Subject: reading.Subject})
	if q.Handle != "" {
		if u, known = s.UserByHandle(store.Handle(q.Handle)); !known {
			return LocalReading{}, api.NewError(api.KindNotFound, "vaultpam admin user ls", "there is no user %s", q.Handle)
		}
	} else if !known {
		u, _ = s.UserByHandle(reading.Handle)
	}
	changes := s.Changes(reading.Groups, u.ID)
	r.Handle, r.Add, r.Remove, r.Missing = string(u.Handle), groupNames(changes.Add), groupNames(changes.Remove), texts(changes.Missing)
	return r, nil
}

func groupNames(groups []access.Group) []string {
	names := []string{}
	for _, g := range groups {
		names = append(names, string(g.Name))
	}
	return names
}
