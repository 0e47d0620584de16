package api

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// A JoinLink is what a bot needs to join: as an Invitation, with another path, so
// that neither is taken for the other:
//
//	https://HOST[:PORT]/join#TOKEN[.PIN]
type JoinLink Invitation

// ErrJoinLink is returned for text that is not a JoinLink.
var ErrJoinLink = errors.New("not a join token: want https://HOST/join#TOKEN as vaultpam admin bot printed it")

const joinPath = "/join"

func (j JoinLink) String() string { return Invitation(j).link(joinPath) }

// ParseJoinLink parses the text form. Its error repeats nothing of it.
func ParseJoinLink(s string) (JoinLink, error) {
	i, err := parseLink(s, joinPath)
	if err != nil {
		return JoinLink{}, ErrJoinLink
	}
	return JoinLink(i), nil
}

// JoinMessage is what a bot signs with a key to join with it: the server's
// permanent name, the token and the public key in SSH wire format. Names hold no
// line feed.
//
//	vaultpam-bot-join-v1 LF SERVER LF hex(SHA-256(token)) LF hex(SHA-256(key)) LF
func JoinMessage(server string, token [32]byte, key []byte) []byte {
	return fmt.Appendf(nil, "vaultpam-bot-join-v1\n%s\n%x\n%x\n", server, sha256.Sum256(token[:]), sha256.Sum256(key))
}

// BotMessage is what a bot signs to sign in: the server's permanent name, its own
// handle, the challenge that the server drew for it, and the public key of the
// session (ProofHeader), so that what was signed opens a session for that one
// client, once.
//
//	vaultpam-bot-sign-in-v1 LF SERVER LF HANDLE LF hex(challenge) LF hex(session key) LF
func BotMessage(server, handle string, challenge []byte, session [32]byte) []byte {
	return fmt.Appendf(nil, "vaultpam-bot-sign-in-v1\n%s\n%s\n%x\n%x\n", server, handle, challenge, session)
}

// BotChallengeRequest asks for what a bot is to sign. The call is signed with the
// key that the session will be bound to (ProofHeader).
type BotChallengeRequest struct {
	Handle string `json:"handle"`
}

// BotChallengeResponse holds it, for one sign-in.
type BotChallengeResponse struct {
	Challenge []byte    `json:"challenge"`
	Expires   time.Time `json:"expires"`
}

// BotSignInRequest proves a bot's identity: Signature is of the BotMessage, in SSH
// wire format (RFC 4253, section 6.6), by Key. The call is signed with the same key
// as that for the challenge.
type BotSignInRequest struct {
	Handle    string `json:"handle"`
	Key       string `json:"key"` // authorized_keys form
	Challenge []byte `json:"challenge"`
	Signature []byte `json:"signature"`
	Machine   string `json:"machine,omitempty"` // what the machine calls itself
}

// BotJoinRequest uses a join token up to enrol a key: Signature is of the
// JoinMessage, in SSH wire format, by Key.
type BotJoinRequest struct {
	Token     []byte `json:"token"` // 32 bytes
	Key       string `json:"key"`   // authorized_keys form
	Signature []byte `json:"signature"`
	Machine   string `json:"machine,omitempty"` // what the machine calls itself
}

// BotJoinResponse says which bot joined.
type BotJoinResponse struct {
	Handle string `json:"handle"`
}

// Bot is a machine identity as administrators see it.
type Bot struct {
	ID     string    `json:"id"`
	Handle string    `json:"handle"`
	Keys   []BotKey  `json:"keys"`
	Join   time.Time `json:"join,omitzero"` // until when a token waits to be joined with
}

// BotKey is one of the keys that a bot signs in with.
type BotKey struct {
	ID          uint64    `json:"id"`
	Name        string    `json:"name,omitempty"`
	Key         string    `json:"key"`         // authorized_keys form
	Fingerprint string    `json:"fingerprint"` // SHA-256, as OpenSSH prints it
	Added       time.Time `json:"added"`
	Used        time.Time `json:"used,omitzero"`
}

// BotKeyRequest names a key.
type BotKeyRequest struct {
	Key  string `json:"key"` // authorized_keys form
	Name string `json:"name,omitempty"`
}

// AddBotRequest adds a bot. Without a key the answer holds a join token.
type AddBotRequest struct {
	Handle string         `json:"handle"`
	Key    *BotKeyRequest `json:"key,omitempty"`
	Life   int            `json:"life,omitempty"` // of the token in seconds; 0 is a day
}

// BotTokenRequest asks for another join token; the one before is void.
type BotTokenRequest struct {
	Life int `json:"life,omitempty"` // in seconds; 0 is a day
}

// BotResponse is a bot, with a join token where one was made, which is shown once.
type BotResponse struct {
	Bot   Bot    `json:"bot"`
	Token string `json:"token,omitempty"` // a JoinLink
}
