package login

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// signingLife is how long a bot has to sign: it does nothing else meanwhile.
	signingLife   = 2 * time.Minute
	challengeSize = 8 + 16 + sha256.Size
)

// challenges are what bots sign to sign in. One is the end of its life in seconds
// since the Unix epoch (8 bytes, big-endian), 16 random bytes, and HMAC-SHA256 over
// both and whom it was drawn for. So nothing is kept of those that strangers ask
// for, however many, and they push out nobody's. What was used is remembered until
// it would have ended; only who holds a bot's key can add to that.
//
// The key is this process's own: a restart voids what was drawn before it, and so
// nothing that was used comes back.
type challenges struct {
	key   [32]byte
	mu    sync.Mutex // guards used and swept
	used  map[[challengeSize]byte]time.Time
	swept time.Time // when those that had ended were last forgotten
}

func (l *Login) newChallenges() (*challenges, error) {
	c := &challenges{used: map[[challengeSize]byte]time.Time{}}
	return c, l.draw(c.key[:])
}

// A challenged is whom a challenge is for: a bot, or the zero ID for a handle that
// no bot has, and the client whose key the session will be bound to.
type challenged struct {
	handle string
	bot    store.UserID
	client store.ClientKey
}

// challenge returns one that was just drawn, and when it ends.
func (l *Login) challenge(who challenged) ([]byte, time.Time, error) {
	expires := l.Now().Add(signingLife).Truncate(time.Second)
	c := binary.BigEndian.AppendUint64(nil, uint64(expires.Unix()))
	c = append(c, make([]byte, 16)...)
	if err := l.draw(c[8:]); err != nil {
		return nil, time.Time{}, err
	}
	return append(c, l.challenges.mac(who, c)...), expires, nil
}

func (c *challenges) mac(who challenged, drawn []byte) []byte {
	mac := hmac.New(sha256.New, c.key[:])
	mac.Write([]byte("vaultpam bot challenge\x00"))
	mac.Write(who.bot[:])
	mac.Write(who.client[:])
	mac.Write(drawn)
	mac.Write([]byte(who.handle)) // the last: all before it has one length
	return mac.Sum(nil)
}

// good reports whether a challenge was drawn for somebody and has not ended.
func (c *challenges) good(who challenged, challenge []byte, now time.Time) bool {
	if len(challenge) != challengeSize {
		return false
	}
	drawn, mac := challenge[:challengeSize-sha256.Size], challenge[challengeSize-sha256.Size:]
	ours := hmac.Equal(mac, c.mac(who, drawn))
	return ours && now.Before(expiryOf(challenge))
}

func expiryOf(challenge []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(challenge)), 0)
}

// use uses a good challenge up. Of all who show one at once the first is let go on.
func (c *challenges) use(challenge []byte, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [challengeSize]byte(challenge)
	if _, again := c.used[key]; again {
		return false
	}
	if now.Sub(c.swept).Abs() >= signingLife {
		for old, expires := range c.used {
			if !now.Before(expires) {
				delete(c.used, old)
			}
		}
		c.swept = now
	}
	c.used[key] = expiryOf(challenge)
	return true
}
