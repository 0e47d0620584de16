package client_test

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A spoken answer is what the server of FuzzAnswer says to everything.
type spoken struct {
	status int
	body   []byte
}

// FuzzAnswer: whatever a server says, a call returns either names that keep
// their grammar or an error whose text acts on no terminal; and nothing that
// was remembered of the ledger changes.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		``, `null`, `[]`, `{}`, `[[[[`, `{} {}`, `[{"name":"db1","logins":["root"]}]`, `[{"name":"$(x)","logins":["-o"]}]`,
		`{"kind":"forbidden","detail":"\u001b[2J","hint":"\u202e"}`, `{"handle":"carol","roles":["x\n"],"targets":1e400}`,
		`{"token":"AAAA","handle":"\u0007"}`, `{"secret":"A","uri":"otpauth://totp/x?secret=A","handle":"carol"}`,
		`{"host_keys":["ssh-ed25519 AAAA"]}`, `{"certificate":"ssh-ed25519-cert-v01@openssh.com AAAA","serial":1}`,
		`{"checkpoint":"AAAA","proof":["AA=="]}`, `{"from":0,"records":[""]}`, `{"invitation":"https://x/enroll#\u001b"}`, `{"challenge":"AAAA","handle":"ci","token":"AAAA"}`, `{"token":"https://x/join#\u001b"}`,
	} {
		f.Add(200, []byte(s))
		f.Add(500, []byte(s))
	}
	var says atomic.Pointer[spoken]
	server := newFake(f)
	for _, r := range api.Routes() {
		server.handle(r, func(w http.ResponseWriter, _ *http.Request) {
			s := says.Load()
			w.WriteHeader(s.status)
			_, _ = w.Write(s.body)
		})
	}
	c, home := server.signedIn(f), newHome(f, nil)
	ledger := server.open(f, home)
	key, bot := newSigner(f).PublicKey(), newSigner(f)
	keyed, err := server.client(f).WithNewKey()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		if status < 200 || status > 599 || status == 204 || status == 304 {
			return // net/http writes no body for these
		}
		says.Store(&spoken{status, body})
		ctx := t.Context()
		check := func(call string, err error) {
			if err != nil && client.Clean(err.Error()) != err.Error() {
				t.Errorf("%s: the message acts on terminals: %q", call, err)
			}
			var e *api.Error
			if errors.As(err, &e) && (client.Clean(e.Hint) != e.Hint || e.RetryAfter < 0) {
				t.Errorf("%s: hint %q, %d", call, e.Hint, e.RetryAfter)
			}
		}
		targets, err := c.Targets(ctx)
		check("targets", err)
		for _, target := range targets {
			if _, err := store.ParseTargetName(target.Name); err != nil {
				t.Errorf("target %q came through", target.Name)
			}
			for _, l := range target.Logins {
				if _, err := store.ParseLogin(l); err != nil {
					t.Errorf("login %q came through", l)
				}
			}
		}
		for call, do := range map[string]func() (string, error){
			"bot's sign-in": func() (string, error) {
				r, err := keyed.SignInBot(ctx, serverName, "ci", bot, "runner")
				return r.Handle, err
			},
			"join": func() (string, error) {
				h, err := c.JoinBot(ctx, [32]byte{1}, serverName, bot, "runner")
				return string(h), err
			},
		} {
			handle, err := do()
			check(call, err)
			if _, bad := store.ParseHandle(handle); err == nil && bad != nil {
				t.Errorf("%s: handle %q came through", call, handle)
			}
		}
		if r, err := c.BotToken(ctx, "ci", 0); err == nil {
			if _, bad := api.ParseJoinLink(r.Token); bad != nil {
				t.Errorf("token %q came through", r.Token)
			}
		}
		_, err = c.Certificate(ctx, key)
		check("certificate", err)
		if err == nil {
			t.Error("a certificate came through")
		}
		_, _, err = c.DirectCertificate(ctx, key, "db1", "root")
		check("direct", err)
		if err == nil {
			t.Error("a direct certificate came through")
		}
		scan, err := c.Scan(ctx, "127.0.0.1:22")
		check("scan", err)
		for _, k := range scan.HostKeys {
			if _, err := client.ParseHostKey(k); err != nil {
				t.Errorf("host key %q came through", k)
			}
		}
		begun, err := c.EnrollBegin(ctx, [32]byte{})
		check("enroll", err)
		if client.Clean(begun.Secret+begun.URI+begun.Handle) != begun.Secret+begun.URI+begun.Handle {
			t.Errorf("a secret that acts on terminals came through: %+v", begun)
		}
		added, err := c.AddUser(ctx, "carol", nil)
		check("user add", err)
		if _, perr := api.ParseInvitation(added.Invitation); err == nil && perr != nil {
			t.Errorf("invitation %q came through", added.Invitation)
		}
		info, err := c.Info(ctx)
		check("info", err)
		_, err = client.NewSettings("pam.example.eu", nil, "carol", info)
		check("settings", err)
		_, err = c.SignIn(ctx, "carol", "123456", nil, "laptop")
		check("sign-in", err)
		_, err = c.Status(ctx)
		check("status", err)
		_, err = ledger.Entry(ctx, 0)
		check("entry", err)
		_, err = ledger.Verify(ctx, noProgress)
		check("verify", err)
		if err == nil {
			t.Error("a ledger verified")
		}
		if now, err := ledger.Remembered(); err != nil || now.Size != 0 {
			t.Errorf("a checkpoint of %d was believed (%v)", now.Size, err)
		}
	})
}
