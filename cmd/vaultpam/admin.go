package main

import "github.com/spf13/cobra"

func (a *app) adminCommand() *cobra.Command {
	return group("admin", "add and remove people, bots, groups, targets and grants",
		group("user", "people", a.userAddCommand(), a.userLsCommand(), a.userInviteCommand(), a.userEmailCommand(), a.userRmCommand(), a.userEraseCommand(), a.userSSOCommand()),
		a.adminBotCommand(), a.groupCommand(),
		group("target", "hosts", a.targetAddCommand(), a.targetImportCommand(), a.targetLsCommand(), a.targetRmCommand(), a.targetLabelCommand(), a.targetRenameCommand(),
			a.targetCheckCommand(), a.targetCloseCommand()),
		group("recovery", "the recovery of an administrator", a.adminRecoveryShowCommand(), a.adminRecoveryStopCommand()),
		group("grant", "who may reach what", a.grantAddCommand(), a.grantForbidCommand(), a.grantLsCommand(), a.grantRmCommand()),
		a.exportCommand(), a.applyCommand(),
	)
}
