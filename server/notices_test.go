package server_test

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
)

// A postbox is a mail server on loopback that keeps what it gets.
type postbox struct {
	t     *testing.T
	env   map[string]string // of a site that sends there
	mails chan *mail.Message
}

func newPostbox(t *testing.T) *postbox {
	t.Helper()
	p := &postbox{t: t, mails: make(chan *mail.Message, 64)}
	s := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &letterbox{p}, nil }))
	s.ErrorLog = log.New(io.Discard, "", 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var ended sync.WaitGroup
	ended.Go(func() { _ = s.Serve(l) }) // ended by Close
	t.Cleanup(func() {
		_ = s.Close()
		_ = l.Close() // Serve may not have begun with it yet
		ended.Wait()
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	p.env = map[string]string{
		"VAULTPAMD_NOTICES_SMTP_HOST": "127.0.0.1", "VAULTPAMD_NOTICES_SMTP_PORT": port,
		"VAULTPAMD_NOTICES_SMTP_TLS": "none-on-loopback", "VAULTPAMD_NOTICES_SMTP_FROM": "vaultpam@example.eu",
	}
	return p
}

type letterbox struct{ *postbox }

func (*letterbox) Mail(string, *smtp.MailOptions) error { return nil }
func (*letterbox) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*letterbox) Reset()                               {}
func (*letterbox) Logout() error                        { return nil }

func (l *letterbox) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return err
	}
	m.Body = strings.NewReader(string(text))
	l.mails <- m
	return nil
}

// next is whom the next mail is to, and what it says.
func (p *postbox) next() (to, text string) {
	p.t.Helper()
	select {
	case m := <-p.mails:
		body, err := io.ReadAll(m.Body)
		if err != nil {
			p.t.Fatal(err)
		}
		return m.Header.Get("To"), string(body)
	case <-time.After(6 * promptly):
		p.t.Fatal("no mail came")
		return "", ""
	}
}

// hooked is a webhook on loopback, and what it is told.
func hooked(t *testing.T, env map[string]string) chan notice.HookBody {
	t.Helper()
	calls := make(chan notice.HookBody, 64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body notice.HookBody
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || !strings.HasPrefix(r.Header.Get("webhook-signature"), "v1,") {
			t.Errorf("%v: %v", r.Header, err)
		}
		calls <- body
	}))
	t.Cleanup(s.Close)
	env["VAULTPAMD_NOTICES_WEBHOOK_URL"] = s.URL
	env["VAULTPAMD_NOTICES_WEBHOOK_SECRET_FILE"] = private(t, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	return calls
}

