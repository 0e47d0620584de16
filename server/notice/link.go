package notice

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/vaultpam/vaultpam/store"
)

func linkKey(token store.Hash) []byte { return append([]byte(linkPrefix), token[:]...) }

// KeepLink returns what makes an invitation's link go out with the notice of it,
// by mail. It is written together with the invitation's entry, or the link is lost.
// It is sealed with XChaCha20-Poly1305, bound to whom and to the token's hash it
// belongs.
func (n *Notices) KeepLink(user store.UserID, token store.Hash, link string) (store.SideWrite, error) {
	if n.Mail == nil {
		return store.SideWrite{}, errors.New("keeping an invitation's link: no mail is sent")
	}
	nonce := make([]byte, n.seal.NonceSize())
	if _, err := io.ReadFull(n.Random, nonce); err != nil {
		return store.SideWrite{}, fmt.Errorf("sealing an invitation's link: %w", err)
	}
	return store.SideWrite{
		Table: store.SideNotices, Key: linkKey(token), Value: n.seal.Seal(nonce, nonce, []byte(link), append(user[:], token[:]...)),
	}, nil
}

// link opens what KeepLink kept, or returns store.ErrNotFound.
func (n *Notices) link(ctx context.Context, user store.UserID, token store.Hash) (string, error) {
	sealed, err := n.backend.Side(ctx, store.SideNotices, linkKey(token))
	if err != nil {
		return "", err
	}
	size := n.seal.NonceSize()
	if len(sealed) < size {
		return "", fmt.Errorf("%w: an invitation's link", store.ErrCorrupt)
	}
	link, err := n.seal.Open(nil, sealed[:size], sealed[size:], append(user[:], token[:]...))
	if err != nil {
		return "", fmt.Errorf("%w: an invitation's link was sealed with another key, or changed", store.ErrCorrupt)
	}
	return string(link), nil
}
