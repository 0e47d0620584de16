package notice

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/vaultpam/vaultpam/store"
)

// The keys of SideNotices:
//
//	"cursor"                                   how many entries were looked at, 8 bytes
//	"d" channel, entry, user, kind             a delivery that waits
//	"l" hash of an invitation's token          its link, sealed
const (
	cursorKey      = "cursor"
	deliveryPrefix = "d"
	linkPrefix     = "l"
)

// A way is how a notice goes out.
type way byte

const (
	byMail way = 'm'
	byHook way = 'w'
)

func (w way) String() string {
	if w == byMail {
		return "mail"
	}
	return "webhook"
}

// A delivery is one notice on one way to one person. Its text is written when it
// is sent: what is kept names nobody but by ID.
type delivery struct {
	way   way
	entry store.Index
	user  store.UserID // whom it goes to; zero on the way of the webhook
	kind  Kind
	kept
}

// kept is the value of a delivery's row.
type kept struct {
	_       struct{}         `cbor:",toarray"`
	Address store.Commitment // user's, when the entry was made; zero for a webhook
	Link    store.Hash       // token of the invitation whose link goes with it, or zero
	Made    store.Millis
}

func (d *delivery) key() []byte {
	key := append([]byte(deliveryPrefix), byte(d.way))
	key = binary.BigEndian.AppendUint64(key, uint64(d.entry))
	return append(append(key, d.user[:]...), d.kind...)
}

// id is the same for a delivery however often it is sent, and for no other of any
// server.
func (d *delivery) id(origin string, e *store.Entry) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%s\n%d\n", origin, e.Time) // a hash takes everything
	_, _ = h.Write(d.key())                           // a hash takes everything
	return "msg_" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(h.Sum(nil)[:20]))
}

// write keeps a delivery.
func (d *delivery) write() (store.SideWrite, error) {
	value, err := cbor.Marshal(d.kept)
	if err != nil {
		return store.SideWrite{}, fmt.Errorf("encoding a notice: %w", err)
	}
	return store.SideWrite{Table: store.SideNotices, Key: d.key(), Value: value}, nil
}

// remove takes a delivery away, and its link.
func (d *delivery) remove() []store.SideWrite {
	writes := []store.SideWrite{{Table: store.SideNotices, Key: d.key()}}
	if d.Link != (store.Hash{}) {
		writes = append(writes, store.SideWrite{Table: store.SideNotices, Key: linkKey(d.Link)})
	}
	return writes
}

const deliveryKeySize = 1 + 1 + 8 + len(store.UserID{})

// deliveryOf reads a row.
func deliveryOf(row store.SideWrite) (*delivery, error) {
	if len(row.Key) <= deliveryKeySize || string(row.Key[:1]) != deliveryPrefix {
		return nil, fmt.Errorf("%w: a notice with a key of %d bytes", store.ErrCorrupt, len(row.Key))
	}
	d := &delivery{way: way(row.Key[1]), entry: store.Index(binary.BigEndian.Uint64(row.Key[2:])), kind: Kind(row.Key[deliveryKeySize:])}
	copy(d.user[:], row.Key[10:])
	if err := cbor.Unmarshal(row.Value, &d.kept); err != nil {
		return nil, fmt.Errorf("%w: a notice: %w", store.ErrCorrupt, err)
	}
	return d, nil
}

func cursorWrite(at store.Index) store.SideWrite {
	return store.SideWrite{Table: store.SideNotices, Key: []byte(cursorKey), Value: binary.BigEndian.AppendUint64(nil, uint64(at))}
}

// load reads cursor and deliveries. What can't be read is a notice lost, which
// must not keep a server from starting.
func (n *Notices) load(ctx context.Context) error {
	next := n.Ledger.State().Next()
	value, err := n.backend.Side(ctx, store.SideNotices, []byte(cursorKey))
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (len(value) != 8 || store.Index(binary.BigEndian.Uint64(value)) > next):
		// New, or of a ledger that was longer than this one. That the ledger was
		// restored is its last entry then, and the first that is told.
		if e, _, err := n.Ledger.Entry(ctx, next-1); err != nil {
			return err
		} else if e.Event.EventType() == store.TypeLedgerRestored {
			next--
		}
		if err := n.backend.WriteSide(ctx, []store.SideWrite{cursorWrite(next)}); err != nil {
			return err
		}
		n.cursor = next
	case err != nil:
		return err
	default:
		n.cursor = store.Index(binary.BigEndian.Uint64(value))
	}
	n.saved = n.cursor
	gone, err := n.loadDeliveries(ctx)
	if err != nil || len(gone) == 0 {
		return err
	}
	return n.backend.WriteSide(ctx, gone)
}

// loadDeliveries lets what was kept wait again, and returns what takes the rest
// away: rows that this program can't send, and links that are good for nothing.
func (n *Notices) loadDeliveries(ctx context.Context) (gone []store.SideWrite, err error) {
	for row, err := range n.backend.SideAll(ctx, store.SideNotices, []byte(deliveryPrefix)) {
		if err != nil {
			return nil, err
		}
		d, err := deliveryOf(row)
		if c := n.channel(d); err == nil && c != nil {
			c.add(d, n.Now())
			continue
		}
		n.Log.Warn("a notice can't be sent any more, and is dropped", "error", err)
		gone = append(gone, store.SideWrite{Table: store.SideNotices, Key: row.Key})
		if err == nil {
			gone = append(gone, d.remove()...) // its link as well
		}
	}
	for row, err := range n.backend.SideAll(ctx, store.SideNotices, []byte(linkPrefix)) {
		if err != nil {
			return nil, err
		}
		var token store.Hash
		copy(token[:], row.Key[1:])
		if _, _, ok := n.Ledger.State().Invited(token, store.At(n.Now())); !ok {
			gone = append(gone, store.SideWrite{Table: store.SideNotices, Key: row.Key})
		}
	}
	return gone, nil
}

// channel returns the way of a delivery, or nil where there is none for it.
func (n *Notices) channel(d *delivery) *channel {
	if d == nil {
		return nil
	}
	if _, ok := ruleOf(d.kind); !ok || d.entry >= n.Ledger.State().Next() {
		return nil
	}
	for _, c := range n.channels {
		if c.way == d.way {
			return c
		}
	}
	return nil
}
