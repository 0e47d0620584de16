package server_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// joinWith is what a bot sends with a token and a key of its own.
func (s *site) joinWith(link string) (api.BotJoinRequest, ssh.Signer) {
	s.t.Helper()
	token, err := api.ParseJoinLink(link)
	if err != nil {
		s.t.Fatal(err)
	}
	key := newKey(s.t)
	return api.BotJoinRequest{
		Token: token.Token[:], Key: publicLine(key), Machine: "runner-3",
		Signature: s.signature(key, api.JoinMessage(siteName, token.Token, key.PublicKey().Marshal())),
	}, key
}

// TestBotOverTheAPI: an administrator adds a bot, which joins with its token, once,
// signs in, gets a certificate, and is gone when it is removed.
func TestBotOverTheAPI(t *testing.T) {
	s := populated(t)
	added := must[api.BotResponse](s, s.admin, "POST", api.RouteBotAdd.Path, api.AddBotRequest{Handle: "ci", Life: 600})
	if left := added.Bot.Join.Sub(s.clock.now()); left != 10*time.Minute || len(added.Bot.Keys) != 0 {
		t.Errorf("%+v", added.Bot)
	}
	link, err := api.ParseJoinLink(added.Token)
	if err != nil || link.Host != siteName+":443" || string(link.Pin) != string(s.begun.Invitation.Pin) {
		t.Errorf("%q: %v", added.Token, err)
	}
	join, key := s.joinWith(added.Token)
	if r := must[api.BotJoinResponse](s, nil, "POST", api.RouteBotJoin.Path, join); r.Handle != "ci" {
		t.Errorf("%+v", r)
	}
	s.refused(s.ask("POST", api.RouteBotJoin.Path, nil, join), http.StatusNotFound)
	again, _ := s.joinWith(added.Token)
	s.refused(s.ask("POST", api.RouteBotJoin.Path, nil, again), http.StatusNotFound)

	ci := s.botIn("ci", key)
	status := must[api.StatusResponse](s, ci, "GET", api.RouteStatus.Path, nil)
	want := api.StatusResponse{Handle: "ci", Roles: []string{}, Factor: "key", Expires: s.clock.now().Add(time.Hour), Ends: s.clock.now().Add(time.Hour)}
	if diff := cmp.Diff(want, status, cmpopts.EquateApproxTime(time.Second), cmpopts.IgnoreFields(api.StatusResponse{}, "SignIn")); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	if cert := s.certificate(ci); !strings.HasPrefix(cert.KeyId, "vaultpam:bot:ci:") {
		t.Errorf("key ID %q", cert.KeyId)
	}
	bots := must[[]api.Bot](s, s.admin, "GET", api.RouteBots.Path, nil)
	if len(bots) != 1 || len(bots[0].Keys) != 1 || bots[0].Keys[0].Name != "runner-3" || bots[0].Keys[0].Key != join.Key ||
		bots[0].Keys[0].Used.IsZero() || !bots[0].Join.IsZero() || bots[0].ID != added.Bot.ID {
		t.Errorf("%+v", bots)
	}
	for _, u := range must[[]api.User](s, s.admin, "GET", api.RouteUsers.Path, nil) {
		if u.Handle == "ci" {
			t.Error("the bot is among the people")
		}
	}
	s.refused(s.ask("DELETE", api.RouteUsers.Path+"/ci", s.admin.token, nil), http.StatusConflict)
	s.refused(s.ask("DELETE", api.RouteBots.Path+"/"+s.admin.handle, s.admin.token, nil), http.StatusConflict)
	must[api.Empty](s, s.admin, "DELETE", api.RouteBots.Path+"/ci", nil)
	s.refused(s.ask("GET", api.RouteStatus.Path, ci.token, nil), http.StatusUnauthorized)
	for _, e := range must[api.EntriesResponse](s, s.admin, "GET", api.RouteEntries.Path+"?user=ci", nil).Entries {
		if e.User != "bot ci" || !strings.Contains(e.Summary, "bot ci") {
			t.Errorf("entry %d is of %q: %s", e.Index, e.User, e.Summary)
		}
	}
}

