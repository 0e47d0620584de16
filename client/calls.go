package client

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// Info returns what the server says of itself to anybody. NewSettings holds it
// to its grammars.
func (c *Client) Info(ctx context.Context) (api.Info, error) {
	return call[api.Info](ctx, c, request{route: api.RouteInfo})
}

// EnrollBegin asks what an invitation is for. It may be asked again.
func (c *Client) EnrollBegin(ctx context.Context, token [32]byte) (api.EnrollBeginResponse, error) {
	r, err := call[api.EnrollBeginResponse](ctx, c, request{
		route: api.RouteEnrollBegin, body: api.EnrollBeginRequest{Token: token[:]},
	})
	if err != nil {
		return r, err
	}
	u, err := url.Parse(r.URI)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Query().Get("secret") != r.Secret || r.Secret == "" ||
		len(r.URI) > 1<<10 || Clean(r.URI) != r.URI {
		return api.EnrollBeginResponse{}, fmt.Errorf("%w: not a TOTP secret", ErrAnswer)
	}
	return held(r, store.ParseHandle, r.Handle)
}

// EnrollFinish uses an invitation up, proving with a code that the secret
// arrived. That is also a sign-in.
func (c *Client) EnrollFinish(ctx context.Context, token [32]byte, code, machine string) (api.SignInResponse, error) {
	return opened(call[api.SignInResponse](ctx, c, request{
		route: api.RouteEnrollFinish, body: api.EnrollFinishRequest{Token: token[:], Code: code, Machine: machine},
	}))
}

// opened holds a sign-in session to its grammar.
func opened(r api.SignInResponse, err error) (api.SignInResponse, error) {
	if err != nil {
		return r, err
	}
	if len(r.Token) != tokenSize || grammar(store.ParseHandle, r.Handle) != nil ||
		len(r.Device) != 0 && len(r.Device) != tokenSize || recoveryCodes(r.RecoveryCodes) != nil {
		return api.SignInResponse{}, fmt.Errorf("%w: not a sign-in session", ErrAnswer)
	}
	return r, nil
}

// SignIn opens a sign-in session with a TOTP code or a recovery code. device is
// what Home.Device has, or nil, and machine what this machine calls itself. The
// answer's token is for Opened, its device for Home.SaveDevice. The client must
// have a key.
func (c *Client) SignIn(ctx context.Context, handle store.Handle, code string, device []byte, machine string) (api.SignInResponse, error) {
	r, err := opened(call[api.SignInResponse](ctx, c, request{
		route: api.RouteSignIn, body: api.SignInRequest{Handle: string(handle), Code: code, Device: device, Machine: machine},
	}))
	if err == nil && r.Handle != string(handle) {
		return api.SignInResponse{}, fmt.Errorf("%w: a sign-in of somebody else", ErrAnswer)
	}
	return r, err
}

// SignOut ends the sign-in session.
func (c *Client) SignOut(ctx context.Context) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteSignOut})
	return err
}

// Status returns who the server thinks the caller is.
func (c *Client) Status(ctx context.Context) (api.StatusResponse, error) {
	r, err := call[api.StatusResponse](ctx, c, request{route: api.RouteStatus})
	if err != nil {
		return r, err
	}
	return held(r, store.ParseHandle, r.Handle)
}

// MaxCertificate is the longest validity of a user certificate that a client
// puts on its disk, whatever the server hands out.
const MaxCertificate = 24 * time.Hour

// Certificate asks for a user certificate for the key and holds it to what it
// must be: for this key, of type user, for one principal in the form of a user
// ID, short-lived, and with the serial that the ledger has.
func (c *Client) Certificate(ctx context.Context, key ssh.PublicKey) (*ssh.Certificate, error) {
	r, err := call[api.CertificateResponse](ctx, c, request{
		route: api.RouteCertificate, body: api.CertificateRequest{PublicKey: string(ssh.MarshalAuthorizedKey(key))},
	})
	if err != nil {
		return nil, err
	}
	cert, err := heldCertificate(r, key, MaxCertificate)
	if err != nil {
		return nil, err
	}
	if len(cert.ValidPrincipals) != 1 || grammar(store.ParseUserID, cert.ValidPrincipals[0]) != nil {
		return nil, fmt.Errorf("%w: certificate is not for exactly one user ID", ErrAnswer)
	}
	return cert, nil
}

