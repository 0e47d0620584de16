package login_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

const serverName = "pam.example.eu"

// A robot is a bot with its key.
type robot struct {
	handle string
	key    ssh.Signer
}

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return signer(t, key)
}

func signer(t testing.TB, key any) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (o *office) bot(handle string, key ssh.Signer) robot {
	o.Helper()
	o.do(access.AddBot{
		By: access.Caller{Local: true}, ID: store.UserID(random(16)), Handle: handle, Salt: [32]byte(random(32)), Key: &access.BotKey{Key: key.PublicKey()},
	})
	return robot{handle, key}
}

func signature(t testing.TB, key ssh.Signer, message []byte) []byte {
	t.Helper()
	s, err := key.Sign(rand.Reader, message)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.Marshal(s)
}

// prove returns what a bot shows for a challenge that it asked for.
func (o *office) prove(r robot, client login.Client) login.BotProof {
	o.Helper()
	challenge, _, err := o.ChallengeBot(r.handle, client)
	if err != nil {
		o.Fatal(err)
	}
	return login.BotProof{
		Handle: r.handle, Key: r.key.PublicKey(), Challenge: challenge,
		Signature: signature(o, r.key, api.BotMessage(serverName, r.handle, challenge, client.Key)),
	}
}

// botSignsIn has a bot sign in, which must go well.
func (o *office) botSignsIn(r robot, client login.Client) login.Session {
	o.Helper()
	s, err := o.SignInBot(context.Background(), o.prove(r, client), client)
	if err != nil {
		o.Fatal(err)
	}
	return s
}

func (o *office) grown() store.Index { return o.ledger.State().Next() }

func TestBotSignsIn(t *testing.T) {
	o := found(t)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for handle, key := range map[string]ssh.Signer{"ci": newSigner(t), "ansible": signer(t, curve)} {
		r := o.bot(handle, key)
		s := o.botSignsIn(r, home)
		if string(s.User.Handle) != handle || s.Kind != store.FactorKey || s.Device != nil || s.Codes != nil || s.Expires.Sub(o.clock.Now()) != time.Hour {
			t.Errorf("%+v", s)
		}
		u, x, err := o.ledger.State().Caller(by(s.Token), store.At(o.clock.Now()))
		if err != nil || !u.Bot || x.Kind != store.FactorKey || x.Fresh(store.At(o.clock.Now())) {
			t.Errorf("%+v, %+v: %v", u, x, err)
		}
		if _, err := o.SignInBot(context.Background(), o.prove(r, home), at("198.51.100.7")); err != nil {
			t.Errorf("from another address, as runners do: %v", err)
		}
	}
	if _, _, err := o.ChallengeBot("ci", login.Client{Source: home.Source}); kind(err) != access.Invalid {
		t.Errorf("a challenge for no session key: %v", err)
	}
}