// TestBotKeysOverTheAPI: keys come and go beside each other, and a new token voids
// the one before.
func TestBotKeysOverTheAPI(t *testing.T) {
	s := populated(t)
	first, second := newKey(t), newKey(t)
	s.botWith("ci", first)
	ci := s.botIn("ci", first)
	path := api.RouteBots.Path + "/ci"
	r := must[api.BotResponse](s, s.admin, "POST", path+"/keys", api.BotKeyRequest{Key: publicLine(second), Name: "runner 2"})
	if len(r.Bot.Keys) != 2 || r.Bot.Keys[1].Name != "runner 2" || r.Token != "" {
		t.Fatalf("%+v", r)
	}
	void := must[api.BotResponse](s, s.admin, "POST", path+"/token", api.BotTokenRequest{})
	token := must[api.BotResponse](s, s.admin, "POST", path+"/token", api.BotTokenRequest{})
	join, _ := s.joinWith(void.Token)
	s.refused(s.ask("POST", api.RouteBotJoin.Path, nil, join), http.StatusNotFound)
	join, third := s.joinWith(token.Token)
	must[api.BotJoinResponse](s, nil, "POST", api.RouteBotJoin.Path, join)
	s.botIn("ci", third)
	must[api.Empty](s, s.admin, "DELETE", path+"/keys/"+strconv.FormatUint(r.Bot.Keys[0].ID, 10), nil)
	s.refused(s.ask("GET", api.RouteStatus.Path, ci.token, nil), http.StatusUnauthorized)
	s.refused(s.ask("POST", api.RouteBotSignIn.Path, nil, s.botProof("ci", first)), http.StatusUnauthorized)
	s.botIn("ci", second)
	// It is all there after a restart, and whole.
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if found := s.fsck(); len(found) != 0 {
		t.Errorf("fsck: %v", found)
	}
	s.run()
	s.botIn("ci", third)
	for name, a := range map[string]answer{
		"no key":            s.ask("POST", path+"/keys", s.admin.token, api.BotKeyRequest{Key: "ssh-ed25519 AAAA"}),
		"two lines":         s.ask("POST", path+"/keys", s.admin.token, api.BotKeyRequest{Key: publicLine(newKey(t)) + "\n" + publicLine(newKey(t))}),
		"a week and more":   s.ask("POST", path+"/token", s.admin.token, api.BotTokenRequest{Life: 7*24*3600 + 1}),
		"less than a min":   s.ask("POST", path+"/token", s.admin.token, api.BotTokenRequest{Life: 59}),
		"less than no time": s.ask("POST", path+"/token", s.admin.token, api.BotTokenRequest{Life: -1}),
		"a key's ID":        s.ask("DELETE", path+"/keys/first", s.admin.token, nil),
	} {
		if a.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// TestS38BotAndPersonAreNotEachOther: no session of the one is worth anything where
// the other's is asked for, and nothing gives a bot a role.
func TestS38BotAndPersonAreNotEachOther(t *testing.T) {
	s := populated(t)
	carol, ci := s.added("carol", "engineer", "approver", "auditor", "administrator"), s.bot("ci")
	for _, r := range api.Routes() {
		if r.Who == api.WhoAnybody || r.Who == api.WhoAlsoBots {
			continue
		}
		path := strings.NewReplacer("{index}", "1", "{id}", "1", "{handle}", "carol", "{name}", "db1").Replace(r.Path)
		var body any
		if r.Method == http.MethodPost {
			body = "{}"
		}
		if e := s.refused(s.ask(r.Method, path, ci.token, body), http.StatusForbidden); e.Detail != "this takes a person, and ci is a bot" {
			t.Errorf("%s: %q", r.Pattern(), e.Detail)
		}
	}
	// A person's own key and name are no bot's, be they ever so privileged.
	s.refused(s.ask("POST", api.RouteBotSignIn.Path, nil, s.botProof("carol", newKey(t))), http.StatusUnauthorized)
	s.refused(s.ask("POST", api.RouteSignIn.Path, nil, api.SignInRequest{Handle: "ci", Code: s.code(carol)}), http.StatusUnauthorized)
	for name, a := range map[string]answer{
		"an invitation": s.ask("POST", api.RouteUsers.Path+"/ci/invitation", s.admin.token, api.InviteRequest{}),
		"an account":    s.ask("POST", api.RouteUsers.Path+"/ci/sso", s.admin.token, api.LinkSSORequest{Subject: "7"}),
		"an address":    s.ask("POST", api.RouteContact.Path, s.admin.token, api.ContactRequest{Handle: "ci", Email: "ci@example.eu"}),
		"its name":      s.ask("POST", api.RouteUserAdd.Path, s.admin.token, api.AddUserRequest{Handle: "ci", Roles: []string{"administrator"}}),
	} {
		if a.status != http.StatusConflict {
			t.Errorf("%s for a bot: %d %s", name, a.status, a.body)
		}
	}
	s.refused(s.ask("POST", api.RouteBotAdd.Path, s.admin.token, `{"handle":"ci2","roles":["administrator"]}`), http.StatusBadRequest)
	for _, e := range s.entriesOf(store.TypeBotAdded) {
		u, ok := s.node.Ledger().State().User(e.Event.(*store.BotAdded).User)
		if !ok || len(u.Roles) != 0 {
			t.Errorf("%+v", u)
		}
	}
}
