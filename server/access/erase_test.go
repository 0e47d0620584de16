package access_test

import (
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// TestEraseUser: who is still a user is not erased, nor whose session is not over;
// an erasure may be done again, and takes an administrator.
func TestEraseUser(t *testing.T) {
	c := found(t)
	p, other := c.employ("carol"), c.employ("dave")
	c.target("db1", "root")
	c.grant(p, "db1", 0, 0, "root")
	session := c.session(p, "db1", "root")
	erase := access.EraseUser{By: local, User: p.id}
	if r := c.refused(erase); r.Kind != access.Conflict || r.Hint != "remove them first: vaultpam admin user rm carol" {
		t.Errorf("a user: %+v", r)
	}
	c.do(access.RemoveUser{By: local, Handle: "carol"})
	if r := c.refused(erase); r.Kind != access.Conflict {
		t.Errorf("while a session ends: %+v", r)
	}
	c.do(access.EndSession{Session: session, Reason: store.EndedByGrant})
	if r := c.refused(access.EraseUser{By: other.caller(), User: p.id}); r.Kind != access.Forbidden {
		t.Errorf("by somebody: %+v", r)
	}
	for range 2 {
		c.do(erase)
		if e := last[*store.UserErased](c); e.User != p.id {
			t.Errorf("%+v", e)
		}
	}
	if r := c.refused(access.EraseUser{By: local}); r.Kind != access.Invalid {
		t.Errorf("nobody: %+v", r)
	}
}
