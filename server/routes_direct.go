package server

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// directCertificate certifies a key of the caller's for a target itself, and says
// where that is and which host keys it was registered with.
func (n *Node) directCertificate(ctx context.Context, c call, q api.DirectRequest) (api.DirectResponse, error) {
	key, err := publicKey(q.PublicKey)
	if err != nil {
		return api.DirectResponse{}, err
	}
	issue := access.IssueDirectCertificate{By: c.caller, Key: key, Source: c.source.String()}
	if issue.Target, err = store.ParseTargetName(q.Target); err == nil {
		issue.Login, err = store.ParseLogin(q.Login)
	}
	if err != nil {
		return api.DirectResponse{}, api.NewError(api.KindInvalid, "vaultpam targets", "%v", err)
	}
	if err := draw(n.Random, issue.Nonce[:], issue.Salt[:]); err != nil {
		return api.DirectResponse{}, err
	}
	cert, r, err := n.ledger.Issue(ctx, issue)
	if err != nil {
		return api.DirectResponse{}, err
	}
	issued := r.Events[0].(*store.CertificateIssued)
	t, ok := n.ledger.State().Target(issued.Target)
	if !ok { // removed since: the certificate counts as issued, and nobody has it
		return api.DirectResponse{}, &access.Refusal{Kind: access.Forbidden, Message: "the target has just been removed", Hint: "vaultpam targets"}
	}
	line, err := ca.AuthorizedKey(cert)
	if err != nil {
		return api.DirectResponse{}, err
	}
	w := api.DirectResponse{
		CertificateResponse: api.CertificateResponse{Certificate: line, Serial: cert.Serial, Expires: issued.Expires.Time()},
		Address:             t.Address,
	}
	for _, blob := range t.HostKeys {
		pinned, err := ssh.ParsePublicKey(blob)
		if err != nil {
			return api.DirectResponse{}, fmt.Errorf("pinned host key of %s: %w", t.Name, err)
		}
		w.HostKeys = append(w.HostKeys, authorized(pinned))
	}
	return w, nil
}

func (n *Node) renameTarget(ctx context.Context, c call, q api.RenameTargetRequest) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.RenameTarget{By: c.caller, Name: store.TargetName(c.param("name")), To: q.Name})
	return api.Empty{}, err
}
