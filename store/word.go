package store

// The closed sets of words that stand in entries. A word that is not in its set
// makes the entry undecodable, and an undecodable entry stops deciding.

// A Role is what a person is in VaultPAM. One person may hold several.
type Role string

const (
	RoleEngineer      Role = "engineer"
	RoleApprover      Role = "approver"
	RoleAdministrator Role = "administrator"
	RoleAuditor       Role = "auditor"
)

// Roles returns all roles in the order in which they are listed.
func Roles() []Role {
	return []Role{RoleEngineer, RoleApprover, RoleAdministrator, RoleAuditor}
}

// A FactorKind is how a person proves who they are.
type FactorKind string

const (
	// FactorTOTP is a time-based one-time password (RFC 6238).
	FactorTOTP FactorKind = "totp"
	// FactorPasskey is a WebAuthn credential with user verification: a passkey or
	// a security key.
	FactorPasskey FactorKind = "passkey"
	// FactorRecovery is one of the codes that a person keeps on paper.
	FactorRecovery FactorKind = "recovery-code"
	// FactorSSO is the word of the company's OpenID provider that the person showed
	// a second factor there.
	FactorSSO FactorKind = "sso"
	// FactorKey is a bot's own key, with which it signs what the server asks it.
	FactorKey FactorKind = "key"
)

// A CertificateKind says which authority signed a certificate.
type CertificateKind string

const (
	// CertificateUser is a user's own certificate; the relay alone accepts it.
	CertificateUser CertificateKind = "user"
	// CertificateTarget opens one login on one target, for one session or directly.
	CertificateTarget CertificateKind = "target"
)

// A Way is how a connection came to the relay.
type Way string

const (
	// WayProxy is `vaultpam proxy` as ProxyCommand.
	WayProxy Way = "proxy"
	// WayJump is stock ProxyJump.
	WayJump Way = "jump"
	// WayName is a user name of the form login+target.
	WayName Way = "name"
	// WayErrand is no connection at all: the server itself has something to do
	// on the target.
	WayErrand Way = "errand"
)

// An Errand is what the server itself opens a session for.
type Errand string

const (
	// ErrandCheck looks which other ways into the host there are.
	ErrandCheck Errand = "check"
	// ErrandClose looks too, and is the ordinary login that has to work before
	// the other ways may be shut.
	ErrandClose Errand = "close"
	// ErrandReopen takes back what shut them.
	ErrandReopen Errand = "reopen"
)

// A Refusal is why a session did not start.
type Refusal string

const (
	RefusedNoTarget  Refusal = "no-such-target"
	RefusedNoGrant   Refusal = "no-grant"
	RefusedNotYet    Refusal = "grant-not-begun"
	RefusedEnded     Refusal = "grant-ended"
	RefusedLogin     Refusal = "login-not-granted"
	RefusedNoSignIn  Refusal = "not-signed-in"
	RefusedForgery   Refusal = "certificate-not-in-ledger"
	RefusedNotActive Refusal = "user-removed"
	RefusedTouch     Refusal = "touch-needed"
	RefusedHours     Refusal = "outside-hours"
	RefusedGuardrail Refusal = "forbidden"
	RefusedRequest   Refusal = "request-needed"
	RefusedLock      Refusal = "locked"
	RefusedDirect    Refusal = "not-directly"
)

// An EndReason is why a session ended.
type EndReason string

const (
	// EndedByUser: the user's side closed the connection.
	EndedByUser EndReason = "closed-by-user"
	// EndedByTarget: the target closed the connection.
	EndedByTarget EndReason = "closed-by-target"
	// EndedByGrant: the grant ended or was removed.
	EndedByGrant EndReason = "grant-ended"
	// EndedByHours: the grant's weekly hours closed.
	EndedByHours EndReason = "hours-closed"
	// EndedByGuardrail: a guardrail forbids the session.
	EndedByGuardrail EndReason = "forbidden"
	// EndedByLength: the session lasted as long as its grant lets one.
	EndedByLength EndReason = "longest-session"
	// EndedByLock: an administrator locked the user, the target, the certificate
	// that it came from, or the session itself.
	EndedByLock EndReason = "lock"
	// EndedByShutdown: the relay was stopped.
	EndedByShutdown EndReason = "relay-stopped"
	// EndedByRecorder: the recording could not go on.
	EndedByRecorder EndReason = "recording-failed"
	// EndedUnreachable: the target could not be reached.
	EndedUnreachable EndReason = "target-unreachable"
	// EndedHostKey: the target showed a host key that is not pinned.
	EndedHostKey EndReason = "host-key-mismatch"
	// EndedRefusedByTarget: the target did not accept the certificate.
	EndedRefusedByTarget EndReason = "refused-by-target"
	// EndedRelayFailed: the relay could no longer decide or certify.
	EndedRelayFailed EndReason = "relay-failed"
	// EndedInterrupted: the relay died; found at the next start.
	EndedInterrupted EndReason = "interrupted"
)

// A Label says what the record of a channel can show.
type Label string

const (
	// LabelReplayable: what the terminal showed can be played.
	LabelReplayable Label = "replayable"
	// LabelMetadata: the streams and what is said about them are there to read.
	LabelMetadata Label = "metadata"
	// LabelOpaque: that there was something, how much of it, and its hash.
	LabelOpaque Label = "opaque"
)

func known[T comparable](word T, set ...T) bool {
	for _, w := range set {
		if w == word {
			return true
		}
	}
	return false
}

func (r Role) valid() bool { return known(r, Roles()...) }
func (k FactorKind) valid() bool {
	return known(k, FactorTOTP, FactorPasskey, FactorRecovery, FactorSSO, FactorKey)
}
func (k CertificateKind) valid() bool { return known(k, CertificateUser, CertificateTarget) }
func (l Label) valid() bool           { return known(l, LabelReplayable, LabelMetadata, LabelOpaque) }
func (w Way) valid() bool             { return known(w, WayProxy, WayJump, WayName, WayErrand) }
func (e Errand) valid() bool          { return known(e, ErrandCheck, ErrandClose, ErrandReopen) }

func (r Refusal) valid() bool {
	return known(r, RefusedNoTarget, RefusedNoGrant, RefusedNotYet, RefusedEnded, RefusedLogin,
		RefusedNoSignIn, RefusedForgery, RefusedNotActive, RefusedTouch,
		RefusedHours, RefusedGuardrail, RefusedRequest, RefusedLock, RefusedDirect)
}

func (r EndReason) valid() bool {
	return known(r, EndedByUser, EndedByTarget, EndedByGrant, EndedByHours, EndedByGuardrail, EndedByLength, EndedByShutdown, EndedByRecorder,
		EndedUnreachable, EndedHostKey, EndedRefusedByTarget, EndedRelayFailed,
		EndedInterrupted, EndedByLock)
}

// ParseRole returns s as a Role.
func ParseRole(s string) (Role, error) {
	if r := Role(s); r.valid() {
		return r, nil
	}
	return "", &WordError{What: "role", Word: clip(s), Want: words(Roles())}
}
