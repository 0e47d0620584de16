package access_test

import (
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func TestContact(t *testing.T) {
	c := found(t)
	bob, carol := c.employ("bob", store.RoleAdministrator), c.employ("carol")
	contact := func(handle store.Handle) string {
		u, _ := c.state.UserByHandle(handle)
		text, _ := c.text(u.Contact)
		return text
	}
	for _, tc := range []struct {
		name  string
		cmd   access.SetContact
		whose store.Handle
		want  string
	}{
		{"one's own", access.SetContact{By: carol.caller(), Email: "carol@Example.EU"}, "carol", "carol@example.eu"},
		{"one's own by name", access.SetContact{By: carol.caller(), Handle: "carol", Email: "c@example.eu"}, "carol", "c@example.eu"},
		{"by an administrator", access.SetContact{By: bob.caller(), Handle: "carol", Email: "carol@example.eu"}, "carol", "carol@example.eu"},
		{"an administrator's own", access.SetContact{By: bob.caller(), Email: "bob@example.eu"}, "bob", "bob@example.eu"},
		{"on the machine", access.SetContact{By: local, Handle: "alice", Email: "a@example.eu"}, "alice", "a@example.eu"},
		{"taken away", access.SetContact{By: bob.caller(), Handle: "carol"}, "carol", ""},
	} {
		tc.cmd.Salt = c.random()
		d := c.do(tc.cmd)
		e := last[*store.UserContact](c)
		if u, _ := c.state.UserByHandle(tc.whose); contact(tc.whose) != tc.want || e.User != u.ID || e.Email != u.Contact {
			t.Errorf("%s: %q, event %+v", tc.name, contact(tc.whose), e)
		}
		for _, o := range d.Openings {
			if o.Field != store.FieldEmail || o.Owner != e.User {
				t.Errorf("%s: opening %+v", tc.name, o)
			}
		}
	}
	if contact("bob") != "bob@example.eu" {
		t.Error("bob's address was touched")
	}
	// Whoever is added with an address has it from the start.
	c.do(access.AddUser{By: local, ID: c.userID(), Handle: "dave", Salt: c.random(), Email: "dave@example.eu", EmailSalt: c.random(), Invite: access.Invite{Token: c.hash()}})
	if contact("dave") != "dave@example.eu" {
		t.Errorf("dave's address is %q", contact("dave"))
	}
	last[*store.InvitationCreated](c)
}

func contactRefusals() []refusalCase {
	return []refusalCase{
		{"by nobody", access.Unauthenticated, func(*company) access.Command { return access.SetContact{Email: "carol@example.eu"} }},
		{"of somebody else", access.Forbidden, func(c *company) access.Command {
			return access.SetContact{By: c.employ("carol").caller(), Handle: "alice", Email: "carol@example.eu"}
		}},
		{"of nobody", access.NotFound, func(*company) access.Command {
			return access.SetContact{By: local, Handle: "bob", Email: "carol@example.eu"}
		}},
		{"on the machine, of nobody in particular", access.Invalid, func(*company) access.Command {
			return access.SetContact{By: local, Email: "carol@example.eu"}
		}},
		{"that is none", access.Invalid, func(*company) access.Command {
			return access.SetContact{By: local, Handle: "alice", Email: "alice@example.eu\r\nBcc: eve@example.eu"}
		}},
		{"that is not there", access.Conflict, func(*company) access.Command { return access.SetContact{By: local, Handle: "alice"} }},
	}
}
