package server_test

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
)

// canaries are the forms in which a secret may come to light.
func canaries(secret []byte) map[string][]byte {
	return map[string][]byte{
		"raw":       secret,
		"hex":       []byte(hex.EncodeToString(secret)),
		"base64":    []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(secret), "=")),
		"base64url": []byte(base64.RawURLEncoding.EncodeToString(secret)),
		"base32":    []byte(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)),
	}
}

// everythingBut returns all files of the data directory that are not keys.
func (s *site) everythingBut(keys string) map[string][]byte {
	s.t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(string(s.dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == keys && d.IsDir() {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if d.Type().IsRegular() {
			files[path], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// privateKeys are the private halves in the keys folder, and the sealed secrets'
// key.
func (s *site) privateKeys() map[string][]byte {
	s.t.Helper()
	keys := map[string][]byte{}
	for _, name := range []string{"user-ca", "target-ca", "host-ca", "log", "secret"} {
		data, err := os.ReadFile(filepath.Join(string(s.dir), "keys", name))
		if err != nil {
			s.t.Fatal(err)
		}
		if name == "secret" {
			keys["sealing key"], keys["snapshot key"] = data[:32], data[32:]
			continue
		}
		block, _ := pem.Decode(data)
		keys[name+" file"] = block.Bytes
		if raw, err := ssh.ParseRawPrivateKey(data); err == nil {
			keys[name] = seedOf(s.t, raw)
		}
	}
	return keys
}

func TestS12S13SecretsStayWhereTheyBelong(t *testing.T) {
	s := populated(t)
	secrets := s.privateKeys()
	secrets["emergency passphrase"] = []byte(s.begun.Passphrase)
	invitation := s.begun.Invitation
	secrets["first invitation"] = invitation.Token[:]

	carol := s.added("carol", "engineer")
	dana := s.added("dana", "auditor")
	s.target("db1")
	s.grant("carol", "db1", s.clock.now().AddDate(0, 0, 1))
	tokens := [][]byte{carol.token, dana.token, s.admin.token}
	var codes []string
	for range 3 {
		s.signIn(carol)
		codes = append(codes, s.code(carol))
		tokens = append(tokens, carol.token)
		// The same code again, one that is wrong, one at a name that isn't there.
		for _, q := range []api.SignInRequest{{Handle: "carol", Code: s.code(carol)}, {Handle: "carol", Code: "canary-code"}, {Handle: "canary-handle", Code: s.code(carol)}} {
			s.refused(s.ask("POST", api.RouteSignIn.Path, nil, q), 401)
		}
	}
	// Tokens for a bot to join with, used and not, and its session.
	for name, use := range map[string]bool{"used": true, "unused": false} {
		bot := must[api.BotResponse](s, s.admin, "POST", api.RouteBotAdd.Path, api.AddBotRequest{Handle: "bot-" + name})
		link, err := api.ParseJoinLink(bot.Token)
		if err != nil {
			t.Fatal(err)
		}
		secrets[name+" join token"] = link.Token[:]
		if use {
			join, key := s.joinWith(bot.Token)
			must[api.BotJoinResponse](s, nil, "POST", api.RouteBotJoin.Path, join)
			tokens = append(tokens, s.botIn("bot-"+name, key).token)
			s.refused(s.ask("POST", api.RouteBotJoin.Path, nil, join), 404)
		}
	}
	// A recovery code, once, and again; then new ones.
	in := must[api.SignInResponse](s, nil, "POST", api.RouteSignIn.Path, api.SignInRequest{Handle: "carol", Code: carol.codes[0], Device: carol.device})
	carol.token, tokens = in.Token, append(tokens, in.Token)
	s.refused(s.ask("POST", api.RouteSignIn.Path, nil, api.SignInRequest{Handle: "carol", Code: carol.codes[0]}), 401)
	s.refused(s.ask("POST", api.RouteSignIn.Path, nil, api.SignInRequest{Handle: "dana", Code: carol.codes[1]}), 401)
	s.clock.turn(30 * time.Second)
	renewed := must[api.RecoveryResponse](s, carol, "POST", api.RouteRecovery.Path, api.RecoveryRequest{Code: s.code(carol), Device: in.Device})
	for i, code := range slices.Concat(carol.codes, renewed.Codes, dana.codes) {
		secrets[fmt.Sprintf("recovery code %d", i)] = []byte(code)
		secrets[fmt.Sprintf("recovery code %d, compact", i)] = []byte(strings.ReplaceAll(code, "-", ""))
	}
	secrets["device"], secrets["dana's device"] = in.Device, dana.device
	if len(renewed.Codes) != 10 || len(dana.codes) != 10 || len(in.Device) != 32 {
		t.Fatalf("%d and %d codes, a device of %d bytes", len(renewed.Codes), len(dana.codes), len(in.Device))
	}
	s.certificate(carol)
	s.refused(s.ask("GET", "/v1/entries", carol.token, nil), 403)
	shown := s.ask("GET", "/v1/entries?limit=1000", dana.token, nil)
	s.refused(s.ask("POST", api.RouteSignIn.Path, nil, `{"handle":"carol","code":"canary-body","x":1}`), 400)
	must[api.Empty](s, carol, "POST", api.RouteSignOut.Path, nil)
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	for i, token := range tokens {
		secrets["token "+string(rune('a'+i))] = token
	}
	for _, r := range []*resident{s.admin, carol, dana} {
		seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(r.secret)
		if err != nil {
			t.Fatal(err)
		}
		secrets["TOTP seed of "+r.handle] = seed
	}
	places := s.everythingBut(filepath.Join(string(s.dir), "keys"))
	if len(places) < 4 {
		t.Fatalf("only %d files: what was looked through?", len(places))
	}
	// The server's TLS key belongs in its folder; it is no secret of people.
	places["the log"] = []byte(s.log.String())
	places["the entries as they are shown"] = shown.body
	for name, secret := range secrets {
		for form, text := range canaries(secret) {
			for place, data := range places {
				if bytes.Contains(data, text) {
					t.Errorf("%s stands in %s as %s", name, place, form)
				}
			}
		}
	}
	for _, code := range append(codes, "canary-code", "canary-handle", "canary-body") {
		if strings.Contains(s.log.String(), code) {
			t.Errorf("the log holds what was typed as a code or a name: %s", code)
		}
	}
	for place, data := range places {
		for _, name := range []string{"canary-code", "canary-handle", "canary-body"} {
			if bytes.Contains(data, []byte(name)) {
				t.Errorf("%s holds what a stranger typed: %s", place, name)
			}
		}
	}
}

// A person's handle is in the side table, where it can be erased, and never in
// an entry.
func TestS13EntriesHoldNoNamesOfPeople(t *testing.T) {
	s := populated(t)
	s.added("quite-unusual-name", "engineer")
	dana := s.added("dana", "auditor")
	raw := must[api.RawResponse](s, dana, "GET", api.RouteRaw.Path, nil)
	for i, record := range raw.Records {
		for _, word := range []string{"quite-unusual-name", "dana", adminIs, "127.0.0.1", "laptop"} {
			if bytes.Contains(record, []byte(word)) {
				t.Errorf("entry %d holds %q", i, word)
			}
		}
	}
	if len(raw.Records) < 10 {
		t.Errorf("only %d entries", len(raw.Records))
	}
}

// modes returns the modes of everything in the data directory, by name.
func (s *site) modes() map[string]fs.FileMode {
	s.t.Helper()
	modes := map[string]fs.FileMode{}
	err := filepath.WalkDir(string(s.dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == string(s.dir) {
			return err
		}
		name, err := filepath.Rel(string(s.dir), path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			modes[filepath.ToSlash(name)] = info.Mode().Perm()
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return modes
}

func TestFileModes(t *testing.T) {
	want := map[string]fs.FileMode{
		"vaultpam.yaml": 0o600, "ledger.db": 0o600, "vaultpamd.pid": 0o600, "vaultpamd.sock": 0o600,
		"keys": 0o700, "tls": 0o700, "recordings": 0o700,
		"keys/user-ca": 0o600, "keys/target-ca": 0o600, "keys/host-ca": 0o600, "keys/emergency-ca": 0o600,
		"keys/user-ca.pub": 0o644, "keys/target-ca.pub": 0o644, "keys/host-ca.pub": 0o644, "keys/emergency-ca.pub": 0o644,
		"keys/log": 0o600, "keys/secret": 0o600, "tls/cert.pem": 0o600, "tls/key.pem": 0o600,
	}
	if diff := cmp.Diff(want, newSite(t).run().modes()); diff != "" {
		t.Error(diff)
	}
}
