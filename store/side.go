package store

import "fmt"

// NewRecord returns the record of an entry whose stored bytes are data, with the
// keys it is found by.
func NewRecord(data []byte, e *Entry) Record {
	r := Record{Data: data, Type: e.Event.EventType()}
	r.User, r.Target = e.Event.about(e.Index)
	return r
}

// storedOpening is an opening's value in the side table.
type storedOpening struct {
	_     struct{} `cbor:",toarray"`
	Field Field
	Salt  [32]byte
	Text  string
}

// OpeningKey returns the key of an opening: its owner and its commitment, so
// that everything about a person lies together and can be erased together.
func OpeningKey(owner UserID, c Commitment) []byte {
	return append(owner[:], c[:]...)
}

// SideWrite returns what keeps the opening in the side table.
func (o Opening) SideWrite() (SideWrite, error) {
	value, err := cborCodec.enc.Marshal(storedOpening{Field: o.Field, Salt: o.Salt, Text: o.Text})
	if err != nil {
		return SideWrite{}, fmt.Errorf("encoding an opening: %w", err)
	}
	return SideWrite{Table: SideOpenings, Key: OpeningKey(o.Owner, o.Commit()), Value: value}, nil
}

// OpeningOf returns the opening that a row of the side table keeps, and the
// commitment it opens. A row that does not open its own key is ErrCorrupt.
func OpeningOf(w SideWrite) (Opening, Commitment, error) {
	var o Opening
	var c Commitment
	var v storedOpening
	if len(w.Key) != len(o.Owner)+len(c) {
		return o, c, fmt.Errorf("%w: opening with a key of %d bytes", ErrCorrupt, len(w.Key))
	}
	if err := cborCodec.dec.Unmarshal(w.Value, &v); err != nil {
		return o, c, fmt.Errorf("%w: opening: %w", ErrCorrupt, err)
	}
	copy(o.Owner[:], w.Key)
	copy(c[:], w.Key[len(o.Owner):])
	o.Field, o.Salt, o.Text = v.Field, v.Salt, v.Text
	if !o.Opens(c) {
		return o, c, fmt.Errorf("%w: opening does not fit its commitment", ErrCorrupt)
	}
	return o, c, nil
}
