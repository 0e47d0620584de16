package store

// LedgerCreated is entry 0: who this ledger belongs to and the public keys that
// everything after it is signed with. Keys are in SSH wire format (RFC 4253,
// section 6.6), the log key as 32 bytes of Ed25519.
type LedgerCreated struct {
	Name        string `cbor:"1,keyasint"`
	Rules       uint64 `cbor:"2,keyasint"`
	LogKey      []byte `cbor:"3,keyasint"`
	UserCA      []byte `cbor:"4,keyasint"`
	TargetCA    []byte `cbor:"5,keyasint"`
	HostCA      []byte `cbor:"6,keyasint"`
	EmergencyCA []byte `cbor:"7,keyasint"`
}

// RulesActivated says which version of the rules decides from here on.
type RulesActivated struct {
	Rules uint64 `cbor:"1,keyasint"`
}

// LedgerRestored says that the ledger was restored from a backup and that
// entries may have been lost: those from its own index up to Size, if a larger
// checkpoint was shown; Size is 0 where none was. Base is added to the indexes of
// the entries from this one on to make serials, so that no serial is ever given
// out twice.
type LedgerRestored struct {
	Base uint64 `cbor:"1,keyasint"`
	Size uint64 `cbor:"2,keyasint,omitempty"`
	Root Hash   `cbor:"3,keyasint,omitzero"`
}

// ClockAccepted says that somebody looked at the server's clock and that it is
// right: entries after this one are dated from Time on. It is the one way out of
// a ledger that was dated into the future, and the one entry after which times
// may go back.
type ClockAccepted struct {
	Time Millis `cbor:"1,keyasint"`
}

// SettingChanged sets one of the settings that rules depend on.
type SettingChanged struct {
	Setting Setting `cbor:"1,keyasint"`
	Value   string  `cbor:"2,keyasint"`
}

func (*LedgerCreated) EventType() EventType        { return TypeLedgerCreated }
func (*LedgerCreated) about(Index) (UserID, Index) { return UserID{}, 0 }
func (e *LedgerCreated) check() error {
	return check(want{e.Name != "", "a name"}, want{len(e.LogKey) == 32, "a log key of 32 bytes"})
}

func (*RulesActivated) EventType() EventType        { return TypeRulesActivated }
func (*RulesActivated) about(Index) (UserID, Index) { return UserID{}, 0 }
func (*RulesActivated) check() error                { return nil }

func (*LedgerRestored) EventType() EventType        { return TypeLedgerRestored }
func (*LedgerRestored) about(Index) (UserID, Index) { return UserID{}, 0 }
func (e *LedgerRestored) check() error {
	return check(want{0 < e.Base && e.Base < uint64(EmergencySerial), "a base below the emergency serials"})
}

func (*ClockAccepted) EventType() EventType        { return TypeClockAccepted }
func (*ClockAccepted) about(Index) (UserID, Index) { return UserID{}, 0 }
func (e *ClockAccepted) check() error              { return check(want{e.Time > 0, "a moment"}) }

func (*SettingChanged) EventType() EventType        { return TypeSettingChanged }
func (*SettingChanged) about(Index) (UserID, Index) { return UserID{}, 0 }
func (e *SettingChanged) check() error              { return e.Setting.Check(e.Value) }
