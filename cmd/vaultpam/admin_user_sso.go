package main

import "github.com/spf13/cobra"

func (a *app) userSSOCommand() *cobra.Command {
	var subject string
	cmd := &cobra.Command{
		Use:   "sso HANDLE",
		Short: "link a person to an account of the company's provider",
		Long: `admin user sso says which account of the company's OpenID provider is a person's,
in place of the one before. The subject is what the provider calls the account
for ever ("sub"), not its name or address. What was signed in by the account
before is over. People who have a passkey or an authenticator app here can link
their account themselves, at their first sign-in with the provider.`,
		Example: "  vaultpam admin user sso carol --subject 24400320",
		Args:    wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			if subject == "" {
				return &usageError{command: cmd.CommandPath(), why: "which account? name it with --subject"}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.LinkSSO(cmd.Context(), handle, subject); err != nil {
				return err
			}
			a.say("linked %s; whoever signs in at the provider with that account is %s here", handle, handle)
			return nil
		},
	}
	cmd.Flags().StringVar(&subject, "subject", "", "`SUB` of the account at the provider")
	return cmd
}
