package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/agent"
	"github.com/vaultpam/vaultpam/server/api"
)

// aRunner is an empty account whose environment says which bot it is. A terminal, a
// browser or a keyring would fail it.
func aRunner(t *testing.T, s *fakeServer) *machine {
	t.Helper()
	s.set(api.RouteBotChallenge, api.BotChallengeResponse{Challenge: []byte("a challenge")})
	s.set(api.RouteBotSignIn, api.SignInResponse{Token: testToken, Handle: "ci", Factor: "key", Expires: time.Now().Add(time.Hour)})
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return &machine{t: t, dir: dir, env: []string{
		"HOME=" + dir, "DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent", "VAULTPAM_SERVER=" + s.Listener.Addr().String(), "VAULTPAM_PIN=" + pinText(s.pin()),
		"VAULTPAM_BOT=ci", "VAULTPAM_BOT_KEY=" + string(pem.EncodeToMemory(block)),
	}}
}

// TestCertOfABot: one sign-in serves until the server says that it is over, and then
// another one does, unasked; nothing of the key reaches the disk.
func TestCertOfABot(t *testing.T) {
	s := newFakeServer(t)
	m := aRunner(t, s)
	m.run("cert", "--bot").want(t, exitOK, "certificate 1 until ")
	signIns := func() string { return s.body(api.RouteBotSignIn) }
	first := signIns()
	m.run("cert", "--bot", "--ensure", "--quiet").want(t, exitOK)
	m.run("cert", "--bot").want(t, exitOK, "certificate 2 until ")
	if signIns() != first || s.certificates() != 2 {
		t.Errorf("signed in again, or %d certificates", s.certificates())
	}
	over := true
	s.set(api.RouteCertificate, func(body []byte) any {
		if over {
			over = false
			return api.NewError(api.KindUnauthenticated, "vaultpam login", "the sign-in has ended")
		}
		return s.certificate(body)
	})
	m.run("cert", "--quiet").want(t, exitOK) // the directory is known to be a bot's
	if signIns() == first || s.certificates() != 3 {
		t.Errorf("the same sign-in, or %d certificates", s.certificates())
	}
	if m.opened != nil || m.tty.Len() > 0 {
		t.Error("somebody was asked")
	}
	for _, name := range files(t, m.home()) {
		data, err := os.ReadFile(filepath.Join(m.home(), name))
		if err != nil {
			t.Fatal(err)
		}
		if name != agent.KeyFile && strings.Contains(string(data), "PRIVATE KEY") {
			t.Errorf("%s holds a private key", name)
		}
	}
	var settings client.Settings
	data, err := os.ReadFile(filepath.Join(m.home(), "config.json"))
	if err != nil || json.Unmarshal(data, &settings) != nil || !settings.Bot || settings.Handle != "ci" || settings.BotKey != "" {
		t.Errorf("%+v, %v", settings, err)
	}

	// While the server can't be reached, what is there is used, and said.
	s.Close()
	m.run("cert", "--bot", "--ensure").want(t, exitOK)
	m.run("cert", "--bot").want(t, exitUnavailable, "vaultpam: renewing the certificate: ")
}

// TestBotAndPersonKeepApart: neither uses the other's directory.
func TestBotAndPersonKeepApart(t *testing.T) {
	s := newFakeServer(t)
	m := aRunner(t, s)
	m.run("cert", "--bot").want(t, exitOK)
	m.runWith(strings.NewReader(goodCode), "login", "--code-stdin").want(t, exitOther, "belongs to the bot ci", "hint: use a directory of its own")
	m.runWith(strings.NewReader(goodCode), "enroll", s.invitation(), "--code-stdin").want(t, exitOther, "belongs to the bot ci")
	m.run("cert", "--bot", "--handle", "other").want(t, exitOther, "belongs to the bot ci")
	carol := enrolled(t, s)
	carol.run("cert", "--bot", "--handle", "ci").want(t, exitOther, "belongs to carol, who is a person")
	carol.run("bot", "join", api.JoinLink{Host: s.Listener.Addr().String(), Token: [32]byte(testToken), Pin: s.pin()}.String()).
		want(t, exitOther, "belongs to carol, who is a person")
	if _, err := os.Stat(filepath.Join(carol.home(), "bot_key")); err == nil {
		t.Error("a key was made for nothing")
	}
}

// TestBotKeySources: a flag goes before the environment, and each that can't be used
// is named.
func TestBotKeySources(t *testing.T) {
	s := newFakeServer(t)
	m := aRunner(t, s)
	good := strings.TrimPrefix(m.env[len(m.env)-1], "VAULTPAM_BOT_KEY=")
	file := filepath.Join(m.dir, "key")
	if err := os.WriteFile(file, []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "VAULTPAM_BOT_KEY=canary")
	m.run("cert", "--bot").want(t, exitOther, "$VAULTPAM_BOT_KEY: not a bot's private key")
	if r := m.run("cert", "--bot"); strings.Contains(r.stderr+r.out, "canary") {
		t.Errorf("the key is shown: %+v", r)
	}
	m.run("cert", "--bot", "--key-file", file).want(t, exitOK)
	m.runWith(strings.NewReader("canary"), "cert", "--bot", "--home", filepath.Join(m.dir, "b"), "--key-file", "-").
		want(t, exitOther, "standard input: not a bot's private key")
	m.runWith(strings.NewReader(good), "cert", "--bot", "--home", filepath.Join(m.dir, "b"), "--key-file", "-").want(t, exitOK)
	m.run("cert", "--bot", "--home", filepath.Join(m.dir, "c"), "--key-file", filepath.Join(m.dir, "none")).want(t, exitNotSignedIn, "no such file", "hint: name the bot's key with --key-file")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	m.run("cert", "--bot", "--home", filepath.Join(m.dir, "d"), "--key-file", file).want(t, exitOther, "can be read by others", "hint: chmod go-rwx ")
	// The file that was named once is found again, by its whole path.
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	m.env = m.env[:len(m.env)-2]
	if err := os.Remove(filepath.Join(m.home(), "session")); err != nil {
		t.Fatal(err)
	}
	m.run("cert").want(t, exitOK)
}
