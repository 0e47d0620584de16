package server_test

import (
	"crypto/rand"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/api"
)

// bot adds one with a key of its own, which signs in.
func (s *site) bot(handle string) *resident {
	s.t.Helper()
	key := newKey(s.t)
	s.botWith(handle, key)
	return s.botIn(handle, key)
}

// botWith adds one with a key.
func (s *site) botWith(handle string, key ssh.Signer) api.BotResponse {
	s.t.Helper()
	return must[api.BotResponse](s, s.admin, "POST", api.RouteBotAdd.Path,
		api.AddBotRequest{Handle: handle, Key: &api.BotKeyRequest{Key: publicLine(key)}})
}

// botIn signs a bot in.
func (s *site) botIn(handle string, key ssh.Signer) *resident {
	s.t.Helper()
	in := must[api.SignInResponse](s, nil, "POST", api.RouteBotSignIn.Path, s.botProof(handle, key))
	return &resident{handle: in.Handle, token: in.Token}
}

// botProof is what a bot shows for a challenge that it asks for.
func (s *site) botProof(handle string, key ssh.Signer) api.BotSignInRequest {
	s.t.Helper()
	asked := must[api.BotChallengeResponse](s, nil, "POST", api.RouteBotChallenge.Path, api.BotChallengeRequest{Handle: handle})
	return api.BotSignInRequest{
		Handle: handle, Key: publicLine(key), Challenge: asked.Challenge, Machine: "runner-3",
		Signature: s.signature(key, api.BotMessage(siteName, handle, asked.Challenge, [32]byte(residentKey[32:]))),
	}
}

func (s *site) signature(key ssh.Signer, message []byte) []byte {
	s.t.Helper()
	signed, err := key.Sign(rand.Reader, message)
	if err != nil {
		s.t.Fatal(err)
	}
	return ssh.Marshal(signed)
}
