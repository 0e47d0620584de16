package api

// A Route is one call of the API and the roles that may make it. The server
// builds its handlers from this table, the client its requests, and a test
// walks it: a route without a row does not exist.
type Route struct {
	Method string
	Path   string // as net/http.ServeMux patterns
	Who    Who
	Does   string
}

// A Who is what a caller must be. The signed-in are people who hold a sign-in
// session; the named roles are also signed in; anybody needs nothing.
type Who string

const (
	WhoAnybody  Who = "anybody"
	WhoSignedIn Who = "signed-in"
	// WhoAlsoBots is a person who is signed in or a bot: every other row but those
	// for anybody refuses bots.
	WhoAlsoBots      Who = "signed-in, also bots"
	WhoAdministrator Who = "administrator"
	WhoAuditor       Who = "auditor"
	// WhoAnswerer is an approver, or an administrator, who answers what another one
	// proposes.
	WhoAnswerer Who = "approver, administrator"
	// WhoReader is an auditor or an administrator.
	WhoReader Who = "auditor, administrator"
)

// The routes. Request and answer types stand behind each in types.go.
var (
	RouteInfo         = Route{"GET", "/v1/info", WhoAnybody, "what this server is"}                                                                       // → Info
	RouteEnrollBegin  = Route{"POST", "/v1/enroll/begin", WhoAnybody, "read an invitation"}                                                               // EnrollBeginRequest → EnrollBeginResponse
	RouteEnrollFinish = Route{"POST", "/v1/enroll/finish", WhoAnybody, "use an invitation, and sign in"}                                                  // EnrollFinishRequest → SignInResponse
	RouteSignIn       = Route{"POST", "/v1/signin", WhoAnybody, "sign in"}                                                                                // SignInRequest → SignInResponse
	RouteSignInBegin  = Route{"POST", "/v1/signin/browser", WhoAnybody, "sign in by a browser"}                                                           // BrowserSignInRequest → BrowserResponse
	RouteRedeem       = Route{"POST", "/v1/signin/redeem", WhoAnybody, "the session of a sign-in by a browser"}                                           // RedeemRequest → RedeemResponse
	RouteEnrollKey    = Route{"POST", "/v1/enroll/passkey", WhoAnybody, "use an invitation for a passkey; a page's"}                                      // PasskeyRequest → EnrollPasskeyResponse
	RouteAsk          = Route{"POST", "/v1/ceremonies/{id}/begin", WhoAnybody, "what to ask the browser for; a page's"}                                   // → PasskeyOptions
	RouteAnswer       = Route{"POST", "/v1/ceremonies/{id}/finish", WhoAnybody, "a passkey's assertion; a page's"}                                        // PasskeyRequest → PasskeyOutcome
	RouteRegister     = Route{"POST", "/v1/ceremonies/{id}/register", WhoAnybody, "a new passkey; a page's"}                                              // PasskeyRequest → PasskeyOutcome
	RouteDeny         = Route{"POST", "/v1/ceremonies/{id}/deny", WhoAnybody, "it was somebody else who asked; a page's"}                                 // → PasskeyOutcome
	RouteSSO          = Route{"POST", "/v1/ceremonies/{id}/sso", WhoAnybody, "where the company's provider signs in; a page's"}                           // → SSOLocation
	RouteSSOFinish    = Route{"POST", "/v1/sso/finish", WhoAnybody, "back from the provider; a page's"}                                                   // SSOFinishRequest → SSOOutcome
	RouteSSOCode      = Route{"POST", "/v1/ceremonies/{id}/code", WhoAnybody, "a second factor after the provider; a page's"}                             // SSOCodeRequest → SSOOutcome
	RouteDeviceFind   = Route{"POST", "/v1/device/find", WhoAnybody, "the sign-in whose code was typed; a page's"}                                        // DeviceFindRequest → DeviceFindResponse
	RouteConfirm      = Route{"POST", "/v1/confirm", WhoSignedIn, "a page on which to touch a passkey"}                                                   // ConfirmRequest → ConfirmResponse
	RouteConfirmWait  = Route{"POST", "/v1/confirm/wait", WhoSignedIn, "wait for it"}                                                                     // WaitRequest → WaitResponse
	RouteConfirmCode  = Route{"POST", "/v1/confirm/code", WhoSignedIn, "the same by a code of an authenticator app"}                                      // ConfirmCodeRequest → Empty
	RouteFactors      = Route{"GET", "/v1/factors", WhoSignedIn, "the caller's factors"}                                                                  // → []Factor
	RouteFactorName   = Route{"POST", "/v1/factors/{id}", WhoSignedIn, "name one"}                                                                        // FactorNameRequest → Empty
	RouteFactorRemove = Route{"DELETE", "/v1/factors/{id}", WhoSignedIn, "remove one"}                                                                    // → Empty
	RouteSignIns      = Route{"GET", "/v1/signin/sessions", WhoSignedIn, "the caller's open sign-in sessions"}                                            // → []OpenSignIn
	RouteSignInEnd    = Route{"DELETE", "/v1/signin/sessions/{id}", WhoSignedIn, "end one"}                                                               // → Empty
	RouteCheckpoint   = Route{"GET", "/v1/checkpoint", WhoAnybody, "the last checkpoint; ?since=SIZE adds the proof"}                                     // → CheckpointResponse
	RouteSignOut      = Route{"POST", "/v1/signout", WhoAlsoBots, "end this sign-in session"}                                                             // → Empty
	RouteStatus       = Route{"GET", "/v1/status", WhoAlsoBots, "who is signed in"}                                                                       // → StatusResponse
	RouteCertificate  = Route{"POST", "/v1/certificate", WhoAlsoBots, "a user certificate"}                                                               // CertificateRequest → CertificateResponse
	RouteDirect       = Route{"POST", "/v1/certificate/direct", WhoAlsoBots, "a target certificate for the caller's own key, past the relay"}             // DirectRequest → DirectResponse
	RouteRecovery     = Route{"POST", "/v1/recovery", WhoSignedIn, "new recovery codes in place of those before"}                                         // RecoveryRequest → RecoveryResponse
	RouteRenew        = Route{"POST", "/v1/recovery/invitation", WhoSignedIn, "an invitation to enrol another authenticator, after a recovery code"}      // → RenewResponse
	RouteTargets      = Route{"GET", "/v1/targets", WhoAlsoBots, "the targets that the caller may reach"}                                                 // → []Target
	RouteExplain      = Route{"GET", "/v1/explain", WhoAlsoBots, "whether the caller may log in; ?login= target="}                                        // → Explanation
	RouteExplainFor   = Route{"GET", "/v1/audit/explain", WhoReader, "whether somebody may log in; ?user= login= target="}                                // → Explanation
	RouteWhoCould     = Route{"GET", "/v1/audit/who-could", WhoReader, "who could reach a target, or what a user; ?target= user= at= why="}               // → WhoCould
	RouteChanges      = Route{"GET", "/v1/audit/changes", WhoReader, "what changed of who could reach a target; ?target= from= to="}                      // → []ReachChange
	RouteFindings     = Route{"GET", "/v1/audit/findings", WhoReader, "the weak states that the company is in; ?at= severity="}                           // → Findings
	RouteEntries      = Route{"GET", "/v1/entries", WhoReader, "entries; ?type= user= target= since= until= limit= before="}                              // → EntriesResponse
	RouteEntry        = Route{"GET", "/v1/entries/{index}", WhoReader, "one entry with its proof; ?size= proves it at that size"}                         // → EntryResponse
	RouteRaw          = Route{"GET", "/v1/raw", WhoReader, "stored bytes; ?from= limit="}                                                                 // → RawResponse
	RouteSessions     = Route{"GET", "/v1/sessions", WhoReader, "sessions; ?user= target= since= until= limit="}                                          // → []Session
	RouteRecording    = Route{"GET", "/v1/sessions/{id}/recording", WhoAuditor, "a session's recording"}                                                  // → RecordingResponse
	RouteUsers        = Route{"GET", "/v1/admin/users", WhoReader, "all users"}                                                                           // → []User
	RouteUserAdd      = Route{"POST", "/v1/admin/users", WhoAdministrator, "add a user"}                                                                  // AddUserRequest → AddUserResponse
	RouteUserRemove   = Route{"DELETE", "/v1/admin/users/{handle}", WhoAdministrator, "remove a user"}                                                    // → Empty
	RouteUserErase    = Route{"POST", "/v1/admin/users/{handle}/erase", WhoAdministrator, "erase every text about a user who was removed"}                // → EraseResponse
	RouteUserInvite   = Route{"POST", "/v1/admin/users/{handle}/invitation", WhoAdministrator, "invite a user anew"}                                      // InviteRequest → AddUserResponse
	RouteContact      = Route{"POST", "/v1/contact", WhoSignedIn, "where one gets notices; of somebody else: administrator"}                              // ContactRequest → Empty
	RouteUserSSO      = Route{"POST", "/v1/admin/users/{handle}/sso", WhoAdministrator, "link a user to an account of the company's provider"}            // LinkSSORequest → Empty
	RouteGroups       = Route{"GET", "/v1/admin/groups", WhoReader, "all groups with their members"}                                                      // → []Group
	RouteGroupAdd     = Route{"POST", "/v1/admin/groups", WhoAdministrator, "add a group"}                                                                // GroupRequest → Group
	RouteGroupRename  = Route{"POST", "/v1/admin/groups/{name}", WhoAdministrator, "rename a group"}                                                      // GroupRequest → Empty
	RouteGroupRemove  = Route{"DELETE", "/v1/admin/groups/{name}", WhoAdministrator, "remove a group"}                                                    // → Empty
	RouteMemberAdd    = Route{"POST", "/v1/admin/groups/{name}/members", WhoAdministrator, "add somebody to a group"}                                     // MemberRequest → Changed
	RouteMemberRemove = Route{"DELETE", "/v1/admin/groups/{name}/members/{handle}", WhoAdministrator, "take somebody out of a group"}                     // → Changed
	RouteAllTargets   = Route{"GET", "/v1/admin/targets", WhoReader, "all targets"}                                                                       // → []TargetDetail
	RouteScan         = Route{"POST", "/v1/admin/scan", WhoAdministrator, "read a host's keys"}                                                           // ScanRequest → ScanResponse
	RouteTargetAdd    = Route{"POST", "/v1/admin/targets", WhoAdministrator, "register a target"}                                                         // AddTargetRequest → TargetDetail
	RouteTargetRemove = Route{"DELETE", "/v1/admin/targets/{name}", WhoAdministrator, "remove a target"}                                                  // → Empty
	RouteCheck        = Route{"POST", "/v1/admin/targets/{name}/check", WhoAdministrator, "look which other ways into a target there are"}                // ErrandRequest → Check
	RouteLastCheck    = Route{"GET", "/v1/admin/targets/{name}/check", WhoReader, "what the last look at a target found"}                                 // → Check
	RouteClosing      = Route{"POST", "/v1/admin/targets/{name}/closing", WhoAdministrator, "look, and hand out what shuts a target's other ways in"}     // ClosingRequest → ClosingResponse
	RouteClosed       = Route{"POST", "/v1/admin/targets/{name}/closed", WhoAdministrator, "look whether a target's other ways in are shut, and note it"} // ClosingRequest → Check
	RouteReopen       = Route{"POST", "/v1/admin/targets/{name}/reopen", WhoAdministrator, "take back what shut a target's other ways in"}                // ErrandRequest → Check
	RouteTargetLabels = Route{"POST", "/v1/admin/targets/{name}/labels", WhoAdministrator, "give a target labels in place of its own"}                    // LabelsRequest → Changed
	RouteTargetRename = Route{"POST", "/v1/admin/targets/{name}/name", WhoAdministrator, "give a target another name"}                                    // RenameTargetRequest → Empty
	RouteGrants       = Route{"GET", "/v1/admin/grants", WhoReader, "all grants"}                                                                         // → []Grant
	RouteGrantAdd     = Route{"POST", "/v1/admin/grants", WhoAdministrator, "add a grant"}                                                                // Grant → AddedGrant
	RouteGrantRemove  = Route{"DELETE", "/v1/admin/grants/{id}", WhoAdministrator, "remove a grant"}                                                      // → Changed
	RouteAccess       = Route{"POST", "/v1/admin/access", WhoAdministrator, "change groups, labels, grants and guardrails: all of it or nothing"}         // ChangesRequest → ChangesResponse

	RouteLocks  = Route{"GET", "/v1/admin/locks", WhoReader, "all locks in force"}                                   // → []Lock
	RouteLock   = Route{"POST", "/v1/admin/locks", WhoAdministrator, "lock a user, a target, a session or a serial"} // LockRequest → Lock
	RouteUnlock = Route{"POST", "/v1/admin/unlock", WhoAdministrator, "take a lock away"}                            // LockRequest → Empty

	RouteRequests        = Route{"GET", "/v1/requests", WhoSignedIn, "the requests and proposals that the caller may see"}        // → []AccessRequest
	RouteRequestMake     = Route{"POST", "/v1/requests", WhoSignedIn, "request what a grant with conditions says"}                // MakeRequest → AccessRequest
	RouteRequest         = Route{"GET", "/v1/requests/{id}", WhoSignedIn, "one of them"}                                          // → AccessRequest
	RouteRequestWait     = Route{"POST", "/v1/requests/{id}/wait", WhoSignedIn, "wait a while until it is answered"}              // → AccessRequest
	RouteRequestWithdraw = Route{"DELETE", "/v1/requests/{id}", WhoSignedIn, "withdraw the caller's own"}                         // → Empty
	RouteRequestApprove  = Route{"POST", "/v1/requests/{id}/approve", WhoAnswerer, "a page on which to approve it; or by a code"} // AnswerRequest → ConfirmResponse
	RouteRequestDeny     = Route{"POST", "/v1/requests/{id}/deny", WhoAnswerer, "deny it"}                                        // AnswerRequest → Empty

	RouteReviews      = Route{"GET", "/v1/reviews", WhoSignedIn, "the reviews that the caller may see"}                                     // → []Review
	RouteReviewStart  = Route{"POST", "/v1/reviews", WhoAdministrator, "ask somebody whether standing grants are still wanted"}             // StartReviewRequest → Review
	RouteReview       = Route{"GET", "/v1/reviews/{id}", WhoSignedIn, "one of them, with its grants; its owner, or auditor, administrator"} // → ReviewDetail
	RouteReviewAnswer = Route{"POST", "/v1/reviews/{id}/answer", WhoSignedIn, "keep or revoke grants; its owner, or administrator"}         // ReviewAnswerRequest → Review
	RouteReviewEnd    = Route{"POST", "/v1/reviews/{id}/end", WhoSignedIn, "end one; its owner, or administrator"}                          // → Review

	RouteAdminRecovery     = Route{"GET", "/v1/admin/recovery", WhoReader, "which recovery of an administrator is under way"} // → AdminRecovery
	RouteAdminRecoveryStop = Route{"DELETE", "/v1/admin/recovery", WhoAdministrator, "stop it"}                               // → Empty

	RouteBotChallenge = Route{"POST", "/v1/bots/challenge", WhoAnybody, "what a bot is to sign to sign in"}                            // BotChallengeRequest → BotChallengeResponse
	RouteBotSignIn    = Route{"POST", "/v1/bots/signin", WhoAnybody, "sign in as a bot"}                                               // BotSignInRequest → SignInResponse
	RouteBotJoin      = Route{"POST", "/v1/bots/join", WhoAnybody, "use a join token for a bot's key"}                                 // BotJoinRequest → BotJoinResponse
	RouteBots         = Route{"GET", "/v1/admin/bots", WhoReader, "all bots with their keys"}                                          // → []Bot
	RouteBotAdd       = Route{"POST", "/v1/admin/bots", WhoAdministrator, "add a bot, with a key or for a join token"}                 // AddBotRequest → BotResponse
	RouteBotRemove    = Route{"DELETE", "/v1/admin/bots/{handle}", WhoAdministrator, "remove a bot"}                                   // → Empty
	RouteBotToken     = Route{"POST", "/v1/admin/bots/{handle}/token", WhoAdministrator, "another join token in place of that before"} // BotTokenRequest → BotResponse
	RouteBotKeyAdd    = Route{"POST", "/v1/admin/bots/{handle}/keys", WhoAdministrator, "let a bot sign in with another key"}          // BotKeyRequest → BotResponse
	RouteBotKeyRemove = Route{"DELETE", "/v1/admin/bots/{handle}/keys/{id}", WhoAdministrator, "take a key from a bot"}                // → Empty
)

