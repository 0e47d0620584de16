package access_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

var timetable = access.Caller{Timetable: true}

func (c *company) errand(by access.Caller, errand store.Errand) access.StartErrand {
	return access.StartErrand{By: by, Errand: errand, Target: "db1", Session: c.sessionID()}
}

func (c *company) over(session store.SessionID) {
	c.Helper()
	c.do(access.EndSession{Session: session, Reason: store.EndedByUser})
}

// looked carries a check out that finds the doors.
func (c *company) looked(by access.Caller, errand store.Errand, closed bool, doors ...store.Door) *store.TargetChecked {
	c.Helper()
	start := c.errand(by, errand)
	c.do(start)
	c.over(start.Session)
	t, _ := c.state.TargetByName("db1")
	before, _ := c.text(t.Check.Report)
	c.do(access.RecordCheck{
		Target: t.Entry, Session: start.Session, Report: store.DoorReport{Doors: doors}, Closed: closed,
		Before: before, BeforeOf: t.Check.Report, Salt: c.random(),
	})
	return last[*store.TargetChecked](c)
}

// TestErrand: the server's session is an entry before there is a certificate for
// it, and the certificate says that it is nobody's.
func TestErrand(t *testing.T) {
	c := found(t)
	db1 := c.target("db1", "deploy", "root")
	start := c.errand(local, store.ErrandCheck)
	c.do(start)
	want := &store.SessionStarted{
		Session: start.Session, Target: db1, Login: "root", Way: store.WayErrand, Errand: store.ErrandCheck,
	}
	if diff := cmp.Diff(want, last[*store.SessionStarted](c)); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
	d := c.do(access.IssueTargetCertificate{
		Session: start.Session, Key: keys().subject, Nonce: c.random(), Extensions: []string{ca.PermitPTY},
	})
	issued := last[*store.CertificateIssued](c)
	if !issued.User.IsZero() || issued.Parent != 0 || issued.Session != start.Session {
		t.Errorf("%+v", issued)
	}
	cert := sign(t, c, d)
	if want := ca.ErrandKeyID(start.Session).String(); cert.KeyId != want || cert.ValidPrincipals[0] != "root@db1" {
		t.Errorf("key ID %s for %v, want %s", cert.KeyId, cert.ValidPrincipals, want)
	}
	if id, err := ca.ParseKeyID(cert.KeyId); err != nil || id.Handle != "" || !strings.HasPrefix(cert.KeyId, "vaultpam:target:-:") {
		t.Errorf("%s: %+v, error %v", cert.KeyId, id, err)
	}
	if _, ends := c.state.SessionEnds(start.Session, c.at()); ends {
		t.Error("it has to end at once")
	}
	c.do(access.RemoveTarget{By: local, Name: "db1"})
	if _, ends := c.state.SessionEnds(start.Session, c.at()); !ends {
		t.Error("it outlives its target")
	}
	c.over(start.Session)
}

// TestErrandLogin: root where the target has it, else the first, else what is
// asked for.
func TestErrandLogin(t *testing.T) {
	for _, tc := range []struct {
		logins []string
		asked  string
		want   store.Login
	}{
		{[]string{"deploy", "root"}, "", "root"},
		{[]string{"www", "deploy"}, "", "deploy"}, // logins are sorted
		{[]string{"deploy", "root"}, "deploy", "deploy"},
	} {
		c := found(t)
		c.target("db1", tc.logins...)
		start := c.errand(local, store.ErrandCheck)
		start.Login = tc.asked
		c.do(start)
		if got := last[*store.SessionStarted](c).Login; got != tc.want {
			t.Errorf("%v, asked for %q: %s, want %s", tc.logins, tc.asked, got, tc.want)
		}
	}
}

// TestCheckChanges: what a check found is compared with what the check before it
// found, and the first one is no change.
func TestCheckChanges(t *testing.T) {
	c := found(t)
	c.target("db1", "root")
	password := store.Door{Kind: store.DoorPassword, Account: "root", Detail: "password set"}
	key := store.Door{Kind: store.DoorKey, Account: "root", Detail: "SHA256:x"}
	dropbear := store.Door{Kind: store.DoorDaemon, Detail: "dropbear"}
	for i, tc := range []struct {
		by           access.Caller
		doors        []store.Door
		fresh, gone  uint64
		count, state uint64
	}{
		{timetable, []store.Door{password, key}, 0, 0, 2, 2},
		{timetable, []store.Door{key, password, key}, 0, 0, 2, 2},
		{local, []store.Door{key, dropbear}, 1, 1, 2, 2},
		{timetable, nil, 0, 2, 0, 0},
		{timetable, []store.Door{key}, 1, 0, 1, 1},
	} {
		e := c.looked(tc.by, store.ErrandCheck, false, tc.doors...)
		got, _ := c.state.TargetByName("db1")
		if e.Doors != tc.count || e.New != tc.fresh || e.Gone != tc.gone || got.Check.Doors != tc.state || got.Check.Missed != 0 {
			t.Errorf("check %d: %+v, state %+v", i, e, got.Check)
		}
	}
	// A report that has been lost makes every door new: nobody knows better.
	start := c.errand(timetable, store.ErrandCheck)
	c.do(start)
	c.over(start.Session)
	db1, _ := c.state.TargetByName("db1")
	if db1.Check.Missed == 0 {
		t.Error("a look that brought no report does not show")
	}
	c.do(access.RecordCheck{
		Target: db1.Entry, Session: start.Session, Report: store.DoorReport{Doors: []store.Door{key}}, BeforeOf: db1.Check.Report, Salt: c.random(),
	})
	if e := last[*store.TargetChecked](c); e.New != 1 {
		t.Errorf("after the loss: %+v", e)
	}
}

