package store

import (
	"errors"
	"fmt"
	"slices"
)

// checkEvent holds every event to the grammars and the closed sets, when it is
// written and when it is read: what a ledger says can be relied on without
// looking again.
func checkEvent(e Event) error {
	switch e := e.(type) {
	case *LedgerCreated:
		return check(want{e.Name != "", "a name"}, want{len(e.LogKey) == 32, "a log key of 32 bytes"})
	case *LedgerRestored:
		return check(want{0 < e.Base && e.Base < uint64(EmergencySerial), "a base below the emergency serials"})
	case *ClockAccepted:
		return check(want{e.Time > 0, "a moment"})
	case *SettingChanged:
		return e.Setting.Check(e.Value)
	case *UserAdded:
		return errors.Join(check(want{!e.User.IsZero(), "a user"}), checkRoles(e.Roles))
	case *BotAdded:
		return check(want{!e.User.IsZero(), "a user"})
	case *JoinCreated:
		return check(want{!e.User.IsZero(), "a user"}, want{e.Token != Hash{}, "the hash of a token"}, want{e.Expires > 0, "a moment"})
	case *FactorEnrolled:
		return e.check()
	case *FactorNamed:
		return check(want{!e.User.IsZero() && e.Factor != 0, "a user's factor"}, want{e.Name != Commitment{}, "a name"})
	case *FactorRemoved:
		return check(want{!e.User.IsZero() && e.Factor != 0, "a user's factor"})
	case *FactorCloned:
		return check(want{!e.User.IsZero() && e.Factor != 0, "a user's factor"}, want{e.Counter <= e.Last && e.Last <= 1<<32-1, "a counter that did not go on"})
	case *SignInConfirmed:
		return check(want{!e.User.IsZero() && e.SignIn != 0 && e.Factor != 0, "a user's sign-in session and factor"},
			want{e.Kind == FactorTOTP || e.Kind == FactorPasskey, "a kind of factor that is enrolled"},
			want{e.Kind == FactorTOTP || e.Step == 0, "a time step for TOTP alone"},
			want{e.Kind == FactorPasskey || e.Counter == 0, "a counter for a passkey alone"})
	case *RecoveryCreated:
		return check(want{!e.User.IsZero(), "a user"}, want{e.Codes != Hash{}, "the hash of a set"},
			want{0 < e.Count && e.Count <= MaxRecoveryCodes, "a count from 1 to 64"})
	case *UserContact:
		return check(want{!e.User.IsZero(), "a user"})
	case *RecoveryBegun:
		return check(want{!e.User.IsZero(), "a user"}, want{e.Ready > 0, "a moment"})
	case *UserErased:
		return check(want{!e.User.IsZero(), "a user"})
	case *RecoveryStopped:
		return check(want{!e.User.IsZero(), "a user"}, want{e.Begun != 0, "what was begun"})
	case *RecoveryFinished:
		return check(want{!e.User.IsZero(), "a user"}, want{e.Begun != 0, "what was begun"})
	case *SignInStopped:
		return check(want{!e.User.IsZero(), "a user"}, want{0 < e.Count && e.Count <= MaxFailureCount, "a count from 1 to 10000"})
	case *SignInSucceeded:
		recovery := e.Kind == FactorRecovery
		return check(want{e.Kind.valid(), "a known kind of factor"},
			want{recovery == (e.Code != 0) && e.Code <= MaxRecoveryCodes, "a code's number for a recovery code alone"},
			want{e.Kind == FactorTOTP || e.Step == 0, "a time step for TOTP alone"},
			want{e.Kind == FactorPasskey || e.Counter == 0, "a counter for a passkey alone"},
			want{e.Kind != FactorSSO || e.SSO != 0 && e.Factor == e.SSO, "a link as the factor of a single sign-on"},
			want{e.SSO != 0 || e.SID == Hash{}, "a provider's session with its link"},
			want{e.SSO == 0 || !recovery, "no recovery code beside a single sign-on"},
			want{e.SSO == 0 || e.Kind != FactorKey, "no single sign-on of a bot"})
	case *SignInFailed:
		return check(want{0 < e.Count && e.Count <= MaxFailureCount, "a count from 1 to 10000"})
	case *SSOLinked:
		return check(want{!e.User.IsZero(), "a user"}, want{e.Identity != Commitment{}, "an identity"})
	case *GroupAdded:
		_, err := ParseGroupName(string(e.Name))
		return err
	case *GroupRenamed:
		return checkGroup(e.Group, e.Name)
	case *GroupRemoved:
		return check(want{e.Group != 0, "a group"})
	case *MemberAdded:
		return checkMember(e.Group, e.User)
	case *MemberRemoved:
		return checkMember(e.Group, e.User)
	case *TargetAdded:
		_, err := ParseTargetName(string(e.Name))
		return errors.Join(err, check(want{len(e.HostKeys) > 0, "a pinned host key"}), checkLogins(e.Logins))
	case *TargetRenamed:
		_, err := ParseTargetName(string(e.Name))
		return errors.Join(err, check(want{e.Target != 0, "a target"}))
	case *TargetLabelled:
		return errors.Join(check(want{e.Target != 0, "a target"}), e.Labels.Check())
	case *TargetChecked:
		return check(want{e.Target != 0, "a target"}, want{!e.Session.IsZero(), "a session"},
			want{e.Doors+e.Unread <= MaxDoors && e.New <= e.Doors && e.Gone <= MaxDoors, "counts of one report"})
	case *TargetClosed:
		return check(want{e.Target != 0, "a target"}, want{!e.Session.IsZero(), "a session"},
			want{EmergencySerial <= e.Emergency && e.Emergency < SerialLimit, "an emergency certificate's serial"})
	case *TargetReopened:
		return check(want{e.Target != 0, "a target"}, want{!e.Session.IsZero(), "a session"})
	case *GrantAdded:
		return e.check()
	case *LockAdded:
		return e.check()
	case *LockRemoved:
		return check(want{e.Lock != 0, "a lock"})
	case *RequestMade:
		return e.check()
	case *RequestApproved:
		return e.check()
	case *RequestDenied:
		return check(want{!e.User.IsZero() && e.Request != 0, "a user's request"}, want{e.Comment != Commitment{}, "a comment"})
	case *RequestWithdrawn:
		return check(want{!e.User.IsZero() && e.Request != 0, "a user's request"})
	case *ReviewStarted:
		return e.check()
	case *ReviewAnswered:
		return e.check()
	case *ReviewReminded:
		return check(want{!e.Owner.IsZero() && e.Review != 0, "an owner's review"})
	case *ReviewEnded:
		return e.check()
	case *ChangeProposed:
		return e.check()
	case *CertificateIssued:
		target := e.Kind == CertificateTarget
		var err error
		if e.Login != "" {
			_, err = ParseLogin(string(e.Login))
		}
		return errors.Join(err, check(want{e.Kind.valid(), "a known kind of certificate"},
			want{target == (e.Target != 0), "a target for a target certificate alone"},
			want{target == (e.Login != ""), "a login for a target certificate alone"},
			want{(target && !e.Direct) == !e.Session.IsZero(), "a session for a target certificate alone that is not direct"},
			want{!e.Direct || target && e.SignIn != 0 && e.Parent == 0, "a sign-in session and no parent for a direct target certificate"},
			want{e.Direct == (e.Grant != 0), "a grant for a direct certificate alone"},
			want{e.Direct == (e.Source != Commitment{}), "a source for a direct certificate alone"},
			want{target && !e.Direct || !e.User.IsZero(), "a user, but for an errand"},
			want{!e.User.IsZero() || e.Parent == 0, "no parent without a user"}))
	case *SessionStarted:
		_, err := ParseLogin(string(e.Login))
		errand := e.Way == WayErrand
		return errors.Join(err, check(want{e.Way.valid(), "a known way in"}, want{!e.Session.IsZero(), "a session"},
			want{errand == e.User.IsZero(), "a user, but for an errand"},
			want{(e.Certificate == 0) == errand && (e.Grant == 0) == errand, "a certificate and a grant, but for an errand"},
			want{errand == (e.Errand != "") && (!errand || e.Errand.valid()), "a known errand"},
			want{len(e.Also) <= MaxAlso && (!errand || len(e.Also) == 0), "at most 100 other grants, and none of an errand"}))
	case *SessionRefused:
		var err error
		if e.Login != "" {
			_, err = ParseLogin(string(e.Login))
		}
		return errors.Join(err, check(want{e.Reason.valid(), "a known reason"}))
	case *SessionEnded:
		return check(want{e.Reason.valid(), "a known reason"}, want{e.Duration >= 0, "a duration"},
			want{!slices.ContainsFunc(e.Files, func(f RecordingFile) bool { return f.Size < 0 || !f.Label.valid() }), "sizes and labels of files"})
	}
	return nil
}

// A want is a condition and what it asks for, in words.
type want struct {
	ok   bool
	what string
}

func check(wants ...want) error {
	for _, w := range wants {
		if !w.ok {
			return fmt.Errorf("want %s", w.what)
		}
	}
	return nil
}

func checkRoles(roles []Role) error {
	if len(roles) == 0 {
		return errors.New("want a role")
	}
	for _, r := range roles {
		if !r.valid() {
			return &WordError{What: "role", Word: clip(string(r)), Want: words(Roles())}
		}
	}
	return nil
}

func checkLogins(logins []Login) error {
	if len(logins) == 0 {
		return errors.New("want a login")
	}
	for _, l := range logins {
		if _, err := ParseLogin(string(l)); err != nil {
			return err
		}
	}
	return nil
}
