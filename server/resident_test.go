package server_test

import (
	"time"

	"github.com/pquerna/otp/totp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
)

// enrolled uses an invitation.
func (s *site) enrolled(link string) *resident {
	s.t.Helper()
	inv, err := api.ParseInvitation(link)
	if err != nil {
		s.t.Fatal(err)
	}
	begin := must[api.EnrollBeginResponse](s, nil, "POST", api.RouteEnrollBegin.Path, api.EnrollBeginRequest{Token: inv.Token[:]})
	r := &resident{handle: begin.Handle, secret: begin.Secret}
	in := must[api.SignInResponse](s, nil, "POST", api.RouteEnrollFinish.Path,
		api.EnrollFinishRequest{Token: inv.Token[:], Code: s.code(r), Machine: "laptop-of-" + r.handle})
	r.token, r.device, r.codes = in.Token, in.Device, in.RecoveryCodes
	return r
}

// code is what the authenticator shows.
func (s *site) code(r *resident) string {
	s.t.Helper()
	code, err := totp.GenerateCode(r.secret, s.clock.now())
	if err != nil {
		s.t.Fatal(err)
	}
	return code
}

// signIn signs in again, half a minute later.
func (s *site) signIn(r *resident) {
	s.t.Helper()
	s.clock.turn(30 * time.Second)
	r.token = must[api.SignInResponse](s, nil, "POST", api.RouteSignIn.Path, api.SignInRequest{Handle: r.handle, Code: s.code(r)}).Token
}

// added adds a user who enrols.
func (s *site) added(handle string, roles ...string) *resident {
	s.t.Helper()
	r := must[api.AddUserResponse](s, s.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: handle, Roles: roles})
	return s.enrolled(r.Invitation)
}

// target registers a target with the logins root and deploy.
func (s *site) target(name string) api.TargetDetail {
	s.t.Helper()
	return must[api.TargetDetail](s, s.admin, "POST", api.RouteTargetAdd.Path, api.AddTargetRequest{
		Name: name, Address: "127.0.0.1:22", Egress: "127.0.0.1", Logins: []string{"root", "deploy"}, HostKeys: []string{publicLine(newKey(s.t))},
	})
}

// grant lets a user reach a target as root.
func (s *site) grant(user, target string, until time.Time) api.Grant {
	s.t.Helper()
	return must[api.Grant](s, s.admin, "POST", api.RouteGrantAdd.Path, api.Grant{User: user, Target: target, Logins: []string{"root"}, Until: until})
}

// certificate issues one for a fresh key.
func (s *site) certificate(who *resident) *ssh.Certificate {
	s.t.Helper()
	r := must[api.CertificateResponse](s, who, "POST", api.RouteCertificate.Path, api.CertificateRequest{PublicKey: publicLine(newKey(s.t))})
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(r.Certificate))
	if err != nil {
		s.t.Fatal(err)
	}
	return key.(*ssh.Certificate)
}
