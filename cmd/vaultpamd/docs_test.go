package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// docs/server-commands.md is written from the commands themselves: go test
// ./cmd/vaultpamd -run TestCommandReference -update
func TestCommandReference(t *testing.T) {
	const path = "../../docs/server-commands.md"
	got := reference()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("docs/server-commands.md is not what the commands say (-update writes it):\n%s", diff)
	}
}

func reference() string {
	p := &program{getenv: func(string) string { return "" }}
	root := p.root()
	var b strings.Builder
	b.WriteString("# Commands of vaultpamd\n\nWritten from the program by `go test ./cmd/vaultpamd -run TestCommandReference -update`.\n\n")
	b.WriteString("Every command takes these flags too:\n\n```\n" + root.PersistentFlags().FlagUsages() + "```\n\n")
	root.InitDefaultHelpCmd()
	describe(&b, root)
	return b.String()
}

func describe(b *strings.Builder, c *cobra.Command) {
	if !c.HasSubCommands() || !c.HasParent() {
		about := c.Long
		if about == "" {
			about = c.Short
		}
		fmt.Fprintf(b, "## %s\n\n```\n%s\n```\n\n", c.CommandPath(), about)
		if c.HasParent() {
			fmt.Fprintf(b, "```\n%s\n```\n\n", c.UseLine())
		}
		if flags := c.LocalNonPersistentFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(b, "```\n%s```\n\n", flags)
		}
	}
	for _, sub := range c.Commands() {
		describe(b, sub)
	}
}

// The help of a command goes to standard output, and is no error.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		words := strings.Fields(c.CommandPath())[1:]
		for _, args := range [][]string{append(words, "--help"), append([]string{"help"}, words...)} {
			if r := run(t, args...); r.code != exitDone || r.stderr != "" || !strings.Contains(r.out, c.UseLine()) {
				t.Errorf("%v: %+v", args, r)
			}
		}
		if c.Short == "" || c.Short[0] >= 'A' && c.Short[0] <= 'Z' || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: %q", c.CommandPath(), c.Short)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&program{getenv: func(string) string { return "" }}).root())
}
