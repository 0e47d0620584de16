package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/vaultpam/vaultpam/store"
)

// backupPage is how many entries a backup holds at a time.
const backupPage = 256

// Recordings says what a backup does with them.
type Recordings string

const (
	// WithoutRecordings leaves them to whoever copies files: a closed recording
	// never changes again, and the ledger has the hash of each.
	WithoutRecordings Recordings = "without"
	// WithRecordings takes those whose session had ended when the backup began.
	WithRecordings Recordings = "with"
)

// A BackupRequest says what to back up, and to whom: age recipients in text
// form ("age1…"), of which each can open the backup.
type BackupRequest struct {
	Recipients []string   `json:"recipients"`
	Recordings Recordings `json:"recordings"`
}

// A BackupResult says what is in a backup.
type BackupResult struct {
	Name string `json:"name"`
	// Size is the number of entries.
	Size       uint64 `json:"size"`
	Recordings int    `json:"recordings"`
	// Missing are recordings that should be there and are not, or are not what
	// was recorded; the backup is without them.
	Missing int `json:"missing"`
}

// ParseRecipients reads age recipients.
func ParseRecipients(texts []string) ([]age.Recipient, error) {
	if len(texts) == 0 {
		return nil, errors.New("a backup is always encrypted: name an age recipient (age-keygen makes one)")
	}
	var all []age.Recipient
	for _, text := range texts {
		r, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(r) != 1 {
			return nil, errors.New("want an age recipient, which begins with age1 (what begins with AGE-SECRET-KEY opens backups, and must not stand in a command line)")
		}
		all = append(all, r...)
	}
	return all, nil
}

// seal encrypts and packs the frames that write writes: an age file
// (age-encryption.org/v1) whose content is a zstd stream (RFC 8878). After an
// error what was written can't be taken for a whole one.
func seal(to io.Writer, recipients []age.Recipient, h backupHeader, key ed25519.PrivateKey, write func(*frameWriter) error) error {
	sealed, err := age.Encrypt(to, recipients...)
	if err != nil {
		return err
	}
	packed, err := zstd.NewWriter(sealed, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return err
	}
	f, err := newFrameWriter(packed, h)
	if err == nil {
		err = write(f)
	}
	if err == nil {
		err = f.end(key)
	}
	if err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return sealed.Close()
}

// Backup writes a backup of everything but the keys while the server runs: the
// ledger as it is when Backup begins, the side table, the configuration and, if
// asked, the recordings. It returns nil only after the entries that it wrote
// were found to be those of the signed checkpoint in the header.
//
// It holds no transaction and little memory; who is slow to take it keeps
// nobody waiting.
func (n *Node) Backup(ctx context.Context, to io.Writer, r BackupRequest) (BackupResult, error) {
	recipients, err := ParseRecipients(r.Recipients)
	if err != nil {
		return BackupResult{}, err
	}
	if r.Recordings != WithRecordings && r.Recordings != WithoutRecordings {
		return BackupResult{}, fmt.Errorf("want the backup %s or %s recordings", WithRecordings, WithoutRecordings)
	}
	head, err := n.backend.Head(ctx)
	if err != nil {
		return BackupResult{}, fmt.Errorf("backing up: %w", err)
	}
	b := &backup{node: n, head: head, later: later{backend: n.backend, size: head.Size}}
	b.result = BackupResult{Name: n.config.Name, Size: head.Size}
	err = seal(to, recipients, backupHeader{
		Holds: holdsLedger, Name: n.config.Name, Made: n.Now().UTC().Format(time.RFC3339),
		Size: head.Size, Checkpoint: string(head.Checkpoint),
	}, n.keys.log, func(f *frameWriter) error { return b.write(ctx, f, r.Recordings) })
	if err != nil {
		return BackupResult{}, fmt.Errorf("backing up: %w", err)
	}
	return b.result, nil
}

// A backup is one that is being written.
type backup struct {
	node   *Node
	head   store.Head
	later  later
	result BackupResult
}

func (b *backup) write(ctx context.Context, f *frameWriter, r Recordings) error {
	config, err := b.node.Dir.readConfig()
	if err != nil {
		return err
	}
	if err := f.write(frameConfig, config); err != nil {
		return err
	}
	// The side table comes as soon as may be after the head was read: a row can
	// be written without an entry.
	if err := b.writeSide(ctx, f); err != nil {
		return err
	}
	if err := b.writeEntries(ctx, f); err != nil {
		return err
	}
	if r == WithoutRecordings {
		return nil
	}
	return b.writeRecordings(ctx, f)
}

func (b *backup) writeSide(ctx context.Context, f *frameWriter) error {
	for _, table := range sideTables() {
		for row, err := range b.node.backend.SideAll(ctx, table, nil) {
			if err != nil {
				return err
			}
			if skip, err := b.later.has(ctx, row); err != nil {
				return err
			} else if skip {
				continue
			}
			if err := f.write(frameSide, encodeRow(row)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeEntries writes the entries and sees that they are those of the
// checkpoint: a backup that can't be restored must not look like one.
func (b *backup) writeEntries(ctx context.Context, f *frameWriter) error {
	tree, err := store.OpenTree(0, nil)
	if err != nil {
		return err
	}
	for tree.Size() < b.head.Size {
		page, err := b.node.backend.Records(ctx, store.Index(tree.Size()), int(min(backupPage, b.head.Size-tree.Size())))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return fmt.Errorf("%w: entry %d is missing", store.ErrCorrupt, tree.Size())
		}
		if tree, _, err = tree.Append(page); err != nil {
			return err
		}
		for _, data := range page {
			if err := f.write(frameEntry, data); err != nil {
				return err
			}
		}
	}
	signed, err := store.OpenCheckpoint(b.head.Checkpoint, b.node.ledger.Origin(), b.node.ledger.LogPublicKey())
	if err != nil {
		return err
	}
	if signed.Size != tree.Size() || signed.Root != tree.Root() {
		return fmt.Errorf("%w: the entries are not those of its last checkpoint: stop the server and run vaultpamd fsck", store.ErrCorrupt)
	}
	return nil
}
