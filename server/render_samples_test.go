package server_test

import (
	"errors"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// samples are one event of each type, and more where one doesn't show all.
func (s *site) samples() []store.Event {
	last := func(kind store.EventType) *store.Entry {
		all := s.entriesOf(kind)
		return all[len(all)-1]
	}
	signIn := last(store.TypeSignInSucceeded)
	in := signIn.Event.(*store.SignInSucceeded)
	user, source := in.User, in.Source
	target, grant, parent := last(store.TypeTargetAdded).Index, last(store.TypeGrantAdded).Index, last(store.TypeCertificateIssued).Index
	group := last(store.TypeGroupAdded).Index
	selector, err := store.ParseSelector("env=prod,role in (db,cache)")
	labels, err2 := store.ParseTargetLabels("env=prod,role=db")
	purposes, err3 := store.ParsePurposes("shell; sftp=read-only")
	hours, err4 := store.ParseHours("Mon-Fri 08:00-18:00 Europe/Berlin")
	if err := errors.Join(err, err2, err3, err4); err != nil {
		s.t.Fatal(err)
	}
	session := store.SessionID{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}
	until := store.At(time.Date(2026, 8, 2, 18, 0, 0, 0, time.UTC))
	bot, key := last(store.TypeBotAdded).Event.(*store.BotAdded).User, fixedKey(s.t, 3).PublicKey().Marshal()
	return []store.Event{
		s.entriesOf(store.TypeLedgerCreated)[0].Event,
		&store.RulesActivated{Rules: 2},
		&store.LedgerRestored{Base: 1 << 36, Size: 40, Root: store.Hash{1}},
		&store.ClockAccepted{Time: until},
		&store.SettingChanged{Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed},
		last(store.TypeUserAdded).Event,
		&store.UserRemoved{User: user},
		&store.UserErased{User: user},
		&store.InvitationCreated{User: user, Token: store.Hash{1}, Expires: until},
		last(store.TypeFactorEnrolled).Event,
		&store.FactorEnrolled{User: user, Kind: store.FactorPasskey, SignIn: signIn.Index, Name: s.opened(user, store.FieldFactor, "the blue key"), Passkey: &store.Passkey{
			Credential: []byte{1, 2, 3}, PublicKey: []byte{4, 5}, Counter: 7, AAGUID: store.AAGUID{0x2f, 15: 0x2a}, Flags: 0x45,
		}},
		&store.FactorNamed{User: user, Factor: 7, Name: s.opened(user, store.FieldFactor, "the green key")},
		&store.FactorRemoved{User: user, Factor: 7},
		&store.FactorCloned{User: user, Factor: 7, Counter: 6, Last: 8},
		in,
		&store.SignInSucceeded{
			User: user, Factor: 7, Kind: store.FactorPasskey, Token: store.Hash{1}, Expires: until, Source: source, Counter: 9,
			Key: store.ClientKey{3}, Machine: s.opened(user, store.FieldMachine, "carols-laptop"),
		},
		&store.SignInConfirmed{User: user, SignIn: signIn.Index, Factor: 7, Kind: store.FactorPasskey, Counter: 10, Source: source},
		&store.SignInConfirmed{User: user, SignIn: signIn.Index, Factor: 8, Kind: store.FactorTOTP, Step: 57_000_001, Source: source},
		&store.SignInFailed{User: user, Count: 7, Source: source},
		&store.SignInStopped{User: user, Count: 60},
		&store.RecoveryCreated{User: user, Codes: store.Hash{1}, Count: 10, Step: 57_000_000},
		&store.SignInSucceeded{User: user, Factor: 7, Kind: store.FactorRecovery, Token: store.Hash{1}, Expires: until, Source: source, Code: 3},
		&store.SignInEnded{User: user, SignIn: signIn.Index},
		last(store.TypeTargetAdded).Event,
		&store.TargetRemoved{Target: target},
		&store.TargetChecked{Target: target, Session: session, Doors: 3, New: 1, Gone: 2, Unread: 1, Report: s.doors()},
		&store.TargetChecked{Target: target, Session: session, Unread: 1, Report: store.Commitment{1}},
		&store.TargetClosed{Target: target, Session: session, Emergency: store.EmergencySerial + 9},
		&store.TargetReopened{Target: target, Session: session},
		&store.SessionStarted{Session: session, Target: target, Login: "root", Way: store.WayErrand, Errand: store.ErrandCheck},
		&store.CertificateIssued{
			Kind: store.CertificateTarget, TBS: store.Hash{2}, Expires: until, Rules: 1, Target: target, Login: "root", Session: session,
		},
		&store.GrantAdded{User: user, Target: target, Logins: []store.Login{"deploy", "root"}},
		&store.GrantAdded{User: user, Target: target, Logins: []store.Login{"root"}, From: store.At(s.clock.now()), Until: until},
		&store.GrantAdded{User: user, Target: target, Logins: []store.Login{"root"}, Conditions: store.Conditions{Passkey: 15}},
		&store.GrantAdded{Group: group, Targets: selector, Logins: []store.Login{"root"}, For: purposes, Hours: hours, Until: until,
			Conditions: store.Conditions{Reason: true, Ticket: "INC-[0-9]+", Approvals: 2, Approvers: group, Passkey: 15, Longest: 480}},
		&store.GrantAdded{User: user, Target: target, Logins: []store.Login{"root"}, Until: until, Request: 21, Base: grant},
		&store.GrantAdded{Targets: selector, Logins: []store.Login{}, Forbids: true, For: store.Purposes{{Purpose: store.PurposeDirect, Limits: []string{}}}},
		&store.GrantAdded{Group: group, Target: target, Logins: []store.Login{"root"}, Forbids: true},
		&store.TargetLabelled{Target: target, Labels: labels},
		&store.TargetLabelled{Target: target, Labels: store.TargetLabels{}},
		&store.GrantRemoved{User: user, Target: target, Grant: grant},
		last(store.TypeCertificateIssued).Event,
		&store.CertificateIssued{
			Kind: store.CertificateTarget, User: user, TBS: store.Hash{2}, Expires: until, Rules: 1,
			Target: target, Login: "root", Session: session, Parent: parent,
		},
		&store.CertificateIssued{
			Kind: store.CertificateTarget, User: user, TBS: store.Hash{2}, Expires: until, Rules: 1, SignIn: signIn.Index,
			Target: target, Login: "root", Direct: true, Grant: grant, Source: source,
		},
		&store.TargetRenamed{Target: target, Name: "db2"},
		&store.SessionStarted{
			Session: session, User: user, Target: target, Login: "root", Certificate: parent, Grant: grant, Way: store.WayJump, Source: source, Ends: until,
		},
		&store.SessionRefused{User: user, Target: target, Login: "deploy", Reason: store.RefusedLogin},
		&store.SessionRefused{User: user, Reason: store.RefusedNoTarget},
		&store.SessionEnded{
			Session: session, User: user, Target: target, Started: 12, Reason: store.EndedByUser, Duration: 61_500, In: 12, Out: 3456,
			Files: []store.RecordingFile{{Name: "session.jsonl", Label: "metadata", SHA256: store.Hash{3}}, {Name: "1.cast", Label: "replayable", Size: 99, SHA256: store.Hash{4}}},
		},
		&store.SessionEnded{Session: session, User: user, Target: 4, Started: 12, Reason: store.EndedInterrupted}, // an entry that is no target
		&store.SSOLinked{User: user, Identity: s.opened(user, store.FieldSSO, "https://login.example.eu\n24400320")},
		&store.SignInSucceeded{User: user, Factor: 9, Kind: store.FactorSSO, Token: store.Hash{1}, Expires: until, Source: source, SSO: 9, SID: store.Hash{1}},
		&store.LockAdded{User: user, Why: s.opened(user, store.FieldLock, "a stolen laptop")},
		&store.LockAdded{Target: target, Why: s.opened(store.UserID{}, store.FieldLock, "under attack")},
		&store.LockAdded{Session: session, Of: user, Why: s.opened(user, store.FieldLock, "who is that?")},
		&store.LockAdded{Serial: 17, Of: user, Why: s.opened(user, store.FieldLock, "the key was copied")},
		&store.LockRemoved{Lock: 1, User: user, Why: s.opened(user, store.FieldLock, "the laptop is back")}, // an entry that is no lock
		&store.LockRemoved{Lock: 1, Target: target},
		&store.GroupAdded{Name: "ops"},
		&store.GroupRenamed{Group: group, Name: "on-call"},
		&store.GroupRemoved{Group: group},
		&store.MemberAdded{Group: group, User: user},
		&store.MemberRemoved{Group: 1, User: user}, // an entry that is no group
		&store.UserContact{User: user, Email: s.opened(user, store.FieldEmail, "carol@example.eu")},
		&store.UserContact{User: user},
		&store.RecoveryBegun{User: user, Ready: until},
		&store.RecoveryStopped{User: user, Begun: 40},
		&store.RecoveryFinished{User: user, Begun: 40},
		last(store.TypeBotAdded).Event,
		&store.JoinCreated{User: bot, Token: store.Hash{1}, Expires: until},
		&store.FactorEnrolled{User: bot, Kind: store.FactorKey, Join: 50, Key: key, Name: s.opened(bot, store.FieldFactor, "runner 3")},
		&store.FactorEnrolled{User: bot, Kind: store.FactorKey, Key: key},
		&store.FactorRemoved{User: bot, Factor: 51},
		&store.SignInSucceeded{
			User: bot, Factor: 51, Kind: store.FactorKey, Token: store.Hash{1}, Expires: until, Source: s.opened(bot, store.FieldSource, "192.0.2.44"),
			Key: store.ClientKey{3}, Machine: s.opened(bot, store.FieldMachine, "runner-3"),
		},
		&store.CertificateIssued{Kind: store.CertificateUser, User: bot, TBS: store.Hash{2}, Expires: until, Rules: 1, SignIn: signIn.Index},
		&store.GrantAdded{User: bot, Target: target, Logins: []store.Login{"root"}},
		&store.SessionRefused{User: bot, Target: target, Login: "root", Reason: store.RefusedTouch},
		&store.UserRemoved{User: bot},
		&store.RequestMade{
			User: user, Target: target, Login: "root", Base: grant, For: store.DefaultPurposes(), Lasts: 5_400_000, Expires: until, Nonce: store.Hash{1}, Source: source,
			Reason: s.opened(user, store.FieldReason, "the disk is full"), Ticket: s.opened(user, store.FieldTicket, "INC-4711"),
		},
		&store.RequestMade{User: user, Target: target, Login: "root", Base: grant, Lasts: 90_000, Expires: until, Nonce: store.Hash{1}, Source: source},
		&store.RequestApproved{User: user, Target: target, Request: 40, SignIn: 9, Factor: 8, Kind: store.FactorPasskey, Nonce: store.Hash{1},
			Assertion: &store.Assertion{AuthenticatorData: make([]byte, 37), ClientDataJSON: []byte("{}"), Signature: []byte{1}}},
		&store.RequestApproved{User: user, Target: target, Request: 40, SignIn: 9, Factor: 8, Kind: store.FactorTOTP, Step: 7, Comment: store.Commitment{9}},
		&store.RequestDenied{User: user, Target: target, Request: 40, Comment: store.Commitment{9}},
		&store.RequestWithdrawn{User: user, Target: target, Request: 40},
		&store.ChangeProposed{User: user, Target: target, Expires: until, Source: source, Grant: &store.GrantAdded{User: user, Target: target, Logins: []store.Login{"root"}, Until: until}},
		&store.ChangeProposed{User: user, Target: target, Expires: until, Source: source, Ungrant: &store.GrantRemoved{User: user, Target: target, Grant: grant}},
		&store.ChangeProposed{User: user, Expires: until, Source: source, Join: &store.MemberAdded{Group: group, User: user}},
		&store.ChangeProposed{User: user, Expires: until, Source: source, Leave: &store.MemberRemoved{Group: group, User: user}},
		&store.ChangeProposed{User: user, Target: target, Expires: until, Source: source, Label: &store.TargetLabelled{Target: target, Labels: store.TargetLabels{}}},
		&store.ReviewStarted{Owner: user, Due: until, Revokes: true, Grants: []store.Index{grant, grant + 2}, Title: s.opened(store.UserID{}, store.FieldReview, "autumn"),
			Targets: selector, Group: group, User: bot},
		&store.ReviewStarted{Owner: user, Due: until, Grants: []store.Index{grant}},
		&store.ReviewAnswered{User: user, Target: target, Review: 40, Grant: grant, Answer: store.AnswerKeep},
		&store.ReviewAnswered{Review: 40, Grant: grant, Answer: store.AnswerRevoke, Comment: s.opened(store.UserID{}, store.FieldComment, "he left")},
		&store.GrantRemoved{User: user, Target: target, Grant: grant, Review: 40},
		&store.ReviewReminded{Owner: user, Review: 40},
		&store.ReviewEnded{Owner: user, Review: 1, Why: store.ReviewDue, Kept: 3, Revoked: 1, Unanswered: 2, Gone: 1}, // an entry that is no review
		&store.ReviewEnded{Owner: user, Review: 40, Why: store.ReviewAnsweredAll, Kept: 3},
		&store.SessionStarted{
			Session: session, User: user, Target: target, Login: "root", Certificate: parent, Grant: grant, Way: store.WayProxy, Source: source, Also: []store.Index{grant + 2},
		},
	}
}

// doors puts a report into the side table and returns what commits to it.
func (s *site) doors() store.Commitment {
	s.t.Helper()
	text, err := store.DoorReport{
		Doors: []store.Door{
			{Kind: store.DoorPassword, Account: "root", Detail: "a password is set"},
			{Kind: store.DoorKey, Account: "deploy", Detail: "SHA256:abc in /home/deploy/.ssh/authorized_keys"},
			{Kind: store.DoorDaemon, Detail: "dropbear"},
		},
		Unread: []string{"/etc/shadow"},
	}.Text()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.opened(store.UserID{}, store.FieldDoors, text)
}

// opened puts a text into the side table and returns what commits to it.
func (s *site) opened(owner store.UserID, field store.Field, text string) store.Commitment {
	s.t.Helper()
	opening := store.Opening{Owner: owner, Field: field, Salt: [32]byte{5}, Text: text}
	w, err := opening.SideWrite()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.node.Side(s.t.Context(), w); err != nil {
		s.t.Fatal(err)
	}
	return opening.Commit()
}
