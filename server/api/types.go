package api

import "time"

// TokenHeader carries the sign-in session's token, as "Bearer TOKEN".
const TokenHeader = "Authorization"

// MaxBody bounds a request's body in bytes.
const MaxBody = 64 << 10

// Info is what anybody may know of a server.
type Info struct {
	Name    string   `json:"name"`    // the permanent name
	Version string   `json:"version"` // of the server's program
	Suffix  string   `json:"suffix"`  // behind target names, without a dot: "pam"
	Relay   string   `json:"relay"`   // HOST:PORT of the SSH relay
	HostCA  string   `json:"host_ca"` // authorized_keys form
	LogKey  []byte   `json:"log_key"` // Ed25519 public key of the ledger
	Origin  string   `json:"origin"`  // of its checkpoints
	Size    uint64   `json:"size"`    // of the ledger
	Factors []string `json:"factors"` // kinds of factor that can be enrolled
}

// EnrollBeginRequest asks what an invitation is for. It may be asked again.
type EnrollBeginRequest struct {
	Token []byte `json:"token"` // 32 bytes
}

// EnrollBeginResponse holds the TOTP secret to put into an authenticator.
type EnrollBeginResponse struct {
	Handle string   `json:"handle"`
	Secret string   `json:"secret"` // base32
	URI    string   `json:"uri"`    // otpauth://totp/…
	QR     []string `json:"qr"`     // the URI as a QR code: rows of 0 and 1
	// Passkey asks the browser for a passkey instead; PasskeyRefusal says why it is
	// not asked.
	Passkey        *PasskeyOptions `json:"passkey,omitempty"`
	PasskeyRefusal string          `json:"passkey_refusal,omitempty"`
	Expires        time.Time       `json:"expires"`
}

// EnrollFinishRequest proves that the secret arrived. Where the call is signed with
// a key it also signs in, so the answer is that of a sign-in; it has recovery codes
// too.
type EnrollFinishRequest struct {
	Token   []byte `json:"token"`
	Code    string `json:"code"`
	Machine string `json:"machine,omitempty"` // what the machine calls itself
}

// SignInRequest proves an identity with a TOTP code or a recovery code. The call is
// signed with the key that the session will be bound to (ProofHeader).
type SignInRequest struct {
	Handle string `json:"handle"`
	Code   string `json:"code"`
	Device []byte `json:"device,omitempty"` // of the last SignInResponse on this machine

	Machine string `json:"machine,omitempty"` // what the machine calls itself
}

// SignInResponse opens a sign-in session.
type SignInResponse struct {
	Token   []byte    `json:"token,omitempty"` // 32 bytes; the secret of the session
	Handle  string    `json:"handle"`
	Roles   []string  `json:"roles"`
	Expires time.Time `json:"expires"`
	Factor  string    `json:"factor"` // the kind that it was opened with
	// Device is 32 bytes that the machine shows at its next sign-in, so that what
	// strangers get wrong is not held against it. It opens nothing.
	Device []byte `json:"device,omitempty"`
	// RecoveryCodes are shown once: after an enrolment, and never again.
	RecoveryCodes []string `json:"recovery_codes,omitempty"`
	RecoveryLeft  int      `json:"recovery_left"` // codes that were not used yet
}

// RecoveryRequest asks for new recovery codes, with a code that the authenticator
// shows now, or with none where the caller has confirmed who they are just now.
type RecoveryRequest struct {
	Code   string `json:"code"`
	Device []byte `json:"device,omitempty"`
}

// RecoveryResponse holds them, in place of all before. They are shown once.
type RecoveryResponse struct {
	Codes []string `json:"codes"`
}

// RenewResponse holds an invitation to enrol another authenticator.
type RenewResponse struct {
	Invitation string    `json:"invitation"`
	Expires    time.Time `json:"expires"`
}

// StatusResponse tells a signed-in user who the server thinks they are.
type StatusResponse struct {
	Handle  string    `json:"handle"`
	Roles   []string  `json:"roles"`
	SignIn  uint64    `json:"sign_in"` // index of the sign-in's entry
	Expires time.Time `json:"expires"`
	Targets int       `json:"targets"` // reachable now
	Factor  string    `json:"factor"`  // the kind that the sign-in was opened with
	Ends    time.Time `json:"ends"`    // if nothing is issued until then

	RecoveryLeft int `json:"recovery_left"` // recovery codes that were not used yet
}

// CertificateRequest asks for a user certificate for a key.
type CertificateRequest struct {
	PublicKey string `json:"public_key"` // authorized_keys form
}

// CertificateResponse holds the certificate.
type CertificateResponse struct {
	Certificate string    `json:"certificate"` // authorized_keys form
	Serial      uint64    `json:"serial"`
	Expires     time.Time `json:"expires"`
}

// DirectRequest asks for a certificate for a key that opens a login of a target
// without the relay.
type DirectRequest struct {
	PublicKey string `json:"public_key"` // authorized_keys form
	Target    string `json:"target"`
	Login     string `json:"login"`
}

