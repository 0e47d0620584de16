package main

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) auditVerifyCommand() *cobra.Command {
	var asJSON bool
	var save, file string
	cmd := &cobra.Command{
		Use:   "verify [INDEX]",
		Short: "verify the whole ledger, or one approval, on this machine",
		Long: `audit verify downloads every entry, hashes all of them again, and compares the
root with the signed checkpoint, which has to have grown out of the one that
this machine saw last. Where it does not verify, the first bad entry is named.

With the INDEX of an approval it verifies that one: that the approval, what it is
of and the approver's passkey are in the ledger, and that this passkey signed
exactly what was asked for. --save keeps the three entries in a file, of which
--file verifies the signature on any machine, without a server. An approval with a
code of an authenticator app can't be verified by anybody, and ends with an error.`,
		Example: `  vaultpam audit verify
  vaultpam audit verify 4711 --save approval-4711.json
  vaultpam audit verify --file approval-4711.json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && save != "" || len(args) == 1 && file != "":
				return &usageError{command: cmd.CommandPath(), why: "--save goes with the INDEX of an approval, and --file without one"}
			case file != "":
				return a.verifySaved(file, asJSON)
			case len(args) == 1:
				index, err := parseIndex(cmd.CommandPath(), args[0])
				if err != nil {
					return err
				}
				return a.verifyApproval(cmd.Context(), index, save, asJSON)
			}
			return a.auditVerify(cmd.Context(), asJSON)
		},
	}
	cmd.Flags().StringVar(&save, "save", "", "keep the approval's entries in `FILE`")
	cmd.Flags().StringVar(&file, "file", "", "verify what --save kept in `FILE`, without a server")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// A verifyReport is what `audit verify --json` prints.
type verifyReport struct {
	Verified bool   `json:"verified"` // always: what does not verify is an error
	Origin   string `json:"origin"`
	Size     uint64 `json:"size"`
	Root     string `json:"root"`              // hexadecimal
	Since    uint64 `json:"since"`             // size that this machine saw before
	Unknown  uint64 `json:"unknown,omitempty"` // entries of types that this program does not know
}

func (a *app) auditVerify(ctx context.Context, asJSON bool) error {
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	found, err := n.ledger.Verify(ctx, a.progress())
	if err != nil {
		return err
	}
	report := verifyReport{
		Verified: true, Origin: found.Origin, Size: found.Size, Root: hex.EncodeToString(found.Root[:]),
		Since: found.Since, Unknown: found.Unknown,
	}
	if found.Unknown > 0 {
		a.say("%d entries are of types that this program does not know; they are in the ledger, what they say was not checked", found.Unknown)
	}
	if asJSON {
		return printJSON(a.Stdout, report)
	}
	fmt.Fprintf(a.Stdout, "origin   %s\nsize     %d\nroot     %s\n", report.Origin, report.Size, report.Root)
	if report.Since > 0 {
		fmt.Fprintf(a.Stdout, "since    %d entries, seen by this machine before\n", report.Since)
	}
	fmt.Fprintln(a.Stdout, "verified")
	return nil
}

// progress tells a person how far it is. A log file gets nothing.
func (a *app) progress() func(done, size uint64) {
	if !isTerminal(a.Stderr) {
		return func(uint64, uint64) {}
	}
	return func(done, size uint64) {
		end := ""
		if done == size {
			end = "\r\x1b[K"
		}
		fmt.Fprintf(a.Stderr, "\rverifying %d of %d%s", done, size, end)
	}
}