// Routes returns every route.
func Routes() []Route {
	return []Route{
		RouteInfo, RouteEnrollBegin, RouteEnrollFinish, RouteSignIn, RouteCheckpoint,
		RouteSignInBegin, RouteRedeem, RouteEnrollKey, RouteAsk, RouteAnswer, RouteRegister, RouteDeny, RouteDeviceFind,
		RouteSSO, RouteSSOFinish, RouteSSOCode,
		RouteConfirm, RouteConfirmWait, RouteConfirmCode, RouteFactors, RouteFactorName, RouteFactorRemove,
		RouteSignIns, RouteSignInEnd,
		RouteSignOut, RouteStatus, RouteCertificate, RouteDirect, RouteRecovery, RouteRenew, RouteTargets,
		RouteExplain, RouteExplainFor, RouteWhoCould, RouteChanges, RouteFindings,
		RouteEntries, RouteEntry, RouteRaw, RouteSessions, RouteRecording,
		RouteUsers, RouteUserAdd, RouteUserRemove, RouteUserInvite,
		RouteUserSSO, RouteUserErase, RouteGroups, RouteGroupAdd, RouteGroupRename, RouteGroupRemove, RouteMemberAdd, RouteMemberRemove,
		RouteAllTargets, RouteScan, RouteTargetAdd, RouteTargetRemove,
		RouteCheck, RouteLastCheck, RouteClosing, RouteClosed, RouteReopen,
		RouteTargetLabels, RouteTargetRename, RouteGrants, RouteGrantAdd, RouteGrantRemove, RouteAccess,
		RouteLocks, RouteLock, RouteUnlock,
		RouteContact, RouteRequests, RouteRequestMake, RouteRequest, RouteRequestWait, RouteRequestWithdraw, RouteRequestApprove, RouteRequestDeny,
		RouteReviews, RouteReviewStart, RouteReview, RouteReviewAnswer, RouteReviewEnd,
		RouteAdminRecovery, RouteAdminRecoveryStop,
		RouteBotChallenge, RouteBotSignIn, RouteBotJoin,
		RouteBots, RouteBotAdd, RouteBotRemove, RouteBotToken, RouteBotKeyAdd, RouteBotKeyRemove,
	}
}

// Pattern returns the route as a net/http.ServeMux pattern.
func (r Route) Pattern() string { return r.Method + " " + r.Path }

// Empty is the body of a request or an answer that says nothing more.
type Empty struct{}
