package access_test

import (
	"slices"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// one draws one of the values.
func one[T any](w *world, name string, values ...T) T {
	return rapid.SampledFrom(values).Draw(w.t, name)
}

// known draws something that there was at some time, the newest most often, or
// seldom something that never was.
func known[T any](w *world, name string, values []T, never T) T {
	if len(values) == 0 || w.seldom("never was") {
		return never
	}
	return values[len(values)-1-rapid.IntRange(0, min(len(values), 6)-1).Draw(w.t, name)]
}

// command draws a wish, sensible or not, of anybody.
func (w *world) command() access.Command {
	if w.seldom("restore") {
		return access.RestoreLedger{Size: uint64(w.state.Next()) + 5, Root: w.hash()}
	}
	switch rapid.IntRange(0, 75).Draw(w.t, "command") { // rapid prefers what comes first
	case 0, 1, 2:
		user, signIn := w.anyUser(), known(w, "sign-in", w.signIns, 1<<40)
		if x := w.model.signIns[signIn]; x != nil && !w.seldom("foreign sign-in") {
			user = x.user
		}
		return access.StartSession{
			Certificate: signIn, // the model reads it there
			SignIn:      signIn, User: user, Target: w.anyTarget(), Login: store.Login(w.anyLogin()),
			Way: one(w, "way", store.WayProxy, store.WayJump, store.WayName), Session: w.sessionID(), Source: "192.0.2.1", Salt: w.random(),
		}
	case 3:
		return access.IssueTargetCertificate{
			Session: known(w, "session", w.sessions, w.sessionID()), Key: keys().subject, Nonce: w.random(),
			Extensions: one(w, "extensions", nil, []string{ca.PermitPTY}, []string{ca.PermitPortForwarding, ca.PermitPTY}),
		}
	case 4, 5:
		return access.SignInWithTOTP{User: w.anyUser(), Step: w.stepOf(), Holder: holder(w.newToken())}
	case 6, 7:
		return w.addGrant()
	case 8:
		return access.IssueUserCertificate{By: w.caller(), Key: keys().subject, Nonce: w.random()}
	case 9:
		return access.EndSession{
			Session: known(w, "session", w.sessions, w.sessionID()), Reason: one(w, "reason", store.EndedByUser, store.EndedInterrupted),
			Duration: int64(rapid.IntRange(0, 1000).Draw(w.t, "duration")), Files: slices.Repeat([]store.RecordingFile{{Name: "1.cast", Label: store.LabelReplayable, Size: 1}}, one(w, "files", 0, 1, 300)),
		}
	case 10:
		return access.RemoveGrant{By: w.by(), Grant: known(w, "grant", w.grants, 0)}
	case 11:
		return access.SignOut{By: w.caller(), SignIn: one(w, "sign out of", 0, 0, 0, known(w, "sign-in", w.signIns, 1<<40))}
	case 12:
		return w.addTarget()
	case 13:
		return w.enrol()
	case 14:
		return access.InviteUser{By: w.by(), Handle: store.Handle(w.anyHandle()), Invite: w.invite()}
	case 15, 16:
		return access.AddUser{
			By: w.by(), ID: w.newUserID(), Handle: w.anyHandle(), Salt: w.random(),
			Roles:  rapid.SliceOfN(rapid.SampledFrom(append(store.Roles(), "god")), 0, 3).Draw(w.t, "roles"),
			Invite: w.invite(), Email: one(w, "first email", "", "", "carol@example.eu", "carol"), EmailSalt: w.random(),
		}
	case 17:
		return access.RemoveUser{By: w.by(), Handle: store.Handle(w.anyHandle())}
	case 18:
		return access.RemoveTarget{By: w.by(), Name: w.anyTarget()}
	case 19:
		return access.ChangeSetting{
			By: w.by(), Setting: one(w, "setting", store.SettingSelfGrant, store.SettingSelfGrant, store.SettingSignInIdle, store.SettingSignInLife, store.SettingBotSignInLife),
			Value: one(w, "value", store.SelfGrantAllowed, store.SelfGrantRefused, "", "30m", "5m", "168h", "4m59s", "1.5s"),
		}
	case 20:
		return access.RefuseSession{User: w.anyUser(), Reason: store.RefusedForgery}
	case 21, 22, 23, 24, 25, 60, 61:
		return w.errand()
	case 26, 27:
		user := w.anyUser()
		c := access.SignInWithRecoveryCode{
			User: user, Number: uint64(rapid.IntRange(0, 11).Draw(w.t, "number")), Holder: holder(w.newToken()),
		}
		if u := w.model.users[user]; u != nil && u.set != nil && !w.seldom("old codes") {
			c.Codes = u.set.Codes
		}
		return c
	case 28, 29:
		return access.CreateRecoveryCodes{By: w.caller(), Codes: w.hash(), Step: w.stepOf()}
	case 30, 62, 63, 69, 75:
		return access.RenewFactor{By: w.caller(), Invite: w.invite()}
	case 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41:
		return w.factorCommand()
	case 42, 43, 44:
		return w.recoverAdmin()
	case 45, 46:
		return access.SetContact{
			By: w.by(), Handle: store.Handle(one(w, "whose", w.anyHandle(), "")), Salt: w.random(),
			Email: one(w, "email", "carol@example.eu", "carol@example.eu", "", "carol@example.eu\r\nBcc: eve@example.eu"),
		}
	case 47, 48:
		return w.groupCommand()
	case 49, 50, 51, 52:
		return w.ssoCommand()
	case 53, 54, 55, 56:
		return w.grantCommand()
	case 57, 58, 59:
		return w.lockCommand()
	case 70, 71, 72, 73, 74:
		return w.directCommand()
	case 64, 65, 66, 67, 68:
		return w.botCommand()
	default:
		return access.NoteFailures{User: w.anyUser(), Count: one[uint64](w, "count", 0, 1, 1<<63), Source: "192.0.2.0/32", Salt: w.random()}
	}
}

func (w *world) addTarget() access.Command {
	return access.AddTarget{
		By: w.by(), Name: one(w, "name", "db1", "web1", "cache", "-db"), Address: "db1.example:22",
		HostKeys: one(w, "keys", []ssh.PublicKey{keys().subject}, []ssh.PublicKey{keys().authorities[ca.Host].PublicKey()}, nil, []ssh.PublicKey{keys().subject, keys().subject}),
		Logins:   rapid.SliceOfN(rapid.SampledFrom([]string{"root", "deploy", "www", "root"}), 1, 3).Draw(w.t, "logins"),
		Egress:   one(w, "egress", "198.51.100.1", "2001:db8::1", "", "0.0.0.0", "::ffff:192.0.2.1", "192.0.2.9", "192.0.2.8"),
	}
}

// errand draws what mostly comes next of a look at a target: begin it, end it,
// record it, and say what it showed.
func (w *world) errand() access.Command {
	x := w.anyErrand()
	next := rapid.IntRange(0, 3).Draw(w.t, "next")
	if last := w.model.checks[x.Target]; !w.seldom("out of order") {
		switch {
		case w.model.sessions[x.Session] != nil:
			return access.EndSession{Session: x.Session, Reason: store.EndedByTarget}
		case x.Target == 1<<40 || last != nil && last.Session == x.Session && next == 0:
			next = 0
		case last == nil || last.Session != x.Session:
			next = 1
		case last.Closed && next != 1:
			next = 2
		default:
			next = 3
		}
	}
	name := w.anyTarget()
	if t := w.model.targets[x.Target]; t != nil {
		name = t.Name
	}
	switch next {
	case 0:
		return access.StartErrand{
			By: one(w, "errand by", w.by(), w.by(), access.Caller{Timetable: true}), Target: w.anyTarget(),
			Errand: one(w, "errand", store.ErrandCheck, store.ErrandClose, store.ErrandReopen),
			Login:  one(w, "errand login", "", "", "root", "deploy", "nobody"), Session: w.sessionID(),
		}
	case 1:
		return w.recordCheck(x)
	case 2:
		return access.RecordClosed{By: w.by(), Target: name, Session: x.Session, Emergency: store.EmergencySerial + 1}
	default:
		return access.RecordReopened{By: w.by(), Target: name, Session: x.Session}
	}
}

// anyErrand draws one of the errands that there were.
func (w *world) anyErrand() *store.SessionStarted {
	return known(w, "an errand", w.model.errands, &store.SessionStarted{Session: w.sessionID(), Target: 1 << 40})
}

// recordCheck draws a report, mostly of an errand that is over and with what the
// report before it said.
func (w *world) recordCheck(x *store.SessionStarted) access.Command {
	c := access.RecordCheck{
		Target: x.Target, Session: x.Session, Closed: rapid.Bool().Draw(w.t, "closed"), Salt: w.random(),
		Report: store.DoorReport{
			Doors:  rapid.SliceOfN(rapid.SampledFrom(doors()), 0, 4).Draw(w.t, "doors"),
			Unread: rapid.SliceOfN(rapid.SampledFrom([]string{"/etc/shadow", "/home/x/.ssh/authorized_keys"}), 0, 2).Draw(w.t, "unread"),
		},
	}
	if last := w.model.checks[x.Target]; last != nil && !w.seldom("stale") {
		c.BeforeOf = last.Report
		c.Before, _ = w.text(last.Report)
	}
	return c
}

func doors() []store.Door {
	return []store.Door{
		{Kind: store.DoorPassword, Account: "root", Detail: "a password"},
		{Kind: store.DoorKey, Account: "root", Detail: "SHA256:x"},
		{Kind: store.DoorKey, Account: "deploy", Detail: "SHA256:x"},
		{Kind: store.DoorDaemon, Detail: "dropbear"},
	}
}

// seldom is true one time in twenty or less. Rapid prefers the ends of a range,
// so that the middle is rare.
func (w *world) seldom(what string) bool { return rapid.IntRange(0, 19).Draw(w.t, what) == 13 }

// by draws a caller.
func (w *world) by() access.Caller {
	if rapid.Bool().Draw(w.t, "local") {
		return local
	}
	return w.caller()
}

func (w *world) anyUser() store.UserID { return known(w, "user", w.users, w.userID()) }

func (w *world) anyHandle() string {
	return one(w, "handle", "alice", "bob", "carol", "carol", "carol", "ci", "dave", "Carol")
}

func (w *world) anyTarget() store.TargetName {
	return one(w, "target", "db1", "db1", "db1", "web1", store.TargetName("nothing"))
}

func (w *world) anyLogin() string { return one(w, "login", "root", "root", "deploy", "www", "nobody") }

// stepOf draws a time step near those that are used.
func (w *world) stepOf() uint64 {
	return uint64(1000 + len(w.signIns) - 2 + rapid.IntRange(-2, 5).Draw(w.t, "step"))
}

func (w *world) newUserID() store.UserID {
	if w.seldom("old user") {
		return w.anyUser()
	}
	return w.userID()
}

// newToken and invite draw a good one, mostly.
func (w *world) newToken() store.Hash { return w.mostly(w.tokens) }
func (w *world) invite() access.Invite {
	return access.Invite{Token: w.mostly(w.invitations)}
}

func (w *world) mostly(old []store.Hash) store.Hash {
	if w.seldom("old") {
		return known(w, "old", old, store.Hash{})
	}
	return w.hash()
}
