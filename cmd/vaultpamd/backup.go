package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/vaultpam/vaultpam/server"
)

// minPassphrase is the least that a passphrase for the keys may have, in bytes.
const minPassphrase = 12

func (p *program) backupCommand() *cobra.Command {
	var b backupFlags
	cmd := &cobra.Command{
		Use:   "backup --to FILE --recipient age1…",
		Short: "write an encrypted backup, also while the server runs",
		Long: `backup writes the ledger, the side table and the configuration, encrypted to
age recipients (age-keygen makes one), into FILE, or to standard output for "-".
FILE appears when it is whole. A running server writes it without a pause, as of
one moment; where none runs, the data directory is opened.

No key is in it. A backup of the keys is made apart, and kept apart:

    vaultpamd backup --keys --to keys.age --passphrase

Recordings are files that never change once their session has ended: copy the
folder recordings, or have them in the backup with --recordings.

vaultpamd restore puts a backup into service.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := b.check(); err != nil {
				return usageError{err}
			}
			write := func(w io.Writer) (server.BackupResult, error) { return p.backup(cmd.Context(), dirOf(cmd), w, b) }
			if b.keys {
				recipients, err := p.keyRecipients(b)
				if err != nil {
					return err
				}
				write = func(w io.Writer) (server.BackupResult, error) {
					return server.BackupKeys(p.environment(), dirOf(cmd), w, recipients...)
				}
			}
			done, err := p.writeTo(b.to, write)
			if err != nil {
				return err
			}
			return p.printBackup(b, done)
		},
	}
	cmd.Flags().StringVar(&b.to, "to", "", "`FILE` to write, or - for standard output")
	cmd.Flags().StringArrayVar(&b.recipients, "recipient", nil, "age `RECIPIENT` who can open it; may be given several times")
	cmd.Flags().BoolVar(&b.recordings, "recordings", false, "with the recordings of sessions that have ended")
	cmd.Flags().BoolVar(&b.keys, "keys", false, "back up the keys and the TLS folder instead")
	cmd.Flags().BoolVar(&b.passphrase, "passphrase", false, "encrypt the keys with a passphrase, which is asked for")
	return cmd
}

type backupFlags struct {
	to                           string
	recipients                   []string
	recordings, keys, passphrase bool
}

func (b backupFlags) check() error {
	switch {
	case b.to == "":
		return errors.New("backup needs --to, the file to write, or - for standard output")
	case b.keys && b.recordings:
		return errors.New("--keys is for the keys alone: recordings go with the backup of the ledger")
	case b.passphrase && !b.keys:
		return errors.New("--passphrase is for --keys: the ledger is backed up to an age recipient, so that a nightly job holds nothing that opens it")
	case b.passphrase && len(b.recipients) > 0:
		return errors.New("want either --recipient or --passphrase")
	case b.passphrase:
		return nil
	}
	_, err := server.ParseRecipients(b.recipients)
	return err
}

// backup asks the running server, and where none runs opens the directory.
func (p *program) backup(ctx context.Context, dir server.Dir, w io.Writer, b backupFlags) (server.BackupResult, error) {
	r := server.BackupRequest{Recipients: b.recipients, Recordings: server.WithoutRecordings}
	if b.recordings {
		r.Recordings = server.WithRecordings
	}
	done, err := dir.FetchBackup(ctx, w, r)
	if !errors.Is(err, server.ErrNotServing) {
		return done, err
	}
	if ctx.Err() != nil {
		return done, ctx.Err()
	}
	n, err := server.Open(ctx, p.options(dir))
	if err != nil {
		return server.BackupResult{}, err
	}
	done, err = n.Backup(ctx, w, r)
	return done, errors.Join(err, n.Close())
}

// keyRecipients are who can open a backup of the keys.
func (p *program) keyRecipients(b backupFlags) ([]age.Recipient, error) {
	if !b.passphrase {
		return server.ParseRecipients(b.recipients)
	}
	phrase, err := p.askSecret("passphrase for the backup of the keys")
	if err != nil {
		return nil, err
	}
	if len(phrase) < minPassphrase {
		return nil, fmt.Errorf("the passphrase is too short for what it opens: want at least %d characters", minPassphrase)
	}
	if _, terminal := p.terminal(); terminal {
		again, err := p.askSecret("the same once more")
		if err != nil {
			return nil, err
		}
		if again != phrase {
			return nil, errors.New("the two passphrases differ")
		}
	}
	r, err := age.NewScryptRecipient(phrase)
	if err != nil {
		return nil, err
	}
	return []age.Recipient{r}, nil
}

// writeTo has write fill a file, which gets its name when it is whole and on
// disk; what was there under the name stays until then. A process that dies
// leaves a file beside it whose name begins with a dot.
func (p *program) writeTo(to string, write func(io.Writer) (server.BackupResult, error)) (done server.BackupResult, err error) {
	if to == "-" {
		if f, ok := p.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return done, usageError{errors.New("a backup is no text for a terminal: redirect standard output, or name a file")}
		}
		return write(p.stdout)
	}
	// Taking the name of a device away from it would be the end of more than this.
	if info, err := os.Lstat(to); err == nil && !info.Mode().IsRegular() {
		return done, fmt.Errorf("writing the backup: %s is there and is not a file: take another name, or - for standard output", to)
	}
	dir := filepath.Dir(to)
	f, err := os.CreateTemp(dir, "."+filepath.Base(to)+".new-*") // mode 0600
	if err != nil {
		return done, fmt.Errorf("writing the backup: %w", err)
	}
	done, err = write(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return done, errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), to); err != nil {
		return done, errors.Join(fmt.Errorf("writing the backup: %w", err), os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err == nil {
		err = errors.Join(d.Sync(), d.Close())
	}
	if err != nil {
		return done, fmt.Errorf("writing the backup: %w", err)
	}
	return done, nil
}

// printBackup says what was written, where it does not stand in its way.
func (p *program) printBackup(b backupFlags, done server.BackupResult) error {
	to := p.stdout
	if b.to == "-" {
		to = p.stderr
	}
	text := fmt.Sprintf("%s: %d entries of %s; the keys are not in it\n", b.to, done.Size, done.Name)
	if b.keys {
		text = fmt.Sprintf("%s: the keys of %s; keep it apart from the backups of the ledger\n", b.to, done.Name)
	}
	if b.recordings {
		text += fmt.Sprintf("%d recordings\n", done.Recordings)
	}
	if _, err := io.WriteString(to, text); err != nil {
		return err
	}
	if done.Missing > 0 {
		return fmt.Errorf("the backup is whole but for %d recordings that are not there or not what was recorded: vaultpamd fsck names them", done.Missing)
	}
	return nil
}
