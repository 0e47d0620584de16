package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/accessfile"
	"github.com/vaultpam/vaultpam/server/api"
)

// An applyFlags says what becomes of a file.
type applyFlags struct {
	path              string
	dryRun, yes, json bool
}

func (a *app) applyCommand() *cobra.Command {
	var flags applyFlags
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "make who may reach what as a file says",
		Long: `Make groups, labels of targets, grants and guardrails as a file says that
vaultpam admin export wrote, or somebody else (- is standard input). It shows what
comes (+), changes (~) and goes (-), asks once, and does what the server takes of
it, in one step or not at all. More than ` + fmt.Sprint(api.MaxChanges) + ` changes take several steps, in an order in which none opens
what neither was open before nor will be in the end.

Of a section that the file manages, what is not in the file goes. What it does not
manage stays. Grants that answer requests stay, unless the grant that they were
requested by goes; the plan names them. To apply a file twice changes
nothing the second time.

What the server refuses, such as access for yourself, is shown with the file's
line before it asks. The rest can be done without it, except for what would open
more without the refused: that waits.

With --dry-run nothing is changed, and the exit code says what would be: 0 nothing,
9 something, 4 something of which the server refuses a part.`,
		Example: `  vaultpam admin apply access.yaml --dry-run
  vaultpam admin apply access.yaml`,
		Args: wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.path = args[0]
			if flags.json && !flags.dryRun && !flags.yes {
				return &usageError{command: cmd.CommandPath(), why: "--json asks nothing: want --dry-run or --yes with it"}
			}
			return a.applyAccess(cmd.Context(), flags)
		},
	}
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show the plan and change nothing")
	cmd.Flags().BoolVar(&flags.yes, "yes", false, "change it without asking")
	jsonFlag(cmd, &flags.json)
	return cmd
}

// applyAccess shows the plan, asks, and carries it out. Whatever ends it in between,
// another run goes on with what is left.
func (a *app) applyAccess(ctx context.Context, flags applyFlags) error {
	want, err := a.readAccess(flags.path)
	if err != nil {
		return err
	}
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	have, err := accessOf(ctx, n.client)
	if err != nil {
		return err
	}
	plan, err := accessfile.Plan(have, want)
	if err != nil {
		return a.fileError(flags.path, err)
	}
	expected := newApplication(plan)
	if err := expected.rehearse(ctx, n.client); err != nil {
		return fmt.Errorf("asking what would be refused: %w", err)
	}
	if !flags.json {
		a.showPlan(expected)
	}
	switch {
	case flags.dryRun:
		return a.dryRun(expected, flags)
	case len(expected.left()) == 0:
		return a.applied(expected, flags)
	case !flags.yes:
		ok, err := a.confirm(ctx, expected.question())
		if errors.Is(err, errNoTerminal) {
			return withHint(err, "in a script: --dry-run to see the plan, then --yes")
		}
		if err != nil {
			return err
		}
		if !ok {
			return refuse("", "nothing was changed")
		}
	}
	made := newApplication(plan)
	if err := made.run(ctx, n.client); err != nil {
		return withHint(fmt.Errorf("applying %s, after %d of %d steps: %w", client.Clean(flags.path), len(made.done), len(made.steps), err),
			"run it again when that is mended: it does what is left")
	}
	return a.applied(made, flags)
}

// readAccess reads the file.
func (a *app) readAccess(path string) (accessfile.File, error) {
	data, err := a.readBounded(path, accessfile.MaxSize)
	if err != nil {
		return accessfile.File{}, fmt.Errorf("access file: %w", err)
	}
	f, err := accessfile.Parse(data)
	if err != nil {
		return accessfile.File{}, a.fileError(path, err)
	}
	return f, nil
}

// fileError shows what is wrong with a file, a line each.
func (a *app) fileError(path string, err error) error {
	lines := strings.Split(err.Error(), "\n")
	why := lines[0]
	if len(lines) > 1 {
		for _, l := range lines {
			a.say("%s: %s", client.Clean(path), client.Clean(l))
		}
		why = "nothing of it is applied"
	}
	return api.NewError(api.KindInvalid, "docs/access.md has the form of the file, and vaultpam admin export writes one", "%s: %s", path, why)
}

// dryRun ends a run that changes nothing.
func (a *app) dryRun(x *application, flags applyFlags) error {
	if flags.json {
		if err := printJSON(a.Stdout, x.items(outcomePlanned)); err != nil {
			return err
		}
	}
	a.say("this was a dry run: nothing was changed")
	if len(x.refused) > 0 {
		return a.refusal(x, flags.path)
	}
	if len(x.plan) > 0 {
		a.code = exitChanges
	}
	return nil
}

// applied says what was done, and fails where a part was not.
func (a *app) applied(x *application, flags applyFlags) error {
	if flags.json {
		if err := printJSON(a.Stdout, x.items(outcomeDone)); err != nil {
			return err
		}
	}
	done := 0
	for i := range x.plan {
		if outcome, _ := x.outcome(i, outcomeDone); outcome == outcomeDone {
			done++
		}
	}
	if len(x.plan) == 0 {
		a.say("nothing to change")
		return nil
	}
	a.say("%d of %s done", done, counted(len(x.plan), "change"))
	if len(x.refused) > 0 {
		return a.refusal(x, flags.path)
	}
	return nil
}

// showPlan prints a line for each change, and what the server says to it.
func (a *app) showPlan(x *application) {
	for i, c := range x.plan {
		fmt.Fprintln(a.Stdout, client.Clean(c.String()))
		if outcome, why := x.outcome(i, outcomePlanned); outcome != outcomePlanned {
			for _, w := range why {
				fmt.Fprintf(a.Stdout, "  %s: %s\n", outcome, client.Clean(w))
			}
		}
	}
	if len(x.plan) > 0 {
		a.say("%s", x.counted())
	}
}

// refusal shows what is refused, by the file's lines.
func (a *app) refusal(x *application, path string) error {
	hint, last := "", ""
	for _, i := range slices.Sorted(maps.Keys(x.refused)) {
		r, c := x.refused[i], x.plan[x.steps[i].Change]
		at := "removing " + strings.TrimPrefix(c.String(), "- ")
		if c.Want != nil {
			at = fmt.Sprintf("line %d", c.Want.Stands().Line)
		}
		if line := at + ": " + r.Detail; line != last { // one rule of several targets is said once
			a.say("%s: %s", client.Clean(path), client.Clean(line))
			last = line
		}
		if hint == "" {
			hint = r.Hint
		}
	}
	return api.NewError(api.KindForbidden, hint, "%s: the server refuses %s", path, counted(len(x.refused), "step"))
}