// DirectResponse holds the certificate, and where the target is.
type DirectResponse struct {
	CertificateResponse
	Address  string   `json:"address"`   // HOST:PORT, as the server reaches it
	HostKeys []string `json:"host_keys"` // authorized_keys form; the host has one of them
}

// RenameTargetRequest gives a target another name.
type RenameTargetRequest struct {
	Name string `json:"name"`
}

// Target is a host as its users see it.
type Target struct {
	Name   string    `json:"name"`
	Logins []string  `json:"logins"` // that the user may use
	Until  time.Time `json:"until,omitzero"`
}

// User is a person as administrators see them.
type User struct {
	ID       string   `json:"id"`
	Handle   string   `json:"handle"`
	Roles    []string `json:"roles"`
	Enrolled bool     `json:"enrolled"`
	Email    string   `json:"email,omitempty"` // where they get notices
}

// EraseResponse says whom and how much was erased.
type EraseResponse struct {
	Users []string `json:"users"` // IDs
	Texts int      `json:"texts"`
}

// AddUserRequest adds a person. The answer holds their invitation.
type AddUserRequest struct {
	Handle string   `json:"handle"`
	Roles  []string `json:"roles"`
	Email  string   `json:"email,omitempty"`
	// Send has the invitation's link sent to Email, and shown to nobody.
	Send bool `json:"send,omitempty"`
}

// InviteRequest invites a person anew.
type InviteRequest struct {
	// Send has the invitation's link sent to the person's address, and shown to
	// nobody.
	Send bool `json:"send,omitempty"`
}

// AddUserResponse holds the invitation's text form, shown once.
type AddUserResponse struct {
	User       User      `json:"user"`
	Invitation string    `json:"invitation,omitempty"` // empty where it was sent
	Expires    time.Time `json:"expires"`
}

// ContactRequest says where a person gets notices.
type ContactRequest struct {
	Handle string `json:"handle,omitempty"` // empty: the caller
	Email  string `json:"email"`            // empty: nowhere
}

// AdminRecovery is the recovery of an administrator that is under way. Its Entry
// is 0 where there is none.
type AdminRecovery struct {
	Entry  uint64    `json:"entry"`
	Handle string    `json:"handle,omitempty"`
	Begun  time.Time `json:"begun,omitzero"`
	Ready  time.Time `json:"ready,omitzero"` // from when on it can be finished
	Ends   time.Time `json:"ends,omitzero"`  // when it is too late
}

// TargetDetail is a target as administrators see it.
type TargetDetail struct {
	ID       uint64   `json:"id"`
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Egress   string   `json:"egress"`
	Logins   []string `json:"logins"`
	HostKeys []string `json:"host_keys"`        // authorized_keys form
	Labels   string   `json:"labels,omitempty"` // KEY=VALUE, joined by commas

	Check CheckSummary `json:"check"`
}

