package access

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// RemoveGrant takes a grant or a guardrail back, and with a grant those that
// fulfilled requests have made of it. Sessions that stand on them end.
type RemoveGrant struct {
	By    Caller
	Grant store.Index
	Place Place
}

func (c RemoveGrant) decide(s State, now store.Millis) (Decision, error) {
	actor, err := s.administrator(c.By, now)
	if err != nil {
		return Decision{}, err
	}
	k, ok := s.grantKeys.get(c.Grant)
	if !ok {
		return Decision{}, &Refusal{Kind: NotFound, Message: fmt.Sprintf("there is no grant %d", c.Grant), Hint: "vaultpam admin grant ls"}
	}
	e := &store.GrantRemoved{User: k.user, Target: k.target, Grant: c.Grant}
	return s.alone(actor, e, c.Place, "an administrator can't take back what is forbidden to themselves", now)
}