// TestBotProofs: whatever is wrong with what a bot shows, nobody is signed in and
// the answer is the same. A signature is worth nothing for another server, bot,
// session key or challenge, and nothing a second time.
func TestBotProofs(t *testing.T) {
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	type show = login.BotProof
	other := login.Client{Source: home.Source, Key: store.ClientKey{9}}
	for name, spoil := range map[string]func(o *office, r robot, p *show, as *login.Client){
		"replayed": func(o *office, r robot, p *show, _ *login.Client) {
			if _, err := o.SignInBot(context.Background(), *p, home); err != nil {
				o.Fatal(err)
			}
		},
		"for another server": func(o *office, r robot, p *show, _ *login.Client) {
			p.Signature = signature(o, r.key, api.BotMessage("pam.example.org", r.handle, p.Challenge, home.Key))
		},
		"for another bot": func(o *office, r robot, p *show, _ *login.Client) {
			p.Signature = signature(o, r.key, api.BotMessage(serverName, "ansible", p.Challenge, home.Key))
		},
		"for another session key": func(o *office, r robot, p *show, _ *login.Client) {
			p.Signature = signature(o, r.key, api.BotMessage(serverName, r.handle, p.Challenge, other.Key))
		},
		"by a client with another key": func(_ *office, _ robot, _ *show, as *login.Client) { *as = other },
		"by a client with its key, all signed": func(o *office, r robot, p *show, as *login.Client) {
			// A thief in the middle has the challenge signed for a session of their own.
			p.Signature = signature(o, r.key, api.BotMessage(serverName, r.handle, p.Challenge, other.Key))
			*as = other
		},
		"another bot's challenge": func(o *office, r robot, p *show, _ *login.Client) {
			*p = o.prove(robot{"ansible", r.key}, home)
			p.Handle = r.handle
			p.Signature = signature(o, r.key, api.BotMessage(serverName, r.handle, p.Challenge, home.Key))
		},
		"another bot's name": func(_ *office, _ robot, p *show, _ *login.Client) { p.Handle = "ansible" },
		"another bot's key": func(o *office, _ robot, p *show, _ *login.Client) {
			p.Key = newSigner(o).PublicKey()
		},
		"a key of the thief's own": func(o *office, r robot, p *show, _ *login.Client) {
			*p = o.prove(robot{r.handle, newSigner(o)}, home)
		},
		"a person's name": func(o *office, r robot, p *show, _ *login.Client) { *p = o.prove(robot{"carol", r.key}, home) },
		"nobody's name":   func(o *office, r robot, p *show, _ *login.Client) { *p = o.prove(robot{"nobody", r.key}, home) },
		"no name":         func(o *office, r robot, p *show, _ *login.Client) { *p = o.prove(robot{"", r.key}, home) },
		"too late":        func(o *office, _ robot, _ *show, _ *login.Client) { o.clock.wait(2 * time.Minute) },
		"after a restart": func(o *office, _ robot, _ *show, _ *login.Client) { o.restart() },
		"no challenge": func(o *office, r robot, p *show, _ *login.Client) {
			p.Challenge = nil
			p.Signature = signature(o, r.key, api.BotMessage(serverName, r.handle, nil, home.Key))
		},
		"a challenge of its own making": func(o *office, r robot, p *show, _ *login.Client) {
			p.Challenge = slices.Clone(p.Challenge)
			p.Challenge[7] += 100 // lives longer
			p.Signature = signature(o, r.key, api.BotMessage(serverName, r.handle, p.Challenge, home.Key))
		},
		"a challenge with something behind it": func(o *office, r robot, p *show, _ *login.Client) {
			p.Challenge = append(slices.Clone(p.Challenge), 0)
			p.Signature = signature(o, r.key, api.BotMessage(serverName, r.handle, p.Challenge, home.Key))
		},
		"no signature":      func(_ *office, _ robot, p *show, _ *login.Client) { p.Signature = nil },
		"half a signature":  func(_ *office, _ robot, p *show, _ *login.Client) { p.Signature = p.Signature[:40] },
		"a signature, more": func(_ *office, _ robot, p *show, _ *login.Client) { p.Signature = append(slices.Clone(p.Signature), 0) },
		"a bit of it": func(_ *office, _ robot, p *show, _ *login.Client) {
			p.Signature = slices.Clone(p.Signature)
			p.Signature[len(p.Signature)-1] ^= 1
		},
		"no key": func(_ *office, _ robot, p *show, _ *login.Client) { p.Key = nil },
		"an RSA key": func(o *office, r robot, p *show, _ *login.Client) {
			*p = o.prove(robot{r.handle, signer(o, long)}, home)
		},
		"a certificate over its key": func(o *office, r robot, p *show, _ *login.Client) {
			p.Key = &ssh.Certificate{Key: r.key.PublicKey(), SignatureKey: r.key.PublicKey(), Signature: &ssh.Signature{}}
		},
		"a bot that was removed": func(o *office, _ robot, _ *show, _ *login.Client) {
			o.do(access.RemoveBot{By: access.Caller{Local: true}, Handle: "ci"})
		},
		"a bot that was removed and added again": func(o *office, r robot, _ *show, _ *login.Client) {
			o.do(access.RemoveBot{By: access.Caller{Local: true}, Handle: "ci"})
			o.bot("ci", r.key)
		},
		"a key that was taken away": func(o *office, _ robot, _ *show, _ *login.Client) {
			u, _ := o.ledger.State().UserByHandle("ci")
			o.do(access.RemoveBotKey{By: access.Caller{Local: true}, Handle: "ci", Factor: u.Factors[0].Entry})
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := found(t)
			o.employ("carol")
			r := o.bot("ci", newSigner(t))
			o.bot("ansible", newSigner(t))
			p, as := o.prove(r, home), home
			spoil(o, r, &p, &as)
			before := o.grown()
			if s, err := o.SignInBot(context.Background(), p, as); !errors.Is(err, access.ErrBotSignIn) {
				t.Errorf("%+v, %v, want ErrBotSignIn", s, err)
			}
			if o.grown() != before {
				t.Error("an entry was made of it")
			}
		})
	}
}

