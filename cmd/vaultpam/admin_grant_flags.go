package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A grantFlags says what a grant allows, or a guardrail forbids.
type grantFlags struct {
	group, targets     string
	everybody          bool
	logins             []string
	from, until, hours string
	what               []string // --for: how long, or what for
	reason             bool
	ticket, approvers  string
	approvals          uint64
	touch, longest     time.Duration
	json               bool
	proposal           proposalFlag
}

func (f *grantFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.group, "group", "", "for the people of group `NAME`")
	cmd.Flags().StringVar(&f.targets, "targets", "", "the targets whose labels fit `SELECTOR`: env=prod,role in (db,cache); * for all")
	cmd.Flags().StringSliceVar(&f.logins, "login", nil, "`ACCOUNT` on the target; may be given several times")
	cmd.Flags().StringArrayVar(&f.what, "for", nil, "how long (2h, 5d), or what for: purposes (\"shell; sftp=read-only\") or vscode, ansible, backup; `WHAT` may be given several times")
	cmd.Flags().StringVar(&f.from, "from", "", "from `WHEN` on: 2006-01-02, 2006-01-02T15:04 (default: now)")
	cmd.Flags().StringVar(&f.until, "until", "", "until `WHEN` (default: until it is removed)")
	cmd.Flags().StringVar(&f.hours, "hours", "", "in these weekly `HOURS` alone: \"Mon-Fri 08:00-18:00 Europe/Berlin\"")
	jsonFlag(cmd, &f.json)
}

func (f *grantFlags) conditions(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.reason, "reason", false, "ask for a reason with each request")
	cmd.Flags().StringVar(&f.ticket, "ticket", "", "ask for a ticket that fits `PATTERN` with each request: INC-[0-9]+")
	cmd.Flags().Uint64Var(&f.approvals, "approvals", 0, "ask for the approval of so many people with each request")
	cmd.Flags().StringVar(&f.approvers, "approvers", "", "who approve: the people of group `NAME`")
	cmd.Flags().DurationVar(&f.touch, "touch", 0, "ask for a touch of a passkey that is at most this `DURATION` ago: 15m")
	cmd.Flags().DurationVar(&f.longest, "longest", 0, "sessions last at most this `DURATION`: 8h")
}

// grant reads arguments and flags, but for the logins.
func (a *app) grant(cmd *cobra.Command, args []string, flags grantFlags) (api.Grant, error) {
	g := api.Grant{Group: flags.group, Targets: flags.targets, Hours: flags.hours, Logins: []string{}}
	err := flags.names(args, &g)
	if err == nil {
		err = flags.words(&g, a.Zone, a.Now())
	}
	if err == nil {
		err = flags.asks(&g)
	}
	if err != nil {
		return api.Grant{}, &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
	}
	return g, nil
}

// names takes in the arguments: HANDLE unless a flag says whom, and TARGET unless
// a selector says which.
func (f grantFlags) names(args []string, g *api.Grant) error {
	if f.everybody && f.group != "" {
		return errors.New("--group and --everybody: want one of them")
	}
	var want []string
	if f.group == "" && !f.everybody {
		want = append(want, "HANDLE")
	}
	if f.targets == "" {
		want = append(want, "TARGET")
	}
	switch {
	case len(args) < len(want):
		return fmt.Errorf("missing %s", strings.Join(want[len(args):], " "))
	case len(args) > len(want):
		return fmt.Errorf("%q is one word too many: want %s", args[len(want)], cmp.Or(strings.Join(want, " "), "flags alone"))
	}
	for i, word := range want {
		if word == "HANDLE" {
			handle, err := store.ParseHandle(args[i])
			if err != nil {
				return err
			}
			g.User = string(handle)
			continue
		}
		target, err := store.ParseTargetName(args[i])
		if err != nil {
			return err
		}
		g.Target = string(target)
	}
	return nil
}

// words takes in when the grant holds and what for.
func (f grantFlags) words(g *api.Grant, zone *time.Location, now time.Time) error {
	var err error
	if f.from != "" {
		if g.From, err = parseMoment(f.from, zone); err != nil {
			return err
		}
	}
	if f.until != "" {
		if g.Until, err = parseMoment(f.until, zone); err != nil {
			return err
		}
	}
	span, purposes, err := spanAndPurposes(f.what)
	if err != nil {
		return err
	}
	g.For = purposes.String()
	if span != 0 && f.until != "" {
		return errors.New("--until and --for with a duration: want one of them")
	}
	if span != 0 {
		begin := g.From
		if begin.IsZero() {
			begin = now
		}
		g.Until = begin.Add(span)
	}
	g.From, g.Until = stored(g.From), stored(g.Until)
	return nil
}

// spanAndPurposes reads what --for was given: a duration begins with a digit or a
// sign, a purpose and a preset with a letter.
func spanAndPurposes(words []string) (span time.Duration, purposes store.Purposes, err error) {
	var texts []string
	for _, w := range words {
		duration := w != "" && strings.ContainsRune("0123456789+-.", rune(w[0]))
		switch preset, unknown := store.ParsePreset(w); {
		case duration && span != 0:
			return 0, nil, fmt.Errorf("--for %s: how long was said already", w)
		case duration:
			if span, err = parseDuration(w); err != nil {
				return 0, nil, err
			}
		case unknown == nil:
			texts = append(texts, preset.Purposes().String())
		default:
			texts = append(texts, w)
		}
	}
	if len(texts) > 0 {
		purposes, err = store.ParsePurposes(strings.Join(texts, "; "))
	}
	return span, purposes, err
}

// asks takes in the conditions.
func (f grantFlags) asks(g *api.Grant) error {
	for name, d := range map[string]time.Duration{"touch": f.touch, "longest": f.longest} {
		if d < 0 || d != d.Truncate(time.Minute) {
			return fmt.Errorf("--%s: want whole minutes, such as 15m", name)
		}
	}
	g.Conditions = api.Conditions{
		Reason: f.reason, Ticket: f.ticket, Approvals: f.approvals, Approvers: f.approvers,
		Passkey: uint64(f.touch / time.Minute), Longest: uint64(f.longest / time.Minute),
	}
	return nil
}

// stored is a moment as the ledger keeps it: UTC, in milliseconds.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}
