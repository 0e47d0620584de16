package store

// maxBotKey bounds a bot's public key in bytes: an ECDSA key on P-256 has 104.
const maxBotKey = 256

// BotAdded brings a machine identity into the ledger: a CI job, an Ansible
// controller. It has an ID as people have, and no role, ever. Handle is a
// commitment. Its factors are keys and nothing else; user.removed removes it.
type BotAdded struct {
	User   UserID     `cbor:"1,keyasint"`
	Handle Commitment `cbor:"2,keyasint"`
}

// JoinCreated lets whoever shows the token enrol one key for the bot, in place of
// the token before it. Token is the SHA-256 hash of 256 random bits.
type JoinCreated struct {
	User    UserID `cbor:"1,keyasint"`
	Token   Hash   `cbor:"2,keyasint"`
	Expires Millis `cbor:"3,keyasint"`
}

// EventType returns TypeBotAdded.
func (*BotAdded) EventType() EventType          { return TypeBotAdded }
func (e *BotAdded) about(Index) (UserID, Index) { return e.User, 0 }
func (e *BotAdded) check() error                { return check(want{!e.User.IsZero(), "a user"}) }

// EventType returns TypeJoinCreated.
func (*JoinCreated) EventType() EventType          { return TypeJoinCreated }
func (e *JoinCreated) about(Index) (UserID, Index) { return e.User, 0 }
func (e *JoinCreated) check() error {
	return check(want{!e.User.IsZero(), "a user"}, want{e.Token != Hash{}, "the hash of a token"}, want{e.Expires > 0, "a moment"})
}
