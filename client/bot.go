package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// maxChallenge bounds what a bot signs for a server, in bytes.
const maxChallenge = 256

// JoinBot uses a join token up for a key and returns which bot that is. name is the
// server's permanent name, machine what this machine calls itself.
func (c *Client) JoinBot(ctx context.Context, token [32]byte, name string, key ssh.Signer, machine string) (store.Handle, error) {
	signature, err := signBot(key, api.JoinMessage(name, token, key.PublicKey().Marshal()))
	if err != nil {
		return "", err
	}
	r, err := call[api.BotJoinResponse](ctx, c, request{route: api.RouteBotJoin, body: api.BotJoinRequest{
		Token: token[:], Key: string(ssh.MarshalAuthorizedKey(key.PublicKey())), Signature: signature, Machine: machine,
	}})
	if err != nil {
		return "", err
	}
	if err := grammar(store.ParseHandle, r.Handle); err != nil {
		return "", err
	}
	return store.Handle(r.Handle), nil
}

// SignInBot opens a sign-in session for a bot by its key. The client must have a
// key of its own, for the session.
func (c *Client) SignInBot(ctx context.Context, name string, handle store.Handle, key ssh.Signer, machine string) (api.SignInResponse, error) {
	if len(c.key) == 0 {
		return api.SignInResponse{}, errors.New("signing in: the client has no key for the session")
	}
	asked, err := call[api.BotChallengeResponse](ctx, c, request{route: api.RouteBotChallenge, body: api.BotChallengeRequest{Handle: string(handle)}})
	if err != nil {
		return api.SignInResponse{}, err
	}
	if len(asked.Challenge) == 0 || len(asked.Challenge) > maxChallenge {
		return api.SignInResponse{}, fmt.Errorf("%w: a challenge of %d bytes", ErrAnswer, len(asked.Challenge))
	}
	signature, err := signBot(key, api.BotMessage(name, string(handle), asked.Challenge, [32]byte(c.key[32:])))
	if err != nil {
		return api.SignInResponse{}, err
	}
	r, err := opened(call[api.SignInResponse](ctx, c, request{route: api.RouteBotSignIn, body: api.BotSignInRequest{
		Handle: string(handle), Key: string(ssh.MarshalAuthorizedKey(key.PublicKey())), Challenge: asked.Challenge, Signature: signature, Machine: machine,
	}}))
	if err == nil && r.Handle != string(handle) {
		return api.SignInResponse{}, fmt.Errorf("%w: a sign-in of somebody else", ErrAnswer)
	}
	return r, err
}

func signBot(key ssh.Signer, message []byte) ([]byte, error) {
	s, err := key.Sign(rand.Reader, message)
	if err != nil {
		return nil, fmt.Errorf("signing with the bot's key: %w", err)
	}
	return ssh.Marshal(s), nil
}

// Bots returns all bots with their keys.
func (c *Client) Bots(ctx context.Context) ([]api.Bot, error) {
	return call[[]api.Bot](ctx, c, request{route: api.RouteBots})
}

// AddBot adds a bot with a key; or without one, and returns a token to join with
// that can be used for so long, a day where life is 0.
func (c *Client) AddBot(ctx context.Context, handle store.Handle, key *api.BotKeyRequest, life time.Duration) (api.BotResponse, error) {
	r, err := call[api.BotResponse](ctx, c, request{
		route: api.RouteBotAdd, body: api.AddBotRequest{Handle: string(handle), Key: key, Life: int(life / time.Second)},
	})
	if key != nil {
		return r, err
	}
	return joinable(r, err)
}

// BotToken makes another join token for a bot; the one before it is void.
func (c *Client) BotToken(ctx context.Context, handle store.Handle, life time.Duration) (api.BotResponse, error) {
	return joinable(call[api.BotResponse](ctx, c, request{
		route: api.RouteBotToken, path: []string{string(handle)}, body: api.BotTokenRequest{Life: int(life / time.Second)},
	}))
}

func joinable(r api.BotResponse, err error) (api.BotResponse, error) {
	if err != nil {
		return r, err
	}
	return held(r, api.ParseJoinLink, r.Token)
}

// AddBotKey lets a bot sign in with another key.
func (c *Client) AddBotKey(ctx context.Context, handle store.Handle, key api.BotKeyRequest) (api.BotResponse, error) {
	return call[api.BotResponse](ctx, c, request{route: api.RouteBotKeyAdd, path: []string{string(handle)}, body: key})
}

// RemoveBotKey takes a key from a bot.
func (c *Client) RemoveBotKey(ctx context.Context, handle store.Handle, id uint64) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteBotKeyRemove, path: []string{string(handle), strconv.FormatUint(id, 10)}})
	return err
}

// RemoveBot removes a bot.
func (c *Client) RemoveBot(ctx context.Context, handle store.Handle) error {
	_, err := call[api.Empty](ctx, c, request{route: api.RouteBotRemove, path: []string{string(handle)}})
	return err
}
