package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) auditShowCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show INDEX",
		Short: "show one entry and verify that it is in the ledger",
		Long: `audit show fetches an entry with its stored bytes, and verifies here, on this
machine, that those bytes are in the ledger that the last checkpoint is signed
over. The names of people are the server's word: the ledger holds commitments
to them.`,
		Args: wantArgs("INDEX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			index, err := parseIndex("vaultpam audit show", args[0])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			return a.auditShow(cmd.Context(), n, index, asJSON)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func parseIndex(command, s string) (store.Index, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return 0, &usageError{command: command, why: fmt.Sprintf("index %q: want a number", client.Clean(s))}
	}
	return store.Index(n), nil
}

// A shownEntry is what `audit show --json` prints.
type shownEntry struct {
	api.Entry
	Verified bool   `json:"verified"` // always: what does not verify is not shown
	Size     uint64 `json:"size"`     // of the ledger that it was verified in
	Root     string `json:"root"`     // hexadecimal
}

func (a *app) auditShow(ctx context.Context, n *node, index store.Index, asJSON bool) error {
	proved, err := n.ledger.Entry(ctx, index)
	if err != nil {
		return err
	}
	e := proved.Shown
	root := hex.EncodeToString(proved.At.Root[:])
	if asJSON {
		return printJSON(a.Stdout, shownEntry{Entry: e, Verified: true, Size: proved.At.Size, Root: root})
	}
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(a.Stdout, "%-12s %s\n", client.Clean(name), client.Clean(value))
		}
	}
	line("index", strconv.FormatUint(e.Index, 10))
	line("time", utc(e.Time))
	line("type", e.Type)
	line("actor", e.Actor)
	line("user", e.User)
	line("target", e.Target)
	line("summary", e.Summary)
	for _, name := range slices.Sorted(maps.Keys(e.Fields)) {
		if name != "user" && name != "target" {
			line(name, fieldText(e.Fields[name]))
		}
	}
	line("verified", fmt.Sprintf("in the ledger of %d entries with root %s", proved.At.Size, root))
	if proved.Entry == nil {
		a.say("this program does not know the type: the stored bytes are in the ledger, what they say was not checked")
	}
	return nil
}