// TestClosing: a target counts as closed when the last look saw it so, and as
// open again when the last look saw that.
func TestClosing(t *testing.T) {
	c := found(t)
	db1 := c.target("db1", "root")
	seen := c.looked(local, store.ErrandClose, true)
	c.do(access.RecordClosed{By: local, Target: "db1", Session: seen.Session, Emergency: store.EmergencySerial + 9})
	if diff := cmp.Diff(&store.TargetClosed{Target: db1, Session: seen.Session, Emergency: store.EmergencySerial + 9}, last[*store.TargetClosed](c)); diff != "" {
		t.Errorf("closed (-want +got):\n%s", diff)
	}
	seen = c.looked(local, store.ErrandCheck, false)
	c.do(access.RecordReopened{By: local, Target: "db1", Session: seen.Session})
	if diff := cmp.Diff(&store.TargetReopened{Target: db1, Session: seen.Session}, last[*store.TargetReopened](c)); diff != "" {
		t.Errorf("reopened (-want +got):\n%s", diff)
	}
}

// TestS38TheTimetableOnlyLooks: what the server may do by itself is one thing.
func TestS38TheTimetableOnlyLooks(t *testing.T) {
	c := found(t)
	c.target("db1", "root")
	seen := c.looked(local, store.ErrandCheck, false)
	for _, cmd := range []access.Command{
		c.errand(timetable, store.ErrandClose),
		c.errand(timetable, store.ErrandReopen),
		access.RecordClosed{By: timetable, Target: "db1", Session: seen.Session, Emergency: store.EmergencySerial},
		access.RecordReopened{By: timetable, Target: "db1", Session: seen.Session},
		access.AddUser{By: timetable, ID: c.userID(), Handle: "mallory", Roles: []store.Role{store.RoleAdministrator}, Invite: access.Invite{Token: c.hash()}},
		access.RemoveTarget{By: timetable, Name: "db1"},
		access.ChangeSetting{By: timetable, Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed},
		access.IssueUserCertificate{By: timetable, Key: keys().subject, Nonce: c.random()},
	} {
		if r := c.refused(cmd); r.Kind != access.Unauthenticated && r.Kind != access.Forbidden {
			t.Errorf("%T: %v", cmd, r)
		}
	}
	// Nor may who is no administrator send the server anywhere.
	carol := c.employ("carol", store.RoleEngineer, store.RoleApprover, store.RoleAuditor)
	for _, errand := range []store.Errand{store.ErrandCheck, store.ErrandClose, store.ErrandReopen} {
		if r := c.refused(c.errand(carol.caller(), errand)); r.Kind != access.Forbidden {
			t.Errorf("%s by carol: %v", errand, r)
		}
	}
}

func errandRefusals() []refusalCase {
	started := func(c *company) access.StartErrand {
		c.target("db1", "root")
		start := c.errand(local, store.ErrandCheck)
		c.do(start)
		return start
	}
	return []refusalCase{
		{"nobody there", access.NotFound, func(c *company) access.Command { return c.errand(timetable, store.ErrandCheck) }},
		{"no such login", access.Invalid, func(c *company) access.Command {
			c.target("db1", "root")
			start := c.errand(local, store.ErrandCheck)
			start.Login = "deploy"
			return start
		}},
		{"one is there already", access.Conflict, func(c *company) access.Command {
			started(c)
			return c.errand(local, store.ErrandReopen)
		}},
		{"its ID is taken", access.Conflict, func(c *company) access.Command {
			c.target("web1", "root")
			start := started(c)
			start.Target = "web1"
			return start
		}},
		{"still looking", access.Conflict, func(c *company) access.Command {
			start := started(c)
			t, _ := c.state.TargetByName("db1")
			return access.RecordCheck{Target: t.Entry, Session: start.Session}
		}},
		{"told twice", access.Conflict, func(c *company) access.Command {
			c.target("db1", "root")
			seen := c.looked(local, store.ErrandCheck, false)
			return access.RecordCheck{Target: seen.Target, Session: seen.Session, BeforeOf: seen.Report}
		}},
		{"removed meanwhile", access.NotFound, func(c *company) access.Command {
			return access.RecordCheck{Target: 99, Session: c.sessionID()}
		}},
		{"no kind of door", access.Invalid, func(c *company) access.Command {
			start := started(c)
			c.over(start.Session)
			t, _ := c.state.TargetByName("db1")
			return access.RecordCheck{
				Target: t.Entry, Session: start.Session, Report: store.DoorReport{Doors: []store.Door{{Kind: "window", Detail: "open"}}},
			}
		}},
		{"not shut", access.Conflict, func(c *company) access.Command {
			c.target("db1", "root")
			seen := c.looked(local, store.ErrandClose, false)
			return access.RecordClosed{By: local, Target: "db1", Session: seen.Session, Emergency: store.EmergencySerial}
		}},
		{"shut, seen by another look", access.Conflict, func(c *company) access.Command {
			c.target("db1", "root")
			c.looked(local, store.ErrandClose, true)
			return access.RecordClosed{By: local, Target: "db1", Session: c.sessionID(), Emergency: store.EmergencySerial}
		}},
		{"still shut", access.Conflict, func(c *company) access.Command {
			c.target("db1", "root")
			seen := c.looked(local, store.ErrandCheck, true)
			return access.RecordReopened{By: local, Target: "db1", Session: seen.Session}
		}},
	}
}
