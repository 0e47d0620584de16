package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/server/demo"
)

func (p *program) demoCommand() *cobra.Command {
	var once bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "try everything on this machine, in a temporary directory",
		Long: `demo starts a server, a target and an ssh-agent on loopback and in a temporary
directory, signs an engineer in, and opens a shell in which ssh, scp and vaultpam
just work. Leaving the shell ends and removes everything. Your own ~/.ssh is not
touched.

--once tells the story without a shell: sign-in, certificate, ssh, recording,
ledger, refusal.`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := p.findClient()
			if err != nil {
				return err
			}
			o := demo.Options{
				Environment: p.environment(), Client: client, Version: version,
				Stdin: p.stdin, Stdout: p.stdout, Stderr: p.stderr,
			}
			if once {
				return demo.Once(cmd.Context(), o)
			}
			return demo.Shell(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "tell the story and exit")
	return cmd
}

// findClient finds the program vaultpam: beside this one, or on the PATH.
func (p *program) findClient() (string, error) {
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "vaultpam")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	found, err := exec.LookPath("vaultpam")
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("the demo needs the program vaultpam beside vaultpamd or on the PATH")
	}
	return found, err
}