// heldCertificate holds a certificate to what each must be: for the key, of type
// user, with the serial that the server said, and short-lived.
func heldCertificate(r api.CertificateResponse, key ssh.PublicKey, longest time.Duration) (*ssh.Certificate, error) {
	bad := func(why string) error { return fmt.Errorf("%w: certificate %s", ErrAnswer, why) }
	parsed, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(r.Certificate))
	cert, ok := parsed.(*ssh.Certificate)
	switch {
	case err != nil || !ok || len(rest) > 0:
		return nil, bad("is none")
	case string(cert.Key.Marshal()) != string(key.Marshal()):
		return nil, bad("is for another key")
	case cert.CertType != ssh.UserCert:
		return nil, bad("is not for a user")
	case cert.Serial != r.Serial || store.Serial(cert.Serial) >= store.EmergencySerial:
		return nil, bad("has another serial than the server said")
	case cert.ValidBefore <= cert.ValidAfter || cert.ValidBefore-cert.ValidAfter > uint64(longest/time.Second):
		return nil, bad("is not short-lived")
	}
	// The relay, or the host, checks the authority; here it only has to be a
	// signature over these very bytes, so that a damaged certificate is noticed
	// before ssh does.
	signed := *cert
	signed.Signature = nil
	tbs := signed.Marshal()
	if cert.SignatureKey == nil || cert.SignatureKey.Verify(tbs[:len(tbs)-4], cert.Signature) != nil {
		return nil, bad("has a bad signature")
	}
	return cert, nil
}

// Targets returns the targets that the caller may reach.
func (c *Client) Targets(ctx context.Context) ([]api.Target, error) {
	targets, err := call[[]api.Target](ctx, c, request{route: api.RouteTargets})
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if err := checkTarget(t.Name, t.Logins); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// Users returns all users.
func (c *Client) Users(ctx context.Context) ([]api.User, error) {
	return call[[]api.User](ctx, c, request{route: api.RouteUsers})
}

// AddUser adds a person and returns their invitation.
func (c *Client) AddUser(ctx context.Context, handle store.Handle, roles []store.Role) (api.AddUserResponse, error) {
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = string(r)
	}
	return c.AddPerson(ctx, api.AddUserRequest{Handle: string(handle), Roles: words})
}

// AddPerson is AddUser for somebody with an address. Where the invitation is sent
// to it, the answer holds none.
func (c *Client) AddPerson(ctx context.Context, q api.AddUserRequest) (api.AddUserResponse, error) {
	r, err := call[api.AddUserResponse](ctx, c, request{route: api.RouteUserAdd, body: q})
	if q.Send {
		return sent(r, err)
	}
	return invited(r, err)
}

// InviteUser makes a new invitation for a user.
func (c *Client) InviteUser(ctx context.Context, handle store.Handle) (api.AddUserResponse, error) {
	r, err := call[api.AddUserResponse](ctx, c, request{
		route: api.RouteUserInvite, path: []string{string(handle)}, body: api.InviteRequest{},
	})
	return invited(r, err)
}

// SendInvitation makes a new invitation for a user and has it sent to their
// address. Nobody else sees it.
func (c *Client) SendInvitation(ctx context.Context, handle store.Handle) (api.AddUserResponse, error) {
	return sent(call[api.AddUserResponse](ctx, c, request{
		route: api.RouteUserInvite, path: []string{string(handle)}, body: api.InviteRequest{Send: true},
	}))
}

// sent holds the answer to an invitation that goes by mail alone.
func sent(r api.AddUserResponse, err error) (api.AddUserResponse, error) {
	if err != nil {
		return r, err
	}
	if r.Invitation != "" {
		return api.AddUserResponse{}, fmt.Errorf("%w: an invitation that was to be sent", ErrAnswer)
	}
	return held(r, store.ParseHandle, r.User.Handle)
}