// TestBotChallengeAtOnce: of fifty who show one challenge at once, one gets in.
func TestBotChallengeAtOnce(t *testing.T) {
	o := found(t)
	r := o.bot("ci", newSigner(t))
	p := o.prove(r, home)
	if in := atOnce(50, func(i int) error {
		_, err := o.SignInBot(context.Background(), p, home)
		return err
	}, access.ErrBotSignIn, t); in != 1 {
		t.Errorf("%d got in", in)
	}
	if open := o.ledger.State().SignInsOf(o.idOf("ci"), store.At(o.clock.Now())); len(open) != 1 {
		t.Errorf("%d sign-in sessions", len(open))
	}
}

func (o *office) idOf(handle store.Handle) store.UserID {
	u, _ := o.ledger.State().UserByHandle(handle)
	return u.ID
}

// atOnce does something many times at once and returns how often it went well. All
// others must be refused with the same answer, or held back.
func atOnce(n int, do func(i int) error, want error, t *testing.T) int {
	t.Helper()
	results := make([]error, n)
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { results[i] = do(i) })
	}
	group.Wait()
	in := 0
	for _, err := range results {
		if err == nil {
			in++
		} else if !errors.Is(err, want) && kind(err) != access.Limited {
			t.Errorf("%v, want %v", err, want)
		}
	}
	return in
}

// TestS15BotFailures: failures are counted where they come from and held back there,
// for a bot and for a name that none has alike, over a restart, and an entry tells
// of them. They lock nobody out: not the bot, there or elsewhere, and no person.
func TestS15BotFailures(t *testing.T) {
	o := found(t)
	o.employ("carol")
	r := o.bot("ci", newSigner(t))
	thief := at("203.0.113.9")
	for _, handle := range []string{"ci", "nobody", "carol"} {
		bad := robot{handle, newSigner(t)}
		for i := range 10 {
			if _, err := o.SignInBot(context.Background(), o.prove(bad, thief), thief); !errors.Is(err, access.ErrBotSignIn) {
				t.Fatalf("%s, try %d: %v", handle, i, err)
			}
		}
		for range 2 {
			_, err := o.SignInBot(context.Background(), o.prove(bad, thief), thief)
			var refused *access.Refusal
			if !errors.As(err, &refused) || refused.Kind != access.Limited || refused.RetryAfter != 15*time.Minute {
				t.Errorf("%s: %v, want to be held back", handle, err)
			}
			o.restart()
		}
	}
	o.botSignsIn(r, thief) // whoever shares the thief's address
	for i := range 300 {
		elsewhere := address(1000 + i)
		if _, err := o.SignInBot(context.Background(), o.prove(robot{"ci", newSigner(t)}, elsewhere), elsewhere); !errors.Is(err, access.ErrBotSignIn) {
			t.Fatal(err)
		}
	}
	o.botSignsIn(r, at("198.51.100.99"))
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := uint64(0)
	for _, e := range o.noted() {
		if e.User != o.idOf("ci") {
			t.Errorf("failures of somebody else: %+v", e)
		}
		told += e.Count
	}
	if told != 310 {
		t.Errorf("entries tell of %d failures, want 310", told)
	}
}

