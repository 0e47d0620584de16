package client_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

func keyText(t *testing.T, key any, passphrase string) string {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block))
}

func anyKeys(t *testing.T) (good, curve, long, wide any) {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return ed, p256, r, p384
}

// TestParseBotKey: what CI systems do to a variable is mended, what is no bot's key
// is refused, and no error repeats any of it.
func TestParseBotKey(t *testing.T) {
	good, curve, long, wide := anyKeys(t)
	text := keyText(t, good, "")
	for name, s := range map[string]string{
		"as it is": text, "P-256": keyText(t, curve, ""), "without its last line feed": strings.TrimSpace(text),
		"with carriage returns": strings.ReplaceAll(text, "\n", "\r\n"), "with space around it": "\n  " + text + "\n\n",
	} {
		if key, err := client.ParseBotKey([]byte(s)); err != nil || key == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, s := range map[string]string{
		"nothing": "", "words": "canary", "with a passphrase": keyText(t, good, "secret"), "RSA": keyText(t, long, ""), "P-384": keyText(t, wide, ""),
		"half of it": text[:len(text)/2], "long": text + strings.Repeat(" ", 1<<17), "a public key": string(ssh.MarshalAuthorizedKey(newSigner(t).PublicKey())),
	} {
		key, err := client.ParseBotKey([]byte(s))
		if !errors.Is(err, client.ErrBotKey) || key != nil {
			t.Errorf("%s: %v, want ErrBotKey", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), text[40:60])) {
			t.Errorf("%s: the error holds what was read: %v", name, err)
		}
	}
}

// TestBotKeyInItsHome: it is made once, for its owner alone, and read again; one
// that others can read is not.
func TestBotKeyInItsHome(t *testing.T) {
	h := newHome(t, nil)
	made, err := h.BotKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.BotKey(rand.Reader)
	if err != nil || string(again.PublicKey().Marshal()) != string(made.PublicKey().Marshal()) {
		t.Errorf("another key: %v", err)
	}
	checkPrivate(t, h.Dir())
	if err := os.Chmod(h.BotKeyFile(), 0o640); err != nil {
		t.Fatal(err)
	}
	var readable *client.ReadableError
	if _, err := h.BotKey(rand.Reader); !errors.As(err, &readable) || readable.Path != h.BotKeyFile() {
		t.Errorf("a key that others can read: %v", err)
	}
	dir := t.TempDir()
	if _, err := client.ReadBotKey(dir); err == nil {
		t.Error("a directory is a key")
	}
	if _, err := client.ReadBotKey(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want that there is none", err)
	}
}

// TestBotSettings: whose directory it is, and where the key is, are kept; a path that
// means something else elsewhere is not.
func TestBotSettings(t *testing.T) {
	f, h := newFake(t), newHome(t, nil)
	s := f.settings(t)
	s.Bot, s.BotKey = true, "/etc/ci/key"
	if err := h.SaveSettings(s); err != nil {
		t.Fatal(err)
	}
	if got, err := h.Settings(); err != nil || !got.Bot || got.BotKey != "/etc/ci/key" {
		t.Errorf("%+v, %v", got, err)
	}
	for name, spoil := range map[string]func(*client.Settings){
		"a relative path":  func(s *client.Settings) { s.BotKey = "key" },
		"a person's":       func(s *client.Settings) { s.Bot = false },
		"a hostile handle": func(s *client.Settings) { s.Handle = "-x" },
	} {
		bad := s
		spoil(&bad)
		if err := h.SaveSettings(bad); err == nil {
			t.Errorf("%s is kept", name)
		}
	}
}

// TestSignInBot: what is signed is the challenge for this server, handle and session
// key, and an answer that is somebody else's or makes no sense opens nothing.
func TestSignInBot(t *testing.T) {
	f, bot := newFake(t), newSigner(t)
	challenge, answer := []byte("a challenge"), api.SignInResponse{Token: testToken, Handle: "ci", Factor: "key"}
	f.handle(api.RouteBotChallenge, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(api.BotChallengeResponse{Challenge: challenge})
	})
	var shown api.BotSignInRequest
	var session [32]byte
	f.handle(api.RouteBotSignIn, func(w http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&shown); err != nil {
			t.Error(err)
		}
		key := strings.Fields(r.Header.Get(api.ProofHeader))[1]
		raw, err := base64.RawURLEncoding.DecodeString(key)
		if err != nil || copy(session[:], raw) != 32 {
			t.Errorf("key %q: %v", key, err)
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
	if _, err := f.client(t).SignInBot(t.Context(), serverName, "ci", bot, "runner"); err == nil {
		t.Error("signed in without a key for the session")
	}
	c, err := f.client(t).WithNewKey()
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.SignInBot(t.Context(), serverName, "ci", bot, "runner")
	if err != nil || r.Handle != "ci" {
		t.Fatalf("%+v, %v", r, err)
	}
	var signature ssh.Signature
	if err := ssh.Unmarshal(shown.Signature, &signature); err != nil {
		t.Fatal(err)
	}
	if err := bot.PublicKey().Verify(api.BotMessage(serverName, "ci", challenge, session), &signature); err != nil {
		t.Errorf("what was signed is something else: %v", err)
	}
	for name, spoil := range map[string]func(){
		"somebody else's session": func() { answer.Handle = "eve" },
		"no token":                func() { answer.Handle, answer.Token = "ci", nil },
		"no challenge":            func() { answer.Token, challenge = testToken, nil },
		"a book as a challenge":   func() { challenge = make([]byte, 257) },
	} {
		answer, challenge = api.SignInResponse{Token: testToken, Handle: "ci"}, []byte("a challenge")
		spoil()
		if r, err := c.SignInBot(t.Context(), serverName, "ci", bot, ""); !errors.Is(err, client.ErrAnswer) || r.Token != nil {
			t.Errorf("%s: %+v, %v, want ErrAnswer", name, r, err)
		}
	}
}
