package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// docs/commands.md is written from the commands themselves: go test
// ./cmd/vaultpam -run TestCommandReference -update
func TestCommandReference(t *testing.T) {
	const path = "../../docs/commands.md"
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
		t.Errorf("docs/commands.md is not what the commands say (-update writes it):\n%s", diff)
	}
}

func reference() string {
	var b strings.Builder
	b.WriteString("# Commands of vaultpam\n\nWritten from the program by `go test ./cmd/vaultpam -run TestCommandReference -update`.\n\n")
	b.WriteString("Data goes to standard output, everything else to standard error. Questions are asked on the\n")
	b.WriteString("terminal; where there is none the command says which flag answers them. Colours are used on a\n")
	b.WriteString("terminal only, and not with `NO_COLOR` set.\n\n")
	b.WriteString("| variable | meaning |\n|---|---|\n")
	b.WriteString("| `VAULTPAM_HOME` | the directory to keep files in; `--home` goes before it |\n")
	b.WriteString("| `VAULTPAM_KEYRING` | `off` keeps the sign-in in a file, whatever keyring there is |\n")
	b.WriteString("| `VAULTPAM_SERVER`, `VAULTPAM_PIN`, `VAULTPAM_BOT`, `VAULTPAM_BOT_KEY`, `VAULTPAM_BOT_KEY_FILE`, `VAULTPAM_BOT_TOKEN` | which [bot](bots.md#5-vaultpam-cert---bot) it is |\n")
	b.WriteString("| `BROWSER` | the program that shows pages; where it is not set, the system's |\n")
	b.WriteString("| `SSH_AUTH_SOCK` | the ssh-agent that certificates are put into |\n\n")
	b.WriteString("`vaultpam completion bash` (zsh, fish, powershell) prints what your shell needs to complete commands.\n\n")
	a := &app{Main: &Main{}}
	root := a.root()
	root.InitDefaultHelpCmd()
	describe(&b, root)
	b.WriteString("## Exit codes\n\n```\n" + exitCodesText + "\n```\n")
	return b.String()
}

func describe(b *strings.Builder, c *cobra.Command) {
	if c.Runnable() && (!c.HasSubCommands() || !c.HasParent()) {
		about := c.Long
		if about == "" {
			about = c.Short
		}
		fmt.Fprintf(b, "## %s\n\n%s\n\n```\n%s\n```\n\n", c.CommandPath(), about, c.UseLine())
		if c.Example != "" {
			fmt.Fprintf(b, "```\n%s\n```\n\n", strings.TrimSpace(c.Example))
		}
		c.InitDefaultHelpFlag()
		if flags := c.LocalFlags().FlagUsages(); flags != "" {
			fmt.Fprintf(b, "```\n%s```\n\n", flags)
		}
	}
	for _, sub := range c.Commands() {
		describe(b, sub)
	}
}

// Every command says what it does, in one line that reads like the others.
func TestCommandsAreDescribed(t *testing.T) {
	a := &app{Main: &Main{}}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Short == "" || c.Short[0] >= 'A' && c.Short[0] <= 'Z' || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: %q", c.CommandPath(), c.Short)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
}
