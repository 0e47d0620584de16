package server

import (
	"context"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

// handlers are the API's, one a route.
func (n *Node) handlers() []handler {
	return []handler{
		on(n, api.RouteInfo, n.getInfo),
		on(n, api.RouteEnrollBegin, n.enrollBegin),
		on(n, api.RouteEnrollFinish, n.enrollFinish),
		on(n, api.RouteSignIn, n.signIn),
		on(n, api.RouteSignInBegin, n.beginSignIn),
		on(n, api.RouteRedeem, n.redeem),
		on(n, api.RouteEnrollKey, n.enrollPasskey),
		on(n, api.RouteAsk, n.ask),
		on(n, api.RouteAnswer, n.answer),
		on(n, api.RouteRegister, n.register),
		on(n, api.RouteDeny, n.deny),
		on(n, api.RouteSSO, n.beginSSO),
		on(n, api.RouteSSOFinish, n.finishSSO),
		on(n, api.RouteSSOCode, n.codeAfterSSO),
		on(n, api.RouteDeviceFind, n.findDevice),
		on(n, api.RouteConfirm, n.confirm),
		on(n, api.RouteConfirmWait, n.confirmWait),
		on(n, api.RouteConfirmCode, n.confirmCode),
		on(n, api.RouteFactors, n.factors),
		on(n, api.RouteFactorName, n.nameFactor),
		on(n, api.RouteFactorRemove, n.removeFactor),
		on(n, api.RouteSignIns, n.signIns),
		on(n, api.RouteSignInEnd, n.endSignIn),
		on(n, api.RouteCheckpoint, n.checkpoint),
		on(n, api.RouteSignOut, n.signOut),
		on(n, api.RouteStatus, n.status),
		on(n, api.RouteCertificate, n.certificate),
		on(n, api.RouteDirect, n.directCertificate),
		on(n, api.RouteRecovery, n.newRecoveryCodes),
		on(n, api.RouteRenew, n.renewFactor),
		on(n, api.RouteTargets, n.myTargets),
		on(n, api.RouteExplain, n.explain),
		on(n, api.RouteExplainFor, n.explainFor),
		on(n, api.RouteWhoCould, n.whoCould),
		on(n, api.RouteChanges, n.changes),
		on(n, api.RouteFindings, n.findings),
		on(n, api.RouteEntries, n.entries),
		on(n, api.RouteEntry, n.entry),
		on(n, api.RouteRaw, n.raw),
		on(n, api.RouteSessions, n.sessions),
		on(n, api.RouteRecording, n.recording),
		on(n, api.RouteUsers, n.users),
		on(n, api.RouteUserAdd, n.addUser),
		on(n, api.RouteUserRemove, n.removeUser),
		on(n, api.RouteUserErase, n.eraseUser),
		on(n, api.RouteUserInvite, n.inviteUser),
		on(n, api.RouteContact, n.setContact),
		on(n, api.RouteRequests, n.requests),
		on(n, api.RouteRequestMake, n.makeRequest),
		on(n, api.RouteRequest, n.getRequest),
		on(n, api.RouteRequestWait, n.awaitRequest),
		on(n, api.RouteRequestWithdraw, n.withdrawRequest),
		on(n, api.RouteRequestApprove, n.approveRequest),
		on(n, api.RouteRequestDeny, n.denyRequest),
		on(n, api.RouteReviews, n.reviews),
		on(n, api.RouteReviewStart, n.startReview),
		on(n, api.RouteReview, n.getReview),
		on(n, api.RouteReviewAnswer, n.answerReview),
		on(n, api.RouteReviewEnd, n.endReview),
		on(n, api.RouteAdminRecovery, n.recovery),
		on(n, api.RouteAdminRecoveryStop, n.stopRecovery),
		on(n, api.RouteUserSSO, n.linkSSO),
		on(n, api.RouteBotChallenge, n.botChallenge),
		on(n, api.RouteBotSignIn, n.botSignIn),
		on(n, api.RouteBotJoin, n.botJoin),
		on(n, api.RouteBots, n.bots),
		on(n, api.RouteBotAdd, n.addBot),
		on(n, api.RouteBotRemove, n.removeBot),
		on(n, api.RouteBotToken, n.botToken),
		on(n, api.RouteBotKeyAdd, n.addBotKey),
		on(n, api.RouteBotKeyRemove, n.removeBotKey),
		on(n, api.RouteGroups, n.groups),
		on(n, api.RouteGroupAdd, n.addGroup),
		on(n, api.RouteGroupRename, n.renameGroup),
		on(n, api.RouteGroupRemove, n.removeGroup),
		on(n, api.RouteMemberAdd, n.addMember),
		on(n, api.RouteMemberRemove, n.removeMember),
		on(n, api.RouteAllTargets, n.allTargets),
		on(n, api.RouteScan, n.scan),
		on(n, api.RouteTargetAdd, n.addTarget),
		on(n, api.RouteTargetRemove, n.removeTarget), on(n, api.RouteTargetLabels, n.labelTarget),
		on(n, api.RouteTargetRename, n.renameTarget),
		on(n, api.RouteCheck, n.check),
		on(n, api.RouteLastCheck, n.lastCheck),
		on(n, api.RouteClosing, n.closing),
		on(n, api.RouteClosed, n.closed),
		on(n, api.RouteReopen, n.reopen),
		on(n, api.RouteGrants, n.grants),
		on(n, api.RouteGrantAdd, n.addGrant),
		on(n, api.RouteGrantRemove, n.removeGrant),
		on(n, api.RouteLocks, n.locks),
		on(n, api.RouteLock, n.addLock),
		on(n, api.RouteUnlock, n.removeLock),
		on(n, api.RouteAccess, n.changeAccess),
	}
}

func (n *Node) getInfo(context.Context, call, api.Empty) (api.Info, error) { return n.info(), nil }

func (n *Node) enrollFinish(ctx context.Context, c call, q api.EnrollFinishRequest) (api.SignInResponse, error) {
	s, err := n.login.FinishEnrolment(ctx, q.Token, q.Code, c.client(q.Machine))
	return signedIn(s), err
}

func (n *Node) signIn(ctx context.Context, c call, q api.SignInRequest) (api.SignInResponse, error) {
	s, err := n.login.SignIn(ctx, login.Proof{Handle: q.Handle, Code: q.Code, Device: q.Device}, c.client(q.Machine))
	return signedIn(s), err
}

func signedIn(s login.Session) api.SignInResponse {
	return api.SignInResponse{
		Token: s.Token, Handle: string(s.User.Handle), Roles: texts(s.User.Roles), Expires: s.Expires, Factor: string(s.Kind),
		Device: s.Device, RecoveryCodes: s.Codes, RecoveryLeft: s.User.Recovery.Left(),
	}
}

func (n *Node) newRecoveryCodes(ctx context.Context, c call, q api.RecoveryRequest) (api.RecoveryResponse, error) {
	codes, err := n.login.NewRecoveryCodes(ctx, c.caller, login.Proof{Code: q.Code, Device: q.Device}, c.client(""))
	return api.RecoveryResponse{Codes: codes}, err
}

func (n *Node) renewFactor(ctx context.Context, c call, _ api.Empty) (api.RenewResponse, error) {
	renew := access.RenewFactor{By: c.caller}
	inv, err := n.invitation(&renew.Invite)
	if err != nil {
		return api.RenewResponse{}, err
	}
	r, err := n.ledger.Do(ctx, renew)
	if err != nil {
		return api.RenewResponse{}, err
	}
	return api.RenewResponse{Invitation: inv.String(), Expires: r.Events[0].(*store.InvitationCreated).Expires.Time()}, nil
}

func (n *Node) checkpoint(ctx context.Context, c call, _ api.Empty) (api.CheckpointResponse, error) {
	since, err := number(c, "since")
	if err != nil {
		return api.CheckpointResponse{}, err
	}
	signed, proof, err := n.ledger.ProveSince(ctx, since)
	return api.CheckpointResponse{Checkpoint: signed, Proof: hashes(proof)}, err
}

func (n *Node) signOut(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.SignOut{By: c.caller})
	return api.Empty{}, err
}

