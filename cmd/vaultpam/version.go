package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "what this program is",
		Args:  wantArgs(),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.Stdout, "vaultpam %s %s/%s %s\n", client.Clean(a.Version), runtime.GOOS, runtime.GOARCH, runtime.Version())
			return err
		},
	}
}
