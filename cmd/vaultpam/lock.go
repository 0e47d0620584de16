package main

import (
	"cmp"
	"context"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A lockKind is a kind of what can be locked, and how it is named.
type lockKind struct {
	kind, word, locks, unlocks string
	check                      func(string) error
}

func lockKinds() []lockKind {
	return []lockKind{
		{api.LockUser, "HANDLE", "stop a person: their sign-ins and sessions end, and none begins", "let a person sign in again", grammar(store.ParseHandle)},
		{api.LockTarget, "NAME", "stop a target: its sessions end, and none starts", "let sessions start on a target again", grammar(store.ParseTargetName)},
		{api.LockSession, "ID", "end one session", "take the lock off a session's ID", grammar(store.ParseSessionID)},
		{api.LockSerial, "SERIAL", "stop what came from one certificate", "let a certificate open sessions again", checkSerial},
	}
}

func grammar[T any](parse func(string) (T, error)) func(string) error {
	return func(s string) error {
		_, err := parse(s)
		return err
	}
}

func checkSerial(s string) error {
	if n, err := strconv.ParseUint(s, 10, 63); err != nil || n == 0 {
		return errors.New("a serial is a number")
	}
	return nil
}

// checkWhy wants a reason, and checkWhyNot one that is a sentence if it is there.
func checkWhy(why string) error {
	_, err := store.ParseWhy(why)
	if why == "" {
		return errors.New("--why is missing: say why, in a sentence")
	}
	return err
}

func checkWhyNot(why string) error {
	if why == "" {
		return nil
	}
	return checkWhy(why)
}

func (a *app) lockCommand() *cobra.Command {
	var commands []*cobra.Command
	for _, k := range lockKinds() {
		commands = append(commands, a.lockOneCommand(k))
	}
	return group("lock", "stop a person, a target, a session or a certificate at once", append(commands, a.lockLsCommand())...)
}

func (a *app) unlockCommand() *cobra.Command {
	var commands []*cobra.Command
	for _, k := range lockKinds() {
		commands = append(commands, a.unlockOneCommand(k))
	}
	return group("unlock", "take a lock away", commands...)
}

func (a *app) lockOneCommand(k lockKind) *cobra.Command {
	var asJSON bool
	cmd := a.ofLock(k, checkWhy, func(ctx context.Context, n *node, q api.LockRequest) error {
		l, err := n.client.Lock(ctx, q)
		if err != nil {
			return err
		}
		if asJSON {
			return printJSON(a.Stdout, l)
		}
		a.say("locked %s %s (lock %d); live sessions end now", l.Kind, l.Name, l.ID)
		a.say("to take it away: vaultpam unlock %s %s", l.Kind, l.Name)
		return nil
	})
	cmd.Short = k.locks
	if k.kind == api.LockUser {
		cmd.Example = "  vaultpam lock user carol --why 'her laptop was stolen'"
	}
	cmd.Flags().Lookup("why").Usage = "`TEXT`, for administrators and auditors; whoever is locked does not read it"
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) unlockOneCommand(k lockKind) *cobra.Command {
	cmd := a.ofLock(k, checkWhyNot, func(ctx context.Context, n *node, q api.LockRequest) error {
		if err := n.client.Unlock(ctx, q); err != nil {
			return err
		}
		a.say("unlocked %s %s", q.Kind, q.Name)
		return nil
	})
	cmd.Short = k.unlocks
	return cmd
}

// ofLock is a command about one thing that is to be locked or unlocked.
func (a *app) ofLock(k lockKind, why func(string) error, do func(context.Context, *node, api.LockRequest) error) *cobra.Command {
	q := api.LockRequest{Kind: k.kind}
	cmd := &cobra.Command{
		Use: k.kind + " " + k.word, Args: wantArgs(k.word),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cmp.Or(k.check(args[0]), why(q.Why)); err != nil {
				return &usageError{command: cmd.CommandPath(), why: client.Clean(err.Error())}
			}
			n, err := a.signedIn(cmd.Context())
			if err != nil {
				return err
			}
			q.Name = args[0]
			return do(cmd.Context(), n, q)
		},
	}
	cmd.Flags().StringVar(&q.Why, "why", "", "`TEXT`, for administrators and auditors")
	return cmd
}

func (a *app) lockLsCommand() *cobra.Command {
	return listing[api.Lock]{
		use: "ls", short: "list all locks", ask: (*client.Client).Locks, none: "nothing is locked",
		head: []string{"kind", "name", "of", "since", "by", "why", "lock"},
		row: func(_ *node, l api.Lock) []string {
			return []string{l.Kind, l.Name, l.Of, a.local(l.Since), l.By, l.Why, strconv.FormatUint(l.ID, 10)}
		},
	}.command(a)
}
