package access_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func (c *company) rename(name store.TargetName, to string) access.RenameTarget {
	return access.RenameTarget{By: local, Name: name, To: to}
}

// look lets the server look at a target, and record what it saw.
func (c *company) look(name store.TargetName) {
	c.Helper()
	c.do(c.beginLook(name))
	t, _ := c.state.TargetByName(name)
	c.do(access.EndSession{Session: t.Errand, Reason: store.EndedByTarget})
	c.do(access.RecordCheck{Target: t.Entry, Session: t.Errand, BeforeOf: t.Check.Report, Salt: c.random()})
}

func (c *company) beginLook(name store.TargetName) access.StartErrand {
	return access.StartErrand{By: local, Errand: store.ErrandCheck, Target: name, Session: c.sessionID()}
}

// another registers a host with a key of its own.
func (c *company) another(name string) access.AddTarget {
	return access.AddTarget{
		By: local, Name: name, Address: "192.0.2.99:22", HostKeys: []ssh.PublicKey{newKey().PublicKey()},
		Logins: []string{"root"}, Egress: "198.51.100.1",
	}
}

func TestRenameRefusals(t *testing.T) {
	c := found(t)
	carol := c.employ("carol")
	c.target("db1", "root")
	c.target("web1", "root")
	for what, x := range map[string]struct {
		cmd  access.RenameTarget
		kind access.Kind
		want string
	}{
		"no administrator": {access.RenameTarget{By: carol.caller(), Name: "db1", To: "db2"}, access.Forbidden, "administrator"},
		"nobody":           {access.RenameTarget{Name: "db1", To: "db2"}, access.Unauthenticated, "not signed in"},
		"no target":        {c.rename("db9", "db2"), access.NotFound, "there is no target db9"},
		"taken":            {c.rename("db1", "web1"), access.Conflict, "there is a target web1 already"},
		"its own":          {c.rename("db1", "db1"), access.Conflict, "the target is called db1 already"},
		"no name":          {c.rename("db1", "Db2"), access.Invalid, "want host name labels"},
		"empty":            {c.rename("db1", ""), access.Invalid, "want host name labels"},
		"the way past":     {c.rename("db1", "web1.direct"), access.Invalid, "would be read as the way to web1 past the relay"},
	} {
		if r := c.refused(x.cmd); r.Kind != x.kind || !strings.Contains(r.Message, x.want) {
			t.Errorf("%s: %+v", what, r)
		}
	}
	add := c.another("db1.direct")
	if r := c.refused(add); r.Kind != access.Invalid {
		t.Errorf("registering db1.direct: %+v", r)
	}
	c.do(c.rename("db1", "direct")) // alone it is a name like others
}

// TestRenamedWhileLookedAt: a look that began under the old name proves nothing of
// the new one.
func TestRenamedWhileLookedAt(t *testing.T) {
	c := found(t)
	c.target("db1", "root")
	c.do(c.beginLook("db1"))
	if r := c.refused(c.rename("db1", "db2")); r.Kind != access.Conflict || r.Message != "target db1 is being looked at" {
		t.Errorf("%+v", r)
	}
	db1, _ := c.state.TargetByName("db1")
	c.do(access.EndSession{Session: db1.Errand, Reason: store.EndedByTarget})
	c.do(c.rename("db1", "db2"))
	if r := c.refused(access.RecordCheck{Target: db1.Entry, Session: db1.Errand, Salt: c.random()}); r.Kind != access.Conflict {
		t.Errorf("its report: %+v", r)
	}
	if r := c.refused(c.another("db1")); r.Kind != access.Conflict {
		t.Errorf("the old name: %+v", r)
	}
	c.look("db2")
	c.do(c.another("db1"))
}

