package store_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/vaultpam/vaultpam/store"
)

// examples returns one entry of every event type, with every field set where
// the type allows it, and a second one where fields may be missing. They are
// what testdata/entries.golden holds: add to the end, change none.
func examples() []*store.Entry {
	user, session := store.UserID{1, 2, 15: 16}, store.SessionID{0xf8, 6: 0x41, 8: 0xa7, 15: 0xf6}
	hash, commitment := store.Hash{1, 31: 32}, store.Commitment{2, 31: 33}
	key := []byte("\x00\x00\x00\x0bssh-ed25519")
	events := []store.Event{
		&store.LedgerCreated{Name: "pam.example.eu", Rules: 1, LogKey: hash[:], UserCA: key, TargetCA: key, HostCA: key, EmergencyCA: key},
		&store.RulesActivated{Rules: 2},
		&store.UserAdded{User: user, Handle: commitment, Roles: store.Roles()},
		&store.UserRemoved{User: user},
		&store.UserErased{User: user},
		&store.InvitationCreated{User: user, Token: hash, Expires: 1_800_000_000_000},
		&store.FactorEnrolled{User: user, Kind: store.FactorTOTP, Invitation: 4, Step: 56_666_666},
		&store.SignInSucceeded{User: user, Factor: 5, Kind: store.FactorTOTP, Step: 56_666_667, Token: hash, Expires: 1_800_000_000_000, Source: commitment},
		&store.SignInFailed{User: user, Count: store.MaxFailureCount, Source: commitment},
		&store.SignInEnded{User: user, SignIn: 6},
		&store.TargetAdded{Name: "db1.prod", Address: "10.0.0.7:22", HostKeys: [][]byte{key}, Logins: []store.Login{"root", "deploy"}, Egress: "10.0.0.1"},
		&store.TargetRemoved{Target: 9},
		&store.GrantAdded{User: user, Target: 9, Logins: []store.Login{"root"}, From: 1_700_000_000_000, Until: 1_800_000_000_000},
		&store.GrantRemoved{User: user, Target: 9, Grant: 11},
		&store.CertificateIssued{Kind: store.CertificateTarget, User: user, TBS: hash, Expires: 1_700_000_060_000, Rules: 1, SignIn: 6, Target: 9, Login: "root", Session: session, Parent: 12},
		&store.SessionStarted{Session: session, User: user, Target: 9, Login: "root", Certificate: 13, Grant: 11, Way: store.WayProxy, Source: commitment, Ends: 1_800_000_000_000},
		&store.SessionRefused{User: user, Target: 9, Login: "root", Reason: store.RefusedNoGrant},
		&store.SessionEnded{Session: session, User: user, Target: 9, Started: 14, Reason: store.EndedByUser, Duration: 1500, In: 12, Out: 3456,
			Files: []store.RecordingFile{{Name: "000.age", Label: "replayable", Size: 3456, SHA256: hash}}},

		&store.FactorEnrolled{User: user, Kind: store.FactorTOTP, Invitation: 4},
		&store.SignInSucceeded{User: user, Factor: 5, Kind: store.FactorTOTP, Token: hash, Expires: 1_800_000_000_000, Source: commitment},
		&store.GrantAdded{User: user, Target: 9, Logins: []store.Login{"root"}},
		&store.CertificateIssued{Kind: store.CertificateUser, User: user, TBS: hash, Expires: 1_700_000_300_000, Rules: 1, SignIn: 6},
		&store.SessionStarted{Session: session, User: user, Target: 9, Login: "root", Certificate: 13, Grant: 11, Way: store.WayName, Source: commitment},
		&store.SessionRefused{User: user, Reason: store.RefusedNoTarget},
		&store.SessionEnded{Session: session, User: user, Target: 9, Started: 14, Reason: store.EndedInterrupted},

		&store.SettingChanged{Setting: store.SettingSelfGrant, Value: store.SelfGrantAllowed},
		&store.LedgerRestored{Base: 1 << 36, Size: 40, Root: hash},
		&store.LedgerRestored{Base: 2 << 36},
		&store.ClockAccepted{Time: 1_700_000_000_000},

		&store.SessionStarted{Session: session, Target: 9, Login: "root", Way: store.WayErrand, Errand: store.ErrandCheck},
		&store.CertificateIssued{Kind: store.CertificateTarget, TBS: hash, Expires: 1_700_000_060_000, Rules: 1, Target: 9, Login: "root", Session: session},
		&store.TargetChecked{Target: 9, Session: session, Doors: 3, New: 2, Gone: 1, Unread: 1, Closed: true, Report: commitment},
		&store.TargetChecked{Target: 9, Session: session, Report: commitment},
		&store.TargetClosed{Target: 9, Session: session, Emergency: store.EmergencySerial + 7},
		&store.TargetReopened{Target: 9, Session: session},

		&store.RecoveryCreated{User: user, Codes: hash, Count: 10, Step: 56_666_668},
		&store.RecoveryCreated{User: user, Codes: hash, Count: 10},
		&store.SignInSucceeded{User: user, Factor: 34, Kind: store.FactorRecovery, Token: hash, Expires: 1_800_000_000_000, Source: commitment, Code: 7},
		&store.SignInStopped{User: user, Count: 60},

		&store.FactorEnrolled{User: user, Kind: store.FactorPasskey, SignIn: 6, Name: commitment, Passkey: &store.Passkey{
			Credential: hash[:], PublicKey: key, Counter: 7, AAGUID: store.AAGUID{0x2f, 15: 0x2a}, Flags: 0x45}},
		&store.FactorEnrolled{User: user, Kind: store.FactorPasskey, Invitation: 4, Passkey: &store.Passkey{Credential: hash[:1], PublicKey: key}},
		&store.FactorNamed{User: user, Factor: 39, Name: commitment},
		&store.FactorRemoved{User: user, Factor: 39},
		&store.FactorCloned{User: user, Factor: 39, Counter: 6, Last: 7},
		&store.SignInSucceeded{User: user, Factor: 39, Kind: store.FactorPasskey, Token: hash, Expires: 1_800_000_000_000, Source: commitment,
			Counter: 8, Key: store.ClientKey(hash), Machine: commitment},
		&store.SignInConfirmed{User: user, SignIn: 44, Factor: 39, Kind: store.FactorPasskey, Counter: 9, Source: commitment},
		&store.SignInConfirmed{User: user, SignIn: 44, Factor: 5, Kind: store.FactorTOTP, Step: 56_666_669, Source: commitment},
		&store.UserContact{User: user, Email: commitment},
		&store.UserContact{User: user},
		&store.RecoveryBegun{User: user, Ready: 1_700_000_086_400},
		&store.RecoveryStopped{User: user, Begun: 40},
		&store.RecoveryFinished{User: user, Begun: 40},

		&store.GroupAdded{Name: "dba"},
		&store.GroupRenamed{Group: 47, Name: "on-call.eu"},
		&store.GroupRemoved{Group: 47},
		&store.MemberAdded{Group: 47, User: user},
		&store.MemberRemoved{Group: 47, User: user},

		&store.SSOLinked{User: user, Identity: commitment},
		&store.SignInSucceeded{User: user, Factor: 52, Kind: store.FactorSSO, Token: hash, Expires: 1_800_000_000_000, Source: commitment,
			Key: store.ClientKey(hash), SSO: 52, SID: hash},
		&store.SignInSucceeded{User: user, Factor: 39, Kind: store.FactorPasskey, Token: hash, Expires: 1_800_000_000_000, Source: commitment,
			Counter: 10, Key: store.ClientKey(hash), SSO: 52},
		&store.GrantAdded{
			User: user, Target: 9, Logins: []store.Login{"root"}, Request: 50, Base: 11,
			For: store.DefaultPurposes(), Hours: must(store.ParseHours("Mon-Fri 08:00-18:00 Europe/Berlin")),
			Conditions: store.Conditions{Reason: true, Ticket: "INC-[0-9]+", Approvals: 2, Approvers: 60, Passkey: 15, Longest: 480},
		},
		&store.GrantAdded{Group: 60, Logins: []store.Login{}, Targets: must(store.ParseSelector("env=prod,role in (cache,db)")), Forbids: true},
		&store.TargetLabelled{Target: 9, Labels: must(store.ParseTargetLabels("env=prod,role=db"))},
		&store.TargetLabelled{Target: 9, Labels: store.TargetLabels{}},

		&store.LockAdded{User: user, Why: commitment},
		&store.LockAdded{Target: 9, Why: commitment},
		&store.LockAdded{Session: session, Of: user, Why: commitment},
		&store.LockAdded{Serial: 13, Of: user, Why: commitment},
		&store.LockRemoved{Lock: 60, User: user, Why: commitment},
		&store.LockRemoved{Lock: 61, Target: 9},
		&store.SessionRefused{User: user, Target: 9, Login: "root", Reason: store.RefusedLock},
		&store.SessionEnded{Session: session, User: user, Target: 9, Started: 14, Reason: store.EndedByLock},

		&store.BotAdded{User: user, Handle: commitment},
		&store.JoinCreated{User: user, Token: hash, Expires: 1_800_000_000_000},
		&store.FactorEnrolled{User: user, Kind: store.FactorKey, Key: key, Join: 62, Name: commitment},
		&store.FactorEnrolled{User: user, Kind: store.FactorKey, Key: key},
		&store.SignInSucceeded{User: user, Factor: 63, Kind: store.FactorKey, Token: hash, Expires: 1_800_000_000_000, Source: commitment, Key: store.ClientKey(hash)},
		&store.RequestMade{
			User: user, Target: 9, Login: "root", Base: 11, For: must(store.ParsePurposes("shell; sftp=read-only")), Lasts: 3_600_000,
			Reason: commitment, Ticket: commitment, Expires: 1_700_000_028_800, Nonce: hash, Source: commitment,
		},
		&store.RequestMade{User: user, Target: 9, Login: "root", Base: 11, Lasts: 3_600_000, Expires: 1_700_000_028_800, Nonce: hash, Source: commitment},
		&store.RequestApproved{User: user, Target: 9, Request: 60, SignIn: 44, Factor: 39, Kind: store.FactorPasskey, Nonce: hash, Comment: commitment,
			Assertion: &store.Assertion{AuthenticatorData: make([]byte, 37), ClientDataJSON: []byte("{}"), Signature: []byte{1}}},
		&store.RequestApproved{User: user, Target: 9, Request: 60, SignIn: 44, Factor: 5, Kind: store.FactorTOTP, Step: 56_666_670},
		&store.RequestDenied{User: user, Target: 9, Request: 60, Comment: commitment},
		&store.RequestWithdrawn{User: user, Target: 9, Request: 60},
		&store.ChangeProposed{User: user, Target: 9, Expires: 1_700_000_000_000, Source: commitment,
			Grant: &store.GrantAdded{User: user, Target: 9, Logins: []store.Login{"root"}, Until: 1_700_000_000_000}},
		&store.ChangeProposed{User: user, Target: 9, Expires: 1_700_000_000_000, Source: commitment, Ungrant: &store.GrantRemoved{Target: 9, Grant: 15}},
		&store.ChangeProposed{User: user, Expires: 1_700_000_000_000, Source: commitment, Join: &store.MemberAdded{Group: 30, User: user}},
		&store.ChangeProposed{User: user, Expires: 1_700_000_000_000, Source: commitment, Leave: &store.MemberRemoved{Group: 30, User: user}},
		&store.ChangeProposed{User: user, Target: 9, Expires: 1_700_000_000_000, Source: commitment, Label: &store.TargetLabelled{Target: 9, Labels: store.TargetLabels{}}},

		&store.ReviewStarted{Owner: user, Due: 1_700_002_592_000, Revokes: true, Grants: []store.Index{11, 13, 4711}, Title: commitment,
			Targets: must(store.ParseSelector("env=prod")), Group: 60, User: user},
		&store.ReviewStarted{Owner: user, Due: 1_700_002_592_000, Grants: []store.Index{11}},
		&store.ReviewAnswered{User: user, Target: 9, Review: 80, Grant: 11, Answer: store.AnswerKeep},
		&store.ReviewAnswered{User: user, Target: 9, Review: 80, Grant: 13, Answer: store.AnswerRevoke, Comment: commitment},
		&store.GrantRemoved{User: user, Target: 9, Grant: 13, Review: 80},
		&store.ReviewReminded{Owner: user, Review: 80},
		&store.ReviewEnded{Owner: user, Review: 80, Why: store.ReviewDue, Kept: 1, Revoked: 2, Unanswered: 3, Gone: 4},
		&store.SessionStarted{Session: session, User: user, Target: 9, Login: "root", Certificate: 13, Grant: 11, Way: store.WayProxy, Source: commitment,
			Also: []store.Index{12, 40}},
		&store.CertificateIssued{
			Kind: store.CertificateTarget, User: user, TBS: hash, Expires: 1_700_000_300_000, Rules: 1, SignIn: 6,
			Target: 9, Login: "root", Direct: true, Grant: 11, Source: commitment,
		},
		&store.TargetRenamed{Target: 9, Name: "db2.prod"},
		&store.SessionRefused{User: user, Target: 9, Login: "root", Reason: store.RefusedDirect},
	}
	actors := []store.Actor{{Local: true}, {User: user}, {}}
	entries := make([]*store.Entry, len(events))
	for i, event := range events {
		entries[i] = &store.Entry{
			Index: store.Index(i), Time: 1_700_000_000_000 + store.Millis(i), Actor: actors[i%len(actors)], Event: event,
		}
	}
	return entries
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// eventTypes returns the event types that the package's source declares, so
// that a new one can't be left out of a test.
func eventTypes(t *testing.T) []store.EventType {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "event.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var types []store.EventType
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != "EventType" {
			return true
		}
		s, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, store.EventType(s))
		return true
	})
	if len(types) < 17 {
		t.Fatalf("only %d event types in event.go", len(types))
	}
	return types
}
