package main

import "github.com/spf13/cobra"

func (a *app) auditCommand() *cobra.Command {
	return group("audit", "ask the ledger, and verify it", a.auditLsCommand(), a.auditShowCommand(), a.auditVerifyCommand(), a.whoCouldCommand(), a.changesCommand(), a.findingsCommand())
}
