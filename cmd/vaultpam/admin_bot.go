package main

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

func (a *app) adminBotCommand() *cobra.Command {
	return group("bot", "machine identities: CI jobs, Ansible controllers",
		a.botAddCommand(), a.botLsCommand(), a.botTokenCommand(),
		group("key", "the keys that a bot signs in with", a.botKeyAddCommand(), a.botKeyRmCommand()), a.botRmCommand())
}

// validFlag is how long a join token can be used.
func validFlag(cmd *cobra.Command, valid *time.Duration) {
	cmd.Flags().DurationVar(valid, "valid", 24*time.Hour, "how long the token can be used, from 1m to 168h, `TIME`")
}

func (a *app) botAddCommand() *cobra.Command {
	var (
		file, name string
		valid      time.Duration
		asJSON     bool
	)
	cmd := &cobra.Command{
		Use:   "add HANDLE",
		Short: "add a bot, and print a token to join with",
		Long: `admin bot add prints a join token: a link that lets whoever has it first enrol a key
for the bot, once. On the bot's machine: vaultpam bot join.

With --key the bot signs in with that key, and there is no token. It is Ed25519 or
ECDSA on P-256, as ssh-keygen writes it.

A bot gets grants as people do. It holds no role, and no grant that asks for a
touch of a passkey is any use to it.`,
		Example: "  vaultpam admin bot add ci\n  vaultpam admin bot add ansible --key ansible.pub",
		Args:    wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			if name != "" && file == "" {
				return &usageError{command: cmd.CommandPath(), why: "--name takes --key FILE"}
			}
			var key *api.BotKeyRequest
			if file != "" {
				public, err := a.readPublicKey(file)
				if err != nil {
					return err
				}
				key = &api.BotKeyRequest{Key: string(ssh.MarshalAuthorizedKey(public)), Name: name}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			r, err := n.client.AddBot(cmd.Context(), handle, key, valid)
			if err != nil {
				return err
			}
			return a.printBot(r, asJSON, fmt.Sprintf("added bot %s", handle))
		},
	}
	cmd.Flags().StringVar(&file, "key", "", "the bot's public key, a `FILE` or - for standard input")
	cmd.Flags().StringVar(&name, "name", "", "what the key is called, `NAME`")
	validFlag(cmd, &valid)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// printBot prints a bot's token, if there is one.
func (a *app) printBot(r api.BotResponse, asJSON bool, said string) error {
	switch {
	case asJSON:
		return printJSON(a.Stdout, r)
	case r.Token == "":
		a.say("%s", said)
		return nil
	}
	a.say("%s; its join token is good until %s. On its machine: vaultpam bot join TOKEN", said, a.local(r.Bot.Join))
	_, err := fmt.Fprintln(a.Stdout, r.Token)
	return err
}

func (a *app) botTokenCommand() *cobra.Command {
	var (
		valid  time.Duration
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "token HANDLE",
		Short: "print another join token for a bot; the one before is void",
		Long: `admin bot token prints another token for a bot, for another machine or a machine that
lost its key. The bot's keys stay, until "admin bot key rm" takes them away.`,
		Args: wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, handle, err := a.withHandle(cmd, args[0])
			if err != nil {
				return err
			}
			r, err := n.client.BotToken(cmd.Context(), handle, valid)
			if err != nil {
				return err
			}
			return a.printBot(r, asJSON, fmt.Sprintf("another key can join as bot %s", handle))
		},
	}
	validFlag(cmd, &valid)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) botLsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "list bots and their keys",
		Args:  wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			bots, err := n.client.Bots(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(a.Stdout, bots)
			}
			t := table{head: []string{"handle", "id", "key", "name", "added", "used"}}
			for _, b := range bots {
				for _, k := range b.Keys {
					t.add(b.Handle, strconv.FormatUint(k.ID, 10), client.Clean(k.Fingerprint), client.Clean(k.Name), a.local(k.Added), cmp.Or(a.local(k.Used), "never"))
				}
				switch {
				case !b.Join.IsZero():
					t.add(b.Handle, "", "a join token until "+a.local(b.Join), "", "", "")
				case len(b.Keys) == 0:
					t.add(b.Handle, "", "none: vaultpam admin bot token "+client.Clean(b.Handle), "", "", "")
				}
			}
			a.print(t)
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) botKeyAddCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "add HANDLE FILE",
		Short: "let a bot sign in with another key, beside those it has",
		Args:  wantArgs("HANDLE", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			key, err := a.readPublicKey(args[1])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			q := api.BotKeyRequest{Key: string(ssh.MarshalAuthorizedKey(key)), Name: name}
			if _, err := n.client.AddBotKey(cmd.Context(), handle, q); err != nil {
				return err
			}
			a.say("bot %s signs in with %s too", handle, ssh.FingerprintSHA256(key))
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what the key is called, `NAME`")
	return cmd
}

func (a *app) botKeyRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm HANDLE ID",
		Short: "take a key from a bot, and end what it signed in to with it",
		Args:  wantArgs("HANDLE", "ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			handle, err := parseHandle(cmd, args[0])
			if err != nil {
				return err
			}
			id, err := parseIndex(cmd.CommandPath(), args[1])
			if err != nil {
				return err
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			if err := n.client.RemoveBotKey(cmd.Context(), handle, uint64(id)); err != nil {
				return err
			}
			a.say("key %d signs bot %s in no more", id, handle)
			return nil
		},
	}
}

func (a *app) botRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rm HANDLE",
		Short: "remove a bot: it can do nothing from then on",
		Args:  wantArgs("HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, handle, err := a.withHandle(cmd, args[0])
			if err != nil {
				return err
			}
			if err := n.client.RemoveBot(cmd.Context(), handle); err != nil {
				return err
			}
			a.say("removed bot %s", handle)
			return nil
		},
	}
}