// private is a file that only its owner reads.
func private(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var enrolment = regexp.MustCompile(`vaultpam enroll '(\S+)'`)

// TestNoticesOfANode: an invitation that goes by mail alone, and what becomes of
// it.
func TestNoticesOfANode(t *testing.T) {
	p := newPostbox(t)
	calls := hooked(t, p.env)
	s := newSite(t).with(p.env).run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	if got := <-calls; got.Type != notice.FactorEnrolled || got.Data.User != adminIs { // no address, no mail
		t.Errorf("the webhook hears %+v", got)
	}
	if got := <-calls; got.Type != notice.FindingMade || got.Data.User != adminIs { // an administrator without a passkey
		t.Errorf("the webhook hears %+v", got)
	}
	r := must[api.AddUserResponse](s, s.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: "carol", Email: "carol@Example.eu", Send: true})
	if r.Invitation != "" || r.User.Email != "carol@example.eu" || r.Expires.IsZero() {
		t.Errorf("the administrator gets %+v", r)
	}
	to, text := p.next()
	link := enrolment.FindStringSubmatch(text)
	if to != "<carol@example.eu>" || link == nil {
		t.Fatalf("to %s:\n%s", to, text)
	}
	if got := <-calls; got.Type != notice.Invited || strings.Contains(got.Data.Text, "enroll") || got.Data.Server != siteName {
		t.Errorf("the webhook hears %+v", got)
	}
	s.enrolled(link[1])
	if to, text := p.next(); to != "<carol@example.eu>" || !strings.Contains(text, "from 127.0.0.1") {
		t.Errorf("to %s:\n%s", to, text)
	}
	// Anew, by mail and by hand.
	if r := must[api.AddUserResponse](s, s.admin, "POST", "/v1/admin/users/carol/invitation", api.InviteRequest{Send: true}); r.Invitation != "" {
		t.Errorf("the administrator gets %+v", r)
	}
	if _, text := p.next(); enrolment.FindString(text) == "" {
		t.Errorf("no link in:\n%s", text)
	}
	if r := must[api.AddUserResponse](s, s.admin, "POST", "/v1/admin/users/carol/invitation", api.InviteRequest{}); r.Invitation == "" {
		t.Errorf("the administrator gets %+v", r)
	}
	if _, text := p.next(); enrolment.FindString(text) != "" {
		t.Errorf("a link that nobody asked for:\n%s", text)
	}
	e := s.refused(s.ask("POST", "/v1/admin/users/ada/invitation", s.admin.token, api.InviteRequest{Send: true}), http.StatusConflict)
	if e.Detail != "ada has no e-mail address" || e.Hint != "vaultpam admin user email ada ADDRESS" {
		t.Errorf("%+v", e)
	}
	s.refused(s.ask("POST", "/v1/admin/users/nobody/invitation", s.admin.token, api.InviteRequest{Send: true}), http.StatusNotFound)
	s.refused(s.ask("POST", api.RouteUserAdd.Path, s.admin.token, api.AddUserRequest{Handle: "dave", Send: true}), http.StatusBadRequest)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestNoMail: where none is sent, no link is made for it.
func TestNoMail(t *testing.T) {
	s := populated(t)
	for path, body := range map[string]any{
		api.RouteUserAdd.Path: api.AddUserRequest{Handle: "carol", Email: "carol@example.eu", Send: true}, "/v1/admin/users/ada/invitation": api.InviteRequest{Send: true},
	} {
		if e := s.refused(s.ask("POST", path, s.admin.token, body), http.StatusConflict); e.Detail != "this server sends no mail" || !strings.Contains(e.Hint, "--send") {
			t.Errorf("%s: %+v", path, e)
		}
	}
	if n := len(s.entriesOf(store.TypeInvitationCreated)); n != 1 {
		t.Errorf("%d invitations", n)
	}
}

func TestContactRoute(t *testing.T) {
	s := populated(t)
	carol, dana := s.added("carol"), s.added("dana", "auditor")
	emails := func() map[string]string {
		all := map[string]string{}
		for _, u := range must[[]api.User](s, dana, "GET", api.RouteUsers.Path, nil) {
			all[u.Handle] = u.Email
		}
		return all
	}
	set := func(who *resident, handle, email string, status int) {
		t.Helper()
		if a := s.ask("POST", api.RouteContact.Path, who.token, api.ContactRequest{Handle: handle, Email: email}); a.status != status {
			t.Errorf("%s for %s: %d %s, want %d", who.handle, handle, a.status, a.body, status)
		}
	}
	set(carol, "", "carol@example.eu", 200)
	set(carol, "ada", "carol@example.eu", 403)
	set(dana, "carol", "dana@example.eu", 403)
	set(s.admin, "dana", "dana@example.eu", 200)
	set(s.admin, "nobody", "dana@example.eu", 404)
	set(s.admin, "ada", "ada@example.eu\r\nBcc: eve@example.eu", 400)
	if got := emails(); got["carol"] != "carol@example.eu" || got["dana"] != "dana@example.eu" || got["ada"] != "" {
		t.Errorf("%v", got)
	}
	set(carol, "carol", "", 200)
	set(carol, "", "", 409)
	if got := emails(); got["carol"] != "" {
		t.Errorf("%v", got)
	}
	dropped := s.entriesOf(store.TypeUserContact)[1].Event.(*store.UserContact)
	if err := s.node.Side(t.Context(), store.SideWrite{Table: store.SideOpenings, Key: store.OpeningKey(dropped.User, dropped.Email)}); err != nil {
		t.Fatal(err)
	}
	if got := emails(); got["dana"] != "" {
		t.Errorf("an erased address: %v", got)
	}
}

// TestNoticeFiles: a wrong file is found at the start, and by the doctor.
func TestNoticeFiles(t *testing.T) {
	p := newPostbox(t)
	hooked(t, p.env)
	good := p.env
	for name, tc := range map[string]struct{ variable, value, want string }{
		"no password":       {"VAULTPAMD_NOTICES_SMTP_PASSWORD_FILE", filepath.Join(t.TempDir(), "no"), "notices.smtp: "},
		"an empty password": {"VAULTPAMD_NOTICES_SMTP_PASSWORD_FILE", private(t, "\n"), "want a password on one line"},
		"two passwords":     {"VAULTPAMD_NOTICES_SMTP_PASSWORD_FILE", private(t, "a\nb\n"), "want a password on one line"},
		"no authority":      {"VAULTPAMD_NOTICES_SMTP_CA", private(t, "x"), "no certificate in it"},
		"no secret":         {"VAULTPAMD_NOTICES_WEBHOOK_SECRET_FILE", filepath.Join(t.TempDir(), "no"), "notices.webhook: "},
		"a short secret":    {"VAULTPAMD_NOTICES_WEBHOOK_SECRET_FILE", private(t, "whsec_AAAA"), "want whsec_ and 24 to 64 bytes"},
		"a public secret":   {"VAULTPAMD_NOTICES_WEBHOOK_SECRET_FILE", public(t), "others may read it"},
		"no hook authority": {"VAULTPAMD_NOTICES_WEBHOOK_CA", filepath.Join(t.TempDir(), "no"), "notices.webhook: "},
	} {
		env := map[string]string{tc.variable: tc.value}
		if strings.Contains(tc.variable, "PASSWORD") {
			env["VAULTPAMD_NOTICES_SMTP_USERNAME"] = "vaultpam"
		}
		for k, v := range good {
			if _, ok := env[k]; !ok {
				env[k] = v
			}
		}
		s := newSite(t).with(env)
		n, err := server.Open(t.Context(), s.options())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
		if n != nil {
			_ = n.Close()
		}
		s.expects(s.observed(server.DoctorRequest{}), map[string]string{"notices": "ill " + "none can be sent: notices."})
	}
}

// public is a file that everybody reads.
func public(t *testing.T) string {
	t.Helper()
	path := private(t, "whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDoctorOnNotices(t *testing.T) {
	p := newPostbox(t)
	mailAlone := map[string]string{}
	for k, v := range p.env {
		mailAlone[k] = v
	}
	hooked(t, p.env)
	hookAlone := map[string]string{}
	for k, v := range p.env {
		if strings.Contains(k, "WEBHOOK") {
			hookAlone[k] = v
		}
	}
	nobody := map[string]string{}
	for k, v := range mailAlone {
		nobody[k] = v
	}
	nobody["VAULTPAMD_NOTICES_SMTP_PORT"] = strings.TrimPrefix(freeAddress(t), "127.0.0.1:")
	for _, tc := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "well none are configured"},
		{mailAlone, "well by mail, which 127.0.0.1 takes"},
		{p.env, "well by mail, which 127.0.0.1 takes, and to the webhook"},
		{hookAlone, "well to the webhook, and by no mail"},
		{nobody, "ill no mail can be sent: connecting to the mail server: "},
	} {
		s := newSite(t).with(tc.env)
		s.expects(s.observed(server.DoctorRequest{}), map[string]string{"notices": tc.want})
	}
	if len(p.mails) != 0 {
		t.Error("the doctor sent a mail")
	}
}

