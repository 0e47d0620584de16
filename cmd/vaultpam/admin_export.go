package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/accessfile"
)

func (a *app) exportCommand() *cobra.Command {
	var only []string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "write who may reach what as a file",
		Long: `Write groups, labels of targets, grants and guardrails as YAML, in one form and
order, so that two exports differ where access differs. To apply it changes
nothing. Grants that answer requests are not in it.`,
		Example: `  vaultpam admin export >access.yaml
  vaultpam admin export --only groups,grants`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			sections, err := parseSections(cmd, only)
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			have, err := accessOf(cmd.Context(), n.client)
			if err != nil {
				return err
			}
			text, err := accessfile.Export(have, sections)
			if err != nil {
				return err
			}
			if _, err := a.Stdout.Write(text); err != nil {
				return fmt.Errorf("writing the export: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&only, "only", nil, "`SECTIONS` that the file manages: groups,targets,grants,guardrails (default: all)")
	return cmd
}

func parseSections(cmd *cobra.Command, words []string) ([]accessfile.Section, error) {
	if len(words) == 0 {
		return accessfile.Sections(), nil
	}
	var sections []accessfile.Section
	for _, s := range accessfile.Sections() {
		if slices.Contains(words, string(s)) {
			sections = append(sections, s)
		}
	}
	for _, w := range words {
		if !slices.Contains(accessfile.Sections(), accessfile.Section(w)) {
			return nil, &usageError{command: cmd.CommandPath(), why: fmt.Sprintf("%q is no section: want some of %s", client.Clean(w), strings.Join(sectionNames(), ","))}
		}
	}
	return sections, nil
}

func sectionNames() []string {
	var names []string
	for _, s := range accessfile.Sections() {
		names = append(names, string(s))
	}
	return names
}

// accessOf asks what is on the server, and holds it to the grammar of files.
func accessOf(ctx context.Context, c *client.Client) (accessfile.File, error) {
	groups, err := c.Groups(ctx)
	if err != nil {
		return accessfile.File{}, err
	}
	targets, err := c.AllTargets(ctx)
	if err != nil {
		return accessfile.File{}, err
	}
	grants, err := c.Grants(ctx)
	if err != nil {
		return accessfile.File{}, err
	}
	bots, err := c.Bots(ctx)
	if err != nil {
		return accessfile.File{}, err
	}
	return accessfile.FromServer(groups, targets, grants, bots)
}
