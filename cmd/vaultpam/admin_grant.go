package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

// A grantFlags says what a grant allows.
type grantFlags struct {
	logins            []string
	from, until, span string
	touch             time.Duration
	json              bool
}

func (a *app) grantAddCommand() *cobra.Command {
	var flags grantFlags
	cmd := &cobra.Command{
		Use:     "add HANDLE TARGET",
		Short:   "let a person reach a target",
		Example: "  vaultpam admin grant add carol db1 --login root --for 2h",
		Args:    wantArgs("HANDLE", "TARGET"),
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := a.grant(cmd, args, flags)
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			added, err := n.client.AddGrant(cmd.Context(), g)
			if err != nil {
				return err
			}
			if flags.json {
				return printJSON(a.Stdout, added)
			}
			a.say("grant %d: %s may reach %s as %s%s", added.ID, g.User, g.Target, strings.Join(g.Logins, ", "), a.span(g))
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&flags.logins, "login", nil, "`ACCOUNT` on the target; may be given several times")
	cmd.Flags().StringVar(&flags.from, "from", "", "from `WHEN` on: 2006-01-02, 2006-01-02T15:04 (default: now)")
	cmd.Flags().DurationVar(&flags.touch, "touch", 0, "ask for a touch of a passkey that is at most this `DURATION` ago: 15m")
	cmd.Flags().StringVar(&flags.until, "until", "", "until `WHEN` (default: until it is removed)")
	cmd.Flags().StringVar(&flags.span, "for", "", "for this long from its beginning, `DURATION`: 2h, 5d")
	jsonFlag(cmd, &flags.json)
	return cmd
}

func (a *app) grant(cmd *cobra.Command, args []string, flags grantFlags) (g api.Grant, err error) {
	usage := func(err error) (api.Grant, error) {
		return api.Grant{}, &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
	}
	handle, err := parseHandle(cmd, args[0])
	if err != nil {
		return api.Grant{}, err
	}
	target, err := parseTarget(cmd, args[1])
	if err != nil {
		return api.Grant{}, err
	}
	g = api.Grant{User: string(handle), Target: string(target)}
	if g.Logins, err = parseLogins(cmd, flags.logins); err != nil {
		return api.Grant{}, err
	}
	if flags.from != "" {
		if g.From, err = parseMoment(flags.from, a.Zone); err != nil {
			return usage(err)
		}
	}
	if flags.until != "" {
		if g.Until, err = parseMoment(flags.until, a.Zone); err != nil {
			return usage(err)
		}
	}
	if flags.span != "" && flags.until != "" {
		return usage(errors.New("--until and --for: want one of them"))
	}
	if flags.span != "" {
		d, err := parseDuration(flags.span)
		if err != nil {
			return usage(err)
		}
		begin := g.From
		if begin.IsZero() {
			begin = a.Now()
		}
		g.Until = begin.Add(d)
	}
	if flags.touch < 0 || flags.touch != flags.touch.Truncate(time.Minute) {
		return usage(errors.New("--touch: want whole minutes, such as 15m"))
	}
	g.Touch = uint64(flags.touch / time.Minute)
	g.From, g.Until = stored(g.From), stored(g.Until)
	return g, nil
}

// stored is a moment as the ledger keeps it: UTC, in milliseconds.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

func (a *app) span(g api.Grant) string {
	s := ""
	if !g.From.IsZero() {
		s += " from " + a.local(g.From)
	}
	if !g.Until.IsZero() {
		s += " until " + a.local(g.Until)
	}
	switch g.Touch {
	case 0:
	case 1:
		s += ", with a touch in the minute before"
	default:
		s += fmt.Sprintf(", with a touch in the %d minutes before", g.Touch)
	}
	return s
}

func touchText(g api.Grant) string {
	if g.Touch == 0 {
		return ""
	}
	return fmt.Sprintf("%dm", g.Touch)
}

func (a *app) grantLsCommand() *cobra.Command {
	return listing[api.Grant]{
		use: "ls", short: "list all grants", ask: (*client.Client).Grants,
		head: []string{"id", "user", "target", "logins", "from", "until", "touch"},
		row: func(_ *node, g api.Grant) []string {
			return []string{strconv.FormatUint(g.ID, 10), g.User, g.Target, strings.Join(g.Logins, ","), a.local(g.From), a.local(g.Until), touchText(g)}
		},
	}.command(a)
}

func (a *app) grantRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm ID",
		Short: "take a grant back",
		Args:  wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseIndex(cmd.CommandPath(), args[0])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.RemoveGrant(cmd.Context(), uint64(id)); err != nil {
				return err
			}
			a.say("removed grant %d", id)
			return nil
		},
	}
}