// TestDoctorMissesAddresses: mail that nobody could get is no way to hear of a
// recovery.
func TestDoctorMissesAddresses(t *testing.T) {
	p := newPostbox(t)
	s := newSite(t).with(p.env).run()
	looked := func(want string) {
		t.Helper()
		s.expects(s.observed(server.DoctorRequest{}), map[string]string{"notices": want})
	}
	looked("well by mail") // nobody has enrolled
	s.admin = s.enrolled(s.begun.Invitation.String())
	looked("ill mail can be sent, and no administrator has an address, so nobody would hear of a recovery: vaultpam admin user email")
	must[api.Empty](s, s.admin, "POST", api.RouteContact.Path, api.ContactRequest{Email: "ada@example.eu"})
	looked("well by mail")
}

// TestNoticesOff: what was kept goes when they are turned off.
func TestNoticesOff(t *testing.T) {
	p := newPostbox(t)
	s := newSite(t).with(p.env).run()
	s.admin = s.enrolled(s.begun.Invitation.String())
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.with(nil).run()
	s.signIn(s.admin)
	must[api.AddUserResponse](s, s.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: "carol", Email: "carol@example.eu"})
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.with(p.env).run()
	s.signIn(s.admin)
	must[api.AddUserResponse](s, s.admin, "POST", api.RouteUserAdd.Path, api.AddUserRequest{Handle: "dave", Email: "dave@example.eu"})
	if to, _ := p.next(); to != "<dave@example.eu>" {
		t.Errorf("the first mail goes to %s", to)
	}
}
