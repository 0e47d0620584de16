package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/store"
)

func (p *program) restoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use:   "restore --from FILE --identity FILE --keys FILE --dir NEWDIR",
		Short: "make a data directory of a backup",
		Long: `restore verifies a backup and makes a data directory of it, whole or not at all.
The directory must be empty, or not be there.

An old backup would bring back users who were removed, and could give out serials
twice. Therefore show the largest checkpoint that a client remembers (the file
with the largest number in the folder checkpoints of its home):

    --checkpoint FILE   equal to the backup's last: nothing is lost

Anything else is refused with exit code 6, unless --accept-rollback is given:
then the first new entry says that entries may be lost, and raises the base of
the serials. Every client that saw more will say "ledger fork at index N".

Without --keys the folders keys and tls are left empty, to be filled by hand;
that works where nothing is lost.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.from == "" || f.identity == "" {
				return usageError{errors.New("restore needs --from, the backup, and --identity, the age identity that opens it")}
			}
			done, err := p.restore(cmd, f)
			if err != nil {
				return err
			}
			return p.printRestore(dirOf(cmd), f, done)
		},
	}
	cmd.Flags().StringVar(&f.from, "from", "", "the backup, `FILE`, or - for standard input")
	cmd.Flags().StringVar(&f.identity, "identity", "", "`FILE` of the age identities that open the backups")
	cmd.Flags().StringVar(&f.keys, "keys", "", "the backup of the keys, `FILE`; if it has a passphrase, it is asked for")
	cmd.Flags().StringVar(&f.checkpoint, "checkpoint", "", "`FILE` of the largest checkpoint that a client remembers")
	cmd.Flags().BoolVar(&f.accept, "accept-rollback", false, "restore although entries may be lost, and say so in the ledger")
	return cmd
}

type restoreFlags struct {
	from, identity, keys, checkpoint string
	accept                           bool
}

func (p *program) restore(cmd *cobra.Command, f restoreFlags) (server.RestoreResult, error) {
	r := server.RestoreRequest{Dir: dirOf(cmd)}
	if f.accept {
		r.Rollback = server.AcceptRollback
	}
	in, err := os.Open(f.identity)
	if err != nil {
		return server.RestoreResult{}, fmt.Errorf("reading the identity: %w", err)
	}
	defer in.Close()
	if r.Identities, err = age.ParseIdentities(in); err != nil {
		return server.RestoreResult{}, fmt.Errorf("reading the identity %s: want a file that age-keygen wrote", f.identity)
	}
	r.Identities = append(r.Identities, &passphraseIdentity{ask: func() (string, error) {
		if _, terminal := p.terminal(); f.from == "-" && !terminal {
			return "", errors.New("it has a passphrase, which can't come from standard input beside the backup: give the backup as a file")
		}
		return p.askSecret("passphrase of the backup of the keys")
	}})
	r.From = p.stdin
	if f.from != "-" {
		from, err := os.Open(f.from)
		if err != nil {
			return server.RestoreResult{}, fmt.Errorf("reading the backup: %w", err)
		}
		defer from.Close()
		r.From = from
	}
	if f.keys != "" {
		keys, err := os.Open(f.keys)
		if err != nil {
			return server.RestoreResult{}, fmt.Errorf("reading the backup of the keys: %w", err)
		}
		defer keys.Close()
		r.Keys = keys
	}
	if f.checkpoint != "" {
		if r.Checkpoint, err = readCheckpoint(f.checkpoint); err != nil {
			return server.RestoreResult{}, err
		}
	}
	return server.Restore(cmd.Context(), p.environment(), r)
}

func readCheckpoint(path string) ([]byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	defer in.Close()
	signed, err := io.ReadAll(io.LimitReader(in, store.MaxCheckpoint+1))
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint: %w", err)
	}
	if len(signed) == 0 {
		return nil, fmt.Errorf("reading the checkpoint: %s is empty", path)
	}
	return signed, nil
}

// maxWork bounds what a passphrase may cost to try, as the power of two of
// scrypt's N (RFC 7914): 2 GB of memory. age writes 18.
const maxWork = 21

// A passphraseIdentity asks for a passphrase where a file was encrypted with one.
type passphraseIdentity struct {
	ask func() (string, error)
}

// Unwrap implements age.Identity.
func (i *passphraseIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != "scrypt" {
		return nil, age.ErrIncorrectIdentity
	}
	phrase, err := i.ask()
	if err != nil {
		return nil, err
	}
	if phrase == "" {
		return nil, errors.New("it is encrypted with a passphrase, and none was given")
	}
	id, err := age.NewScryptIdentity(phrase)
	if err != nil {
		return nil, err
	}
	id.SetMaxWorkFactor(maxWork)
	key, err := id.Unwrap(stanzas)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, errors.New("the passphrase is wrong")
	}
	return key, err
}

func (p *program) printRestore(dir server.Dir, f restoreFlags, done server.RestoreResult) error {
	text := fmt.Sprintf("%s: %s as of the backup of %s, %d entries, %d recordings; everything verifies\n", dir, done.Name, done.Made, done.Size, done.Recordings)
	if done.Raised {
		text += fmt.Sprintf("\nEntries behind entry %d may be lost. The ledger says so in entry %d, and gives no serial out twice.\n"+
			"Every client that saw more says: ledger fork at index %d. Look at who was removed, and at what was\n"+
			"taken back, since %s.\n", done.Size-1, done.Size, done.Size, done.Made)
	}
	if f.keys == "" {
		text += fmt.Sprintf("\nThe folders keys and tls in %s are empty: put the files there before it can be started.\n", dir)
	}
	_, err := fmt.Fprintf(p.stdout, "%s\nStart it:\n\n    vaultpamd serve --dir %s\n", text, dir)
	return err
}