// CheckSummary says in figures what the last look at a target found. Entry is 0
// where nobody has looked yet.
type CheckSummary struct {
	Entry  uint64    `json:"entry,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	Doors  uint64    `json:"doors"`           // other ways in
	New    uint64    `json:"new"`             // of them, that the look before did not find
	Gone   uint64    `json:"gone"`            // that it found, and that are gone
	Unread uint64    `json:"unread"`          // what could not be looked at
	Closed bool      `json:"closed"`          // VaultPAM's own closing is in force
	Missed time.Time `json:"missed,omitzero"` // when a look failed since
}

// A Door is one way into a host that does not lead through VaultPAM.
type Door struct {
	Kind    string `json:"kind"`
	Account string `json:"account,omitempty"` // of the host; empty for any
	Detail  string `json:"detail"`
}

// Check is what a look at a target found. Only where Doors and Unread are both
// empty is there no other way in.
type Check struct {
	CheckSummary
	Target  string   `json:"target"`
	Session string   `json:"session"`
	Ways    []Door   `json:"other_ways"`
	Unknown []string `json:"unknown"` // what could not be looked at
}

// ErrandRequest asks the server to log in on a target by itself. Login may be
// empty: then it is root where the target has that, else its first.
type ErrandRequest struct {
	Login string `json:"login,omitempty"`
}

// ClosingRequest names the emergency certificate that shuts a target's other
// ways in.
type ClosingRequest struct {
	Login       string `json:"login,omitempty"` // for the ordinary login
	Certificate string `json:"certificate"`     // authorized_keys form
}

// ClosingResponse holds what the holder of the emergency certificate runs on the
// host: Script, on the standard input of Close, or of Open to take it back.
type ClosingResponse struct {
	Check    Check    `json:"check"`
	Address  string   `json:"address"`   // HOST:PORT
	HostKeys []string `json:"host_keys"` // authorized_keys form
	Script   string   `json:"script"`
	Close    string   `json:"close"`
	Open     string   `json:"open"`
}

// ScanRequest asks the relay to read a host's keys.
type ScanRequest struct {
	Address string `json:"address"`
}

// ScanResponse holds the keys that the host showed and the address that the
// relay came from.
type ScanResponse struct {
	HostKeys []string `json:"host_keys"`
	Egress   string   `json:"egress"`
}

// AddTargetRequest registers a target with the keys that were looked at. Egress
// may be empty: then it is the address the relay comes from.
type AddTargetRequest struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Egress   string   `json:"egress,omitempty"`
	Logins   []string `json:"logins"`
	HostKeys []string `json:"host_keys"`
}

// Grant is who may reach what, for what, until when; or a guardrail, which forbids
// it. It is for a user or a group (a guardrail with neither is for everybody), and
// for a target or those that a selector chooses. docs/access.md has the forms of
// the texts.
type Grant struct {
	ID         uint64     `json:"id"`
	User       string     `json:"user,omitempty"`    // handle
	Group      string     `json:"group,omitempty"`   // name
	Target     string     `json:"target,omitempty"`  // name
	Targets    string     `json:"targets,omitempty"` // selector
	Logins     []string   `json:"logins"`            // of a guardrail none is all
	Forbids    bool       `json:"forbids,omitempty"`
	For        string     `json:"for,omitempty"` // purposes; empty: the usual ones, of a guardrail all
	From       time.Time  `json:"from,omitzero"`
	Until      time.Time  `json:"until,omitzero"`
	Hours      string     `json:"hours,omitempty"` // weekly, with their time zone
	Conditions Conditions `json:"conditions,omitzero"`
	Request    uint64     `json:"request,omitempty"` // the entry of the request that it answers
	Base       uint64     `json:"base,omitempty"`    // the grant by which it could be requested
}

// Conditions are what has to be there besides a grant.
type Conditions struct {
	Reason    bool   `json:"reason,omitempty"`    // a sentence of why
	Ticket    string `json:"ticket,omitempty"`    // RE2 pattern that a ticket fits
	Approvals uint64 `json:"approvals,omitempty"` // of so many people of Approvers
	Approvers string `json:"approvers,omitempty"` // group
	Passkey   uint64 `json:"passkey,omitempty"`   // minutes that a touch of one may be ago
	Longest   uint64 `json:"longest,omitempty"`   // minutes that a session lasts
}

// LabelsRequest gives a target these labels in place of its own.
type LabelsRequest struct {
	Labels string `json:"labels"` // KEY=VALUE, joined by commas; empty for none
}

// Entry is one line of the ledger as it is read.
type Entry struct {
	Index   uint64         `json:"index"`
	Time    time.Time      `json:"time"`
	Type    string         `json:"type"`
	Actor   string         `json:"actor"`            // handle, "server" or "local administrator"
	User    string         `json:"user,omitempty"`   // whom it concerns
	Target  string         `json:"target,omitempty"` // which target it concerns
	Fields  map[string]any `json:"fields"`           // the body, by name
	Summary string         `json:"summary"`          // one line for people
}

// EntriesResponse is a page of the ledger. Next is the query's before (newest
// first) or after for the following page; 0 where there is none.
type EntriesResponse struct {
	Entries []Entry `json:"entries"`
	Size    uint64  `json:"size"`
	Next    uint64  `json:"next,omitempty"`
}

// EntryResponse is one entry with everything that proves it.
type EntryResponse struct {
	Entry      Entry    `json:"entry"`
	Data       []byte   `json:"data"` // stored bytes
	Checkpoint []byte   `json:"checkpoint"`
	Proof      [][]byte `json:"proof"` // inclusion at the checkpoint's size
}

// RawResponse is a run of stored bytes, to verify the whole ledger with.
type RawResponse struct {
	From    uint64   `json:"from"`
	Records [][]byte `json:"records"`
}

// CheckpointResponse holds the last signed checkpoint and, where an earlier
// size was named, the proof that the ledger grew out of it.
type CheckpointResponse struct {
	Checkpoint []byte   `json:"checkpoint"`
	Proof      [][]byte `json:"proof,omitempty"`
}

// Session is a session as auditors see it.
type Session struct {
	ID       string    `json:"id"`
	Started  uint64    `json:"started"` // index of the entry
	Time     time.Time `json:"time"`
	User     string    `json:"user"`
	Target   string    `json:"target"`
	Login    string    `json:"login"`
	Ended    string    `json:"ended,omitempty"`    // reason
	Duration float64   `json:"duration,omitempty"` // seconds
}

// RecordingResponse holds a session's recording files. Ended is the index of the
// session's last entry, which holds their hashes; 0 while the session runs.
type RecordingResponse struct {
	Session string          `json:"session"`
	Ended   uint64          `json:"ended,omitempty"`
	Files   []RecordingFile `json:"files"`
}

// RecordingFile is one asciicast v2 file.
type RecordingFile struct {
	Name   string `json:"name"`
	SHA256 []byte `json:"sha256"`
	Data   []byte `json:"data"`
}