// TestBotHasNoCode: a bot's name signs nobody in with a code, and guessing there
// counts as it does where there is nobody: no entry is about the bot.
func TestBotHasNoCode(t *testing.T) {
	o := found(t)
	r := o.bot("ci", newSigner(t))
	for i := range 70 {
		if err := o.try("ci", []string{"123456", "aaaa-bbbb-cccc-dddd-eeee-ffff"}[i%2], address(i)); !errors.Is(err, access.ErrSignIn) && kind(err) != access.Limited {
			t.Fatal(err)
		}
		o.clock.wait(25 * time.Hour)
	}
	if err := o.NoteFailures(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := o.noted(); len(all) != 0 {
		t.Errorf("%d entries about the bot", len(all))
	}
	o.botSignsIn(r, home)
}

// TestJoin: a token lets one key in, if who shows it holds that key.
func TestJoin(t *testing.T) {
	o := found(t)
	join := func(handle string) []byte {
		token := random(32)
		o.do(access.AddBot{
			By: access.Caller{Local: true}, ID: store.UserID(random(16)), Handle: handle, Salt: [32]byte(random(32)),
			Join: &access.JoinToken{Token: login.TokenHash(token)},
		})
		return token
	}
	token, key := join("ci"), newSigner(t)
	public := key.PublicKey().Marshal()
	good := signature(t, key, api.JoinMessage(serverName, [32]byte(token), public))
	for name, bad := range map[string]struct {
		token     []byte
		key       ssh.PublicKey
		signature []byte
		want      access.Kind
	}{
		"no token":          {nil, key.PublicKey(), good, access.NotFound},
		"another token":     {random(32), key.PublicKey(), good, access.NotFound},
		"half a token":      {token[:16], key.PublicKey(), good, access.NotFound},
		"no key":            {token, nil, good, access.Invalid},
		"somebody's key":    {token, newSigner(t).PublicKey(), good, access.Invalid},
		"no signature":      {token, key.PublicKey(), nil, access.Invalid},
		"of another server": {token, key.PublicKey(), signature(t, key, api.JoinMessage("pam.example.org", [32]byte(token), public)), access.Invalid},
		"of another token":  {token, key.PublicKey(), signature(t, key, api.JoinMessage(serverName, [32]byte(random(32)), public)), access.Invalid},
		"of a sign-in":      {token, key.PublicKey(), signature(t, key, api.BotMessage(serverName, "ci", token, home.Key)), access.Invalid},
	} {
		before := o.grown()
		if _, err := o.JoinBot(t.Context(), bad.token, bad.key, bad.signature, ""); kind(err) != bad.want || o.grown() != before {
			t.Errorf("%s: %v, want kind %v and no entry", name, err, bad.want)
		}
	}
	u, err := o.JoinBot(t.Context(), token, key.PublicKey(), good, "runner-3")
	if err != nil || u.Handle != "ci" || len(u.Factors) != 1 {
		t.Fatalf("%+v, %v", u, err)
	}
	if name, err := o.ledger.Text(t.Context(), u.ID, u.Factors[0].Name); err != nil || name != "runner-3" {
		t.Errorf("the key is called %q, %v", name, err)
	}
	if _, err := o.JoinBot(t.Context(), token, key.PublicKey(), good, ""); !errors.Is(err, access.ErrJoin) {
		t.Errorf("twice: %v", err)
	}
	o.botSignsIn(robot{"ci", key}, home)

	// Fifty thieves and one token.
	token = join("ansible")
	if in := atOnce(50, func(i int) error {
		key := newSigner(t)
		_, err := o.JoinBot(context.Background(), token, key.PublicKey(), signature(t, key, api.JoinMessage(serverName, [32]byte(token), key.PublicKey().Marshal())), "")
		return err
	}, access.ErrJoin, t); in != 1 {
		t.Errorf("%d joined with one token", in)
	}
	if u, _ := o.ledger.State().UserByHandle("ansible"); len(u.Factors) != 1 {
		t.Errorf("%+v", u)
	}
}

// suspectBot is how TestS16SameTime tries bots: half of the signatures verify and
// are by a key that is not the bot's.
func (o *office) suspectBot() suspect {
	o.Helper()
	own := newSigner(o)
	return suspect{
		add: func(handle string) { o.bot(handle, newSigner(o)) },
		try: func(handle string, i int) error {
			client := address(i)
			p := login.BotProof{Handle: handle, Key: own.PublicKey(), Challenge: make([]byte, 56), Signature: []byte(fmt.Sprint(i))}
			if i%2 == 0 {
				challenge, _, err := o.ChallengeBot(handle, client)
				if err != nil {
					return err
				}
				p.Challenge, p.Signature = challenge, signature(o, own, api.BotMessage(serverName, handle, challenge, client.Key))
			}
			_, err := o.SignInBot(context.Background(), p, client)
			return err
		},
		answer: access.ErrBotSignIn,
	}
}
