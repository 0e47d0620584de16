package ledger

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// Issue has a command for a certificate decided, waits until its entry is
// durable and then signs exactly the bytes whose hash the entry holds. If the
// process dies before it returns, the certificate was never handed out and
// counts as issued all the same.
//
// Errors are those of Do.
func (l *Ledger) Issue(ctx context.Context, c access.Command) (*ssh.Certificate, Result, error) {
	r, err := l.Do(ctx, c)
	if err != nil {
		return nil, Result{}, err
	}
	if r.unsigned == nil {
		return nil, Result{}, fmt.Errorf("issuing: %T is not a command for a certificate", c)
	}
	authority := l.UserCA
	if r.unsigned.Kind() == ca.Target {
		authority = l.TargetCA
	}
	cert, err := authority.Sign(r.unsigned)
	if err != nil {
		return nil, Result{}, fmt.Errorf("signing the certificate of entry %d: %w", r.First, err)
	}
	reach(afterSign)
	return cert, r, nil
}

// ErrForgery is returned for a certificate that verifies under a CA key and is
// not in the ledger: somebody else has the key.
var ErrForgery = errors.New("certificate is not in the ledger")

// Issued returns the entry of a certificate, which holds the hash of exactly the
// bytes that the certificate's signature covers. It returns ErrForgery where
// there is no such entry.
func (l *Ledger) Issued(ctx context.Context, cert *ssh.Certificate) (store.Index, *store.CertificateIssued, error) {
	index, ok := l.State().CertificateIndex(store.Serial(cert.Serial))
	if !ok {
		return 0, nil, fmt.Errorf("%w: serial %d", ErrForgery, cert.Serial)
	}
	e, err := l.Proved(ctx, index)
	if err != nil {
		return 0, nil, err
	}
	issued, ok := e.Event.(*store.CertificateIssued)
	if !ok || issued.TBS != store.Hash(ca.Hash(cert)) {
		return 0, nil, fmt.Errorf("%w: serial %d", ErrForgery, cert.Serial)
	}
	return index, issued, nil
}