// SetContact says where somebody gets notices: the caller, where no handle is
// named. Without an address they get none.
func (c *Client) SetContact(ctx context.Context, handle store.Handle, email store.Email) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteContact, body: api.ContactRequest{Handle: string(handle), Email: string(email)}})
	return err
}

// Recovery returns the recovery of an administrator that is under way; its Entry
// is 0 where there is none.
func (c *Client) Recovery(ctx context.Context) (api.AdminRecovery, error) {
	r, err := call[api.AdminRecovery](ctx, c, request{route: api.RouteAdminRecovery})
	if err != nil || r.Entry == 0 {
		return api.AdminRecovery{}, err
	}
	return held(r, store.ParseHandle, r.Handle)
}

// StopRecovery stops it.
func (c *Client) StopRecovery(ctx context.Context) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteAdminRecoveryStop})
	return err
}

func invited(r api.AddUserResponse, err error) (api.AddUserResponse, error) {
	if err != nil {
		return r, err
	}
	return held(r, api.ParseInvitation, r.Invitation)
}

// RemoveUser removes a person.
func (c *Client) RemoveUser(ctx context.Context, handle store.Handle) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteUserRemove, path: []string{string(handle)}})
	return err
}

// AllTargets returns all targets.
func (c *Client) AllTargets(ctx context.Context) ([]api.TargetDetail, error) {
	return call[[]api.TargetDetail](ctx, c, request{route: api.RouteAllTargets})
}

// Scan has the relay read a host's keys.
func (c *Client) Scan(ctx context.Context, address string) (api.ScanResponse, error) {
	r, err := call[api.ScanResponse](ctx, c, request{route: api.RouteScan, body: api.ScanRequest{Address: address}})
	if err != nil {
		return r, err
	}
	for _, key := range r.HostKeys {
		if err := grammar(ParseHostKey, key); err != nil {
			return api.ScanResponse{}, err
		}
	}
	return r, nil
}

// ParseHostKey returns the key that line holds in the form of an
// authorized_keys line. A certificate is not a host key.
func ParseHostKey(line string) (ssh.PublicKey, error) {
	line = strings.TrimSpace(line)
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(line))
	// The parser steps over lines that are none, so a second line is looked for.
	if err != nil || len(rest) > 0 || len(options) > 0 || strings.ContainsAny(line, "\r\n") {
		return nil, fmt.Errorf("%q is not a public key: want its type and its base64", Clean(line))
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, fmt.Errorf("a certificate stands where a host key is wanted")
	}
	return key, nil
}

// AddTarget registers a target.
func (c *Client) AddTarget(ctx context.Context, t api.AddTargetRequest) (api.TargetDetail, error) {
	return call[api.TargetDetail](ctx, c, request{route: api.RouteTargetAdd, body: t})
}

// RemoveTarget takes a target out, with every grant to it.
func (c *Client) RemoveTarget(ctx context.Context, name store.TargetName) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteTargetRemove, path: []string{string(name)}})
	return err
}

// CheckTarget has the server look which other ways into a target there are.
func (c *Client) CheckTarget(ctx context.Context, name store.TargetName, login string) (api.Check, error) {
	return c.check(ctx, api.RouteCheck, name, api.ErrandRequest{Login: login})
}

// LastCheck returns what the last look at a target found; its Entry is 0 where
// nobody has looked yet.
func (c *Client) LastCheck(ctx context.Context, name store.TargetName) (api.Check, error) {
	return c.check(ctx, api.RouteLastCheck, name, nil)
}