func (n *Node) status(_ context.Context, c call, _ api.Empty) (api.StatusResponse, error) {
	s, now := n.ledger.State(), store.At(n.Now())
	u, x, err := s.Caller(c.caller, now)
	if err != nil {
		return api.StatusResponse{}, err
	}
	return api.StatusResponse{
		Handle: string(u.Handle), Roles: texts(u.Roles), SignIn: uint64(x.Entry),
		Expires: x.Expires.Time(), Targets: len(s.Reaches(u.ID, now)),
		Factor: string(x.Kind), Ends: x.Ends().Time(), RecoveryLeft: u.Recovery.Left(),
	}, nil
}

func (n *Node) certificate(ctx context.Context, c call, q api.CertificateRequest) (api.CertificateResponse, error) {
	key, err := publicKey(q.PublicKey)
	if err != nil {
		return api.CertificateResponse{}, err
	}
	issue := access.IssueUserCertificate{By: c.caller, Key: key}
	if err := draw(n.Random, issue.Nonce[:]); err != nil {
		return api.CertificateResponse{}, err
	}
	cert, r, err := n.ledger.Issue(ctx, issue)
	if err != nil {
		return api.CertificateResponse{}, err
	}
	line, err := ca.AuthorizedKey(cert)
	if err != nil {
		return api.CertificateResponse{}, err
	}
	return api.CertificateResponse{
		Certificate: line, Serial: cert.Serial,
		Expires: r.Events[0].(*store.CertificateIssued).Expires.Time(),
	}, nil
}

func (n *Node) myTargets(_ context.Context, c call, _ api.Empty) ([]api.Target, error) {
	s, now := n.ledger.State(), store.At(n.Now())
	u, _, err := s.Caller(c.caller, now)
	if err != nil {
		return nil, err
	}
	targets := []api.Target{}
	for _, r := range s.Reaches(u.ID, now) {
		targets = append(targets, api.Target{Name: string(r.Target.Name), Logins: texts(r.Logins), Until: r.Until.Time()})
	}
	return targets, nil
}

// publicKey parses a key in authorized_keys form, with nothing around it.
func publicKey(text string) (ssh.PublicKey, error) {
	text = strings.TrimSpace(text)
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	// ParseAuthorizedKey passes over lines that it can't read.
	if err != nil || strings.ContainsAny(text, "\r\n") || len(options) > 0 || len(rest) > 0 {
		return nil, api.NewError(api.KindInvalid, "", "that is not one public key in authorized_keys form")
	}
	return key, nil
}

// authorized returns a key in authorized_keys form, without a newline.
func authorized(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}

func texts[T ~string](words []T) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = string(w)
	}
	return out
}

func hashes(p store.Proof) [][]byte {
	out := make([][]byte, len(p))
	for i := range p {
		out[i] = p[i][:]
	}
	return out
}

// number is a query parameter that counts; absent, it is 0.
func number(c call, name string) (uint64, error) {
	text := c.query.Get(name)
	if text == "" {
		return 0, nil
	}
	v, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, api.NewError(api.KindInvalid, "", "%s: want a number", name)
	}
	return v, nil
}
