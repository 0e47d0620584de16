package login

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
)

const (
	// logoutWindow is how old a logout token may be, and how much later than us its
	// maker's clock may be.
	logoutWindow = 2 * time.Minute
	maxLogout    = 16 << 10
	maxLogouts   = 100_000
)

// logouts are the tokens that were used, for as long as they could be used again. A
// server that starts anew has forgotten them: a token that somebody shows it a second
// time within two minutes ends sessions once more, and can do nothing else.
type logouts struct {
	mu   sync.Mutex // guards used
	used map[string]time.Time
}

func newLogouts() *logouts { return &logouts{used: map[string]time.Time{}} }

// take reports whether a token was not used yet, and that it is now.
func (t *logouts) take(id string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other, at := range t.used {
		if now.Sub(at) > 2*logoutWindow {
			delete(t.used, other)
		}
	}
	if _, again := t.used[id]; again || len(t.used) >= maxLogouts {
		return false
	}
	t.used[id] = now
	return true
}

// errLogout answers a logout token that is none.
var errLogout = &access.Refusal{Kind: access.Invalid, Message: "that is no logout token for this server, or was used already"}

// EndSSO ends the sign-in sessions that a logout token of the provider speaks of
// (OpenID Connect Back-Channel Logout 1.0, section 2.6). That there are none is no
// error.
func (l *Login) EndSSO(ctx context.Context, token string) error {
	if l.provider == nil {
		return errNoSSO
	}
	d, err := l.provider.discover(ctx)
	if err != nil {
		return err
	}
	end, err := l.logout(ctx, d, token)
	if err != nil {
		l.Log.Warn("a logout token was refused", "error", clip(err))
		return errLogout
	}
	var none *access.Refusal
	if _, err := l.Ledger.Do(ctx, end); err != nil && (!errors.As(err, &none) || none.Kind != access.NotFound) {
		return err
	}
	return nil
}

// logout verifies a logout token and says what it ends.
func (l *Login) logout(ctx context.Context, d *discovered, token string) (access.EndSSO, error) {
	if len(token) > maxLogout {
		return access.EndSSO{}, fmt.Errorf("more than %d bytes", maxLogout)
	}
	t, err := d.verifier.VerifyLogout(l.provider.context(ctx), token)
	if err != nil {
		return access.EndSSO{}, fmt.Errorf("verifying it: %w", err)
	}
	if err := checkLogoutType(token); err != nil {
		return access.EndSSO{}, err
	}
	if err := checkLogoutEvent(t.Claims); err != nil {
		return access.EndSSO{}, err
	}
	now := l.Now()
	if age := now.Sub(t.IssuedAt); age > logoutWindow || age < -logoutWindow || len(t.TokenID) > maxClaimText {
		return access.EndSSO{}, errors.New("not of this moment")
	}
	if !l.logouts.take(t.TokenID, now) {
		return access.EndSSO{}, errors.New("used already")
	}
	return access.EndSSO{
		Identity: access.Identity{Issuer: t.Issuer, Subject: t.Subject}, SID: access.SIDHash(t.Issuer, t.SessionID),
	}, nil
}

// checkLogoutType refuses tokens that say to be something else. Many providers say
// "JWT", or nothing; the event is what tells a logout token from others then.
func checkLogoutType(token string) error {
	head, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return fmt.Errorf("reading its header: %w", err)
	}
	var header struct {
		Type string `json:"typ"`
	}
	if err := json.Unmarshal(data, &header); err != nil {
		return fmt.Errorf("reading its header: %w", err)
	}
	kind := strings.TrimPrefix(strings.ToLower(header.Type), "application/")
	if !slices.Contains([]string{"logout+jwt", "jwt", ""}, kind) {
		return errors.New("its header says that it is something else")
	}
	return nil
}

// checkLogoutEvent: the event's value is an object (OpenID Connect Back-Channel
// Logout 1.0, section 2.4), and no nonce stands beside it, under any value.
func checkLogoutEvent(claims func(any) error) error {
	var c struct {
		Events map[string]json.RawMessage `json:"events"`
	}
	if err := claims(&c); err != nil {
		return fmt.Errorf("reading its events: %w", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(c.Events["http://schemas.openid.net/event/backchannel-logout"]), []byte("{")) {
		return errors.New("its event is no object")
	}
	return nil
}
