package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server"
)

const maxClaims = 1 << 16

func (p *program) ssoCommand() *cobra.Command {
	var file string
	show := &cobra.Command{
		Use:   "groups [HANDLE]",
		Short: "show which groups somebody's claims would give",
		Long: `groups reads a person's claims from a file, which is the body of an ID token as the
provider decodes it for you, and shows what the mapping in vaultpam.yaml makes of
them: which groups a sign-in with them would add and take away, and whether the
provider's second factor would be enough. It changes nothing. Without HANDLE the
claims say whose they are.`,
		Example: "  vaultpamd sso groups --claims carol.json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usageError{errors.New("want --claims, a file with somebody's claims")}
			}
			q, err := readClaims(file)
			if err != nil {
				return err
			}
			if len(args) > 0 {
				q.Handle = args[0]
			}
			r, err := p.claimsReading(cmd.Context(), dirOf(cmd), q)
			if err != nil {
				return err
			}
			_, err = io.WriteString(p.stdout, reading(r))
			return err
		},
	}
	show.Flags().StringVar(&file, "claims", "", "JSON `FILE` with somebody's claims")
	return group("sso", "sign-in with the company's OpenID provider", show)
}

func readClaims(path string) (server.LocalClaims, error) {
	f, err := os.Open(path)
	if err != nil {
		return server.LocalClaims{}, fmt.Errorf("reading the claims: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxClaims+1))
	if err != nil {
		return server.LocalClaims{}, fmt.Errorf("reading the claims: %w", err)
	}
	var q server.LocalClaims
	if err := json.Unmarshal(data, &q.Claims); err != nil || len(data) > maxClaims {
		return server.LocalClaims{}, fmt.Errorf("%s: want one JSON object of at most %d bytes", path, maxClaims)
	}
	return q, nil
}

// claimsReading asks the running server, and where none runs opens the directory.
func (p *program) claimsReading(ctx context.Context, dir server.Dir, q server.LocalClaims) (server.LocalReading, error) {
	var r server.LocalReading
	err := ask(ctx, dir, server.RouteLocalSSO, "", q, &r)
	if !errors.Is(err, server.ErrNotServing) {
		return r, err
	}
	n, err := server.Open(ctx, p.options(dir))
	if err != nil {
		return r, err
	}
	r, err = n.ReadClaims(q)
	return r, errors.Join(err, n.Close())
}

// reading is what people read of it, one line for each thing.
func reading(r server.LocalReading) string {
	list := func(names []string) string {
		if len(names) == 0 {
			return "none"
		}
		return strings.Join(names, ", ")
	}
	whose, second := r.Handle, "ours is asked for"
	if whose == "" {
		whose = "nobody here"
	}
	if r.Counts {
		second = "the provider's is enough, once the account is linked"
	}
	text := fmt.Sprintf("user           %s\nsecond factor  %s\ngroups         %s\nwould add      %s\nwould remove   %s\n",
		whose, second, list(r.Groups), list(r.Add), list(r.Remove))
	if len(r.Missing) > 0 {
		text += fmt.Sprintf("not there      %s (vaultpam admin group add)\n", list(r.Missing))
	}
	return text
}
