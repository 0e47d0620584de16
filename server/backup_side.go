package server

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// sideTables are the tables that a backup takes. SideNotices is not among them:
// what was waiting to be sent then is old, or was sent meanwhile.
func sideTables() []store.SideTable {
	return []store.SideTable{store.SideOpenings, store.SideSecrets, store.SideAttempts}
}

// encodeRow is a row as a frame's body: the table (1 byte), the length of the
// key (2 bytes, big-endian), the key and the value.
func encodeRow(w store.SideWrite) []byte {
	body := binary.BigEndian.AppendUint16([]byte{byte(w.Table)}, uint16(len(w.Key)))
	return append(append(body, w.Key...), w.Value...)
}

func decodeRow(body []byte) (store.SideWrite, error) {
	if len(body) < 3 {
		return store.SideWrite{}, damaged("a row of %d bytes", len(body))
	}
	n := int(binary.BigEndian.Uint16(body[1:]))
	if len(body) < 3+n {
		return store.SideWrite{}, damaged("a row's key of %d bytes in %d", n, len(body))
	}
	w := store.SideWrite{Table: store.SideTable(body[0]), Key: append([]byte{}, body[3:3+n]...), Value: append([]byte{}, body[3+n:]...)}
	switch w.Table {
	case store.SideOpenings:
		if _, _, err := store.OpeningOf(w); err != nil {
			return w, damaged("%v", err)
		}
	case store.SideSecrets, store.SideAttempts:
	default:
		return w, damaged("a row of side table %d, which this program does not know", w.Table)
	}
	return w, nil
}

// later knows what entries behind a backup's last one brought into the side
// table. Such rows are left out: in the restored ledger nobody would ever erase
// them. A row becomes durable with its entry, so that a row that has been read
// is of an entry that can be read.
type later struct {
	backend  store.Backend
	size     uint64 // entries that were looked at, or are in the backup
	openings map[store.Commitment]bool
	users    map[store.UserID]bool
}

// has reports whether a row that was just read is of a later entry.
func (l *later) has(ctx context.Context, row store.SideWrite) (bool, error) {
	if err := l.catchUp(ctx); err != nil {
		return false, err
	}
	switch row.Table {
	case store.SideOpenings:
		_, c, err := store.OpeningOf(row)
		return l.openings[c], err
	case store.SideSecrets:
		return len(row.Key) >= len(store.UserID{}) && l.users[store.UserID(row.Key[:len(store.UserID{})])], nil
	}
	return false, nil
}

func (l *later) catchUp(ctx context.Context) error {
	head, err := l.backend.Head(ctx)
	if err != nil {
		return err
	}
	for l.size < head.Size {
		page, err := l.backend.Records(ctx, store.Index(l.size), int(min(backupPage, head.Size-l.size)))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("%w: entry %d is missing", store.ErrCorrupt, l.size)
		}
		for _, data := range page {
			e, err := store.DecodeEntry(data)
			if err != nil {
				return err
			}
			l.add(e)
		}
		l.size += uint64(len(page))
	}
	return nil
}

func (l *later) add(e *store.Entry) {
	if l.openings == nil {
		l.openings, l.users = map[store.Commitment]bool{}, map[store.UserID]bool{}
	}
	for _, c := range store.Commitments(e.Event) {
		l.openings[c] = true
	}
	switch v := e.Event.(type) {
	case *store.UserAdded:
		l.users[v.User] = true
	case *store.BotAdded:
		l.users[v.User] = true
	}
}