// TestFormerNames: a name is another host's when nothing answers to it any more.
func TestFormerNames(t *testing.T) {
	begin := func(t *testing.T) (*company, person) {
		c := found(t)
		p := c.employ("carol")
		c.target("db1", "root")
		c.do(access.AddGrant{By: local, User: "carol", Target: "db1", Logins: []string{"root"}, For: everything})
		return c, p
	}
	t.Run("back again", func(t *testing.T) {
		c, p := begin(t)
		c.do(c.direct(p, "db1", "root"))
		c.do(c.rename("db1", "db2"))
		c.do(c.rename("db2", "db1"))
		c.do(c.direct(p, "db1", "root"))
	})
	t.Run("twice", func(t *testing.T) {
		c, _ := begin(t)
		c.do(c.rename("db1", "db2"))
		c.do(c.rename("db2", "db3"))
		for _, name := range []string{"db1", "db2"} {
			if r := c.refused(c.another(name)); !strings.HasPrefix(r.Message, "db3 was called "+name) || r.Hint != "set the host up anew (vaultpamd target setup db3), then log in there once, or: vaultpam admin target check db3" {
				t.Errorf("%s: %+v", name, r)
			}
		}
		c.look("db3")
		c.do(c.another("db1"))
		c.do(c.another("db2"))
	})
	t.Run("seen by a session", func(t *testing.T) {
		c, p := begin(t)
		end := func(id store.SessionID, files int) {
			t.Helper()
			c.do(access.EndSession{Session: id, Reason: store.EndedByUser, Files: slices.Repeat([]store.RecordingFile{{Name: "1.cast", Label: store.LabelReplayable}}, files)})
		}
		certified := func(id store.SessionID) {
			t.Helper()
			c.do(access.IssueTargetCertificate{Session: id, Key: keys().subject, Nonce: c.random()})
		}
		old := c.session(p, "db1", "root")
		certified(old)
		c.do(c.rename("db1", "db2"))
		end(old, 2)
		c.refused(c.another("db1")) // it began under the old name
		never, refused, good := c.session(p, "db2", "root"), c.session(p, "db2", "root"), c.session(p, "db2", "root")
		certified(refused)
		certified(good)
		end(never, 2)
		c.refused(c.another("db1")) // the host was not asked
		end(refused, 1)
		c.refused(c.another("db1")) // no channel was opened
		end(good, 2)
		c.do(c.another("db1"))
	})
	t.Run("seen, and certificates live", func(t *testing.T) {
		c, p := begin(t)
		c.do(c.direct(p, "db1", "root"))
		c.do(c.rename("db1", "db2"))
		c.look("db2") // with a certificate of its own, which ends earlier
		if r := c.refused(c.another("db1")); r.Message != "another host was called db1, and certificates for it end at 2026-11-02 12:05:00 UTC" {
			t.Errorf("%+v", r)
		}
		c.target("web1", "root")
		c.do(c.rename("web1", "db1")) // it has the keys of the host that was called so: it is that host
	})
	t.Run("removed", func(t *testing.T) {
		c, p := begin(t)
		c.do(c.direct(p, "db1", "root"))
		c.do(access.RemoveTarget{By: local, Name: "db1"})
		if r := c.refused(c.another("db1")); r.Kind != access.Conflict || r.Hint != "try again then" {
			t.Errorf("%+v", r)
		}
		c.wait(5 * time.Minute)
		c.do(c.another("db1"))
	})
	t.Run("removed, the same host", func(t *testing.T) {
		c, p := begin(t)
		c.do(c.direct(p, "db1", "root"))
		c.do(access.RemoveTarget{By: local, Name: "db1"})
		c.target("db1", "root")
	})
	t.Run("renamed and removed", func(t *testing.T) {
		c, p := begin(t)
		c.do(c.direct(p, "db1", "root"))
		c.wait(2 * time.Minute)
		c.do(c.rename("db1", "db2"))
		c.do(access.RemoveTarget{By: local, Name: "db2"})
		for _, name := range []string{"db1", "db2"} {
			c.refused(c.another(name))
		}
		c.wait(3 * time.Minute)
		for _, name := range []string{"db1", "db2"} {
			c.do(c.another(name))
		}
	})
	t.Run("after a snapshot", func(t *testing.T) {
		c, p := begin(t)
		c.do(c.direct(p, "db1", "root"))
		c.do(c.rename("db1", "db2"))
		want := c.refused(c.another("db1"))
		s, err := access.OpenSnapshot(snapshot(c, c.state), c.text)
		if err != nil {
			t.Fatal(err)
		}
		c.state = s
		if got := c.refused(c.another("db1")); got.Message != want.Message {
			t.Errorf("%q, before it %q", got.Message, want.Message)
		}
	})
}