// ClosingTarget begins to shut a target's other ways in.
func (c *Client) ClosingTarget(ctx context.Context, name store.TargetName, q api.ClosingRequest) (api.ClosingResponse, error) {
	r, err := call[api.ClosingResponse](ctx, c, request{route: api.RouteClosing, path: []string{string(name)}, body: q})
	if err != nil {
		return r, err
	}
	for _, key := range r.HostKeys {
		if err := grammar(ParseHostKey, key); err != nil {
			return api.ClosingResponse{}, err
		}
	}
	if err := api.CheckHost(r.Address); err != nil || r.Check.Target != string(name) {
		return api.ClosingResponse{}, fmt.Errorf("%w: not an answer about %s", ErrAnswer, name)
	}
	return r, nil
}

// ClosedTarget has the server look whether a target's other ways in are shut, and
// note that they are.
func (c *Client) ClosedTarget(ctx context.Context, name store.TargetName, q api.ClosingRequest) (api.Check, error) {
	return c.check(ctx, api.RouteClosed, name, q)
}

// ReopenTarget has the server take back what shut a target's other ways in.
func (c *Client) ReopenTarget(ctx context.Context, name store.TargetName, login string) (api.Check, error) {
	return c.check(ctx, api.RouteReopen, name, api.ErrandRequest{Login: login})
}

func (c *Client) check(ctx context.Context, route api.Route, name store.TargetName, body any) (api.Check, error) {
	r, err := call[api.Check](ctx, c, request{route: route, path: []string{string(name)}, body: body})
	if err != nil {
		return r, err
	}
	// The figures and the lists say the same, or one of them is not to be shown.
	if r.Target != string(name) || r.Doors != uint64(len(r.Ways)) || r.Unread != uint64(len(r.Unknown)) {
		return api.Check{}, fmt.Errorf("%w: not a check of %s", ErrAnswer, name)
	}
	return r, nil
}

// Grants returns all grants.
func (c *Client) Grants(ctx context.Context) ([]api.Grant, error) {
	return call[[]api.Grant](ctx, c, request{route: api.RouteGrants})
}

// LabelTarget gives a target labels, KEY=VALUE joined by commas, in place of its own;
// or returns a *WaitsError.
func (c *Client) LabelTarget(ctx context.Context, name store.TargetName, labels string) error {
	return c.change(ctx, request{route: api.RouteTargetLabels, path: []string{string(name)}, body: api.LabelsRequest{Labels: labels}})
}

// RenameTarget gives a target another name.
func (c *Client) RenameTarget(ctx context.Context, name, to store.TargetName) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteTargetRename, path: []string{string(name)}, body: api.RenameTargetRequest{Name: string(to)}})
	return err
}

// AddGrant adds a grant or a guardrail and returns it with its ID, or a *WaitsError.
func (c *Client) AddGrant(ctx context.Context, g api.Grant) (api.Grant, error) {
	added, err := call[api.AddedGrant](ctx, c, request{route: api.RouteGrantAdd, body: g})
	if err == nil && added.Waits != nil {
		return api.Grant{}, &WaitsError{*added.Waits}
	}
	return added.Grant, err
}

// RemoveGrant takes a grant back, or returns a *WaitsError.
func (c *Client) RemoveGrant(ctx context.Context, id uint64) error {
	return c.change(ctx, request{route: api.RouteGrantRemove, path: []string{strconv.FormatUint(id, 10)}})
}

// checkTarget holds names that reach command lines to their grammars.
func checkTarget(name string, logins []string) error {
	if err := grammar(store.ParseTargetName, name); err != nil {
		return err
	}
	for _, l := range logins {
		if err := grammar(store.ParseLogin, l); err != nil {
			return err
		}
	}
	return nil
}

// grammar holds a name from the server to its parser.
func grammar[T any](parse func(string) (T, error), s string) error {
	if _, err := parse(s); err != nil {
		return fmt.Errorf("%w: %s", ErrAnswer, Clean(err.Error()))
	}
	return nil
}

// held returns an answer that is held to a grammar, and nothing of one that is
// not: a caller who shows it before looking at the error shows nothing.
func held[A, T any](answer A, parse func(string) (T, error), text string) (A, error) {
	if err := grammar(parse, text); err != nil {
		var none A
		return none, err
	}
	return answer, nil
}
