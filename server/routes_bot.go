package server

import (
	"context"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/server/login"
	"github.com/vaultpam/vaultpam/store"
)

func (n *Node) botChallenge(_ context.Context, c call, q api.BotChallengeRequest) (api.BotChallengeResponse, error) {
	challenge, expires, err := n.login.ChallengeBot(q.Handle, c.client(""))
	return api.BotChallengeResponse{Challenge: challenge, Expires: expires}, err
}

func (n *Node) botSignIn(ctx context.Context, c call, q api.BotSignInRequest) (api.SignInResponse, error) {
	key, err := publicKey(q.Key)
	if err != nil {
		return api.SignInResponse{}, err
	}
	proof := login.BotProof{Handle: q.Handle, Key: key, Challenge: q.Challenge, Signature: q.Signature}
	s, err := n.login.SignInBot(ctx, proof, c.client(q.Machine))
	return signedIn(s), err
}

func (n *Node) botJoin(ctx context.Context, _ call, q api.BotJoinRequest) (api.BotJoinResponse, error) {
	key, err := publicKey(q.Key)
	if err != nil {
		return api.BotJoinResponse{}, err
	}
	u, err := n.login.JoinBot(ctx, q.Token, key, q.Signature, q.Machine)
	return api.BotJoinResponse{Handle: string(u.Handle)}, err
}

func (n *Node) bots(ctx context.Context, _ call, _ api.Empty) ([]api.Bot, error) {
	bots, r := []api.Bot{}, n.newReader()
	for u := range r.state.Bots() {
		bots = append(bots, n.wireBot(ctx, r, u))
	}
	return bots, nil
}

func (n *Node) wireBot(ctx context.Context, r *reader, u access.User) api.Bot {
	b := api.Bot{ID: u.ID.String(), Handle: string(u.Handle), Keys: []api.BotKey{}}
	if expires, ok := r.state.Join(u.ID, store.At(n.Now())); ok {
		b.Join = expires.Time()
	}
	for _, f := range u.Factors {
		key, err := ssh.ParsePublicKey(f.Key)
		if err != nil {
			continue // the fold parsed it
		}
		b.Keys = append(b.Keys, api.BotKey{
			ID: uint64(f.Entry), Name: r.title(ctx, u.ID, f.Name), Key: authorized(key), Fingerprint: ssh.FingerprintSHA256(key),
			Added: f.Added.Time(), Used: f.Used.Time(),
		})
	}
	return b
}

func (n *Node) addBot(ctx context.Context, c call, q api.AddBotRequest) (api.BotResponse, error) {
	add := access.AddBot{By: c.caller, Handle: q.Handle}
	if err := draw(n.Random, add.ID[:], add.Salt[:]); err != nil {
		return api.BotResponse{}, err
	}
	if q.Key != nil {
		key, err := n.botKey(*q.Key)
		if err != nil {
			return api.BotResponse{}, err
		}
		add.Key = &key
		return n.changeBot(ctx, add, store.Handle(q.Handle), "")
	}
	join, link, err := n.joinToken(q.Life)
	if err != nil {
		return api.BotResponse{}, err
	}
	add.Join = &join
	return n.changeBot(ctx, add, store.Handle(q.Handle), link)
}

func (n *Node) botToken(ctx context.Context, c call, q api.BotTokenRequest) (api.BotResponse, error) {
	join, link, err := n.joinToken(q.Life)
	if err != nil {
		return api.BotResponse{}, err
	}
	handle := store.Handle(c.param("handle"))
	return n.changeBot(ctx, access.CreateJoin{By: c.caller, Handle: handle, Join: join}, handle, link)
}

func (n *Node) addBotKey(ctx context.Context, c call, q api.BotKeyRequest) (api.BotResponse, error) {
	key, err := n.botKey(q)
	if err != nil {
		return api.BotResponse{}, err
	}
	handle := store.Handle(c.param("handle"))
	return n.changeBot(ctx, access.AddBotKey{By: c.caller, Handle: handle, Key: key}, handle, "")
}

// changeBot does something to a bot, and returns what it is then.
func (n *Node) changeBot(ctx context.Context, cmd access.Command, handle store.Handle, link string) (api.BotResponse, error) {
	if _, err := n.ledger.Do(ctx, cmd); err != nil {
		return api.BotResponse{}, err
	}
	r := n.newReader()
	u, ok := r.state.UserByHandle(handle)
	if !ok { // removed in the same moment
		return api.BotResponse{}, store.ErrNotFound
	}
	return api.BotResponse{Bot: n.wireBot(ctx, r, u), Token: link}, nil
}

func (n *Node) botKey(q api.BotKeyRequest) (access.BotKey, error) {
	key, err := publicKey(q.Key)
	if err != nil {
		return access.BotKey{}, err
	}
	k := access.BotKey{Key: key, Name: q.Name}
	return k, draw(n.Random, k.Salt[:])
}

// joinToken draws a token; the command learns no more than its hash.
func (n *Node) joinToken(seconds int) (access.JoinToken, string, error) {
	if most := int(access.MaxJoinLife / time.Second); seconds < 0 || seconds > most {
		return access.JoinToken{}, "", api.NewError(api.KindInvalid, "", "a join token lasts %d seconds at most", most)
	}
	var invite access.Invite
	link, err := n.invitation(&invite)
	return access.JoinToken{Token: invite.Token, Life: time.Duration(seconds) * time.Second}, api.JoinLink(link).String(), err
}

func (n *Node) removeBot(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	_, err := n.ledger.Do(ctx, access.RemoveBot{By: c.caller, Handle: store.Handle(c.param("handle"))})
	return api.Empty{}, err
}

func (n *Node) removeBotKey(ctx context.Context, c call, _ api.Empty) (api.Empty, error) {
	id, err := entryID(c, "vaultpam admin bot ls")
	if err != nil {
		return api.Empty{}, err
	}
	_, err = n.ledger.Do(ctx, access.RemoveBotKey{By: c.caller, Handle: store.Handle(c.param("handle")), Factor: id})
	return api.Empty{}, err
}
