package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"sync"

	"github.com/spf13/cobra"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (a *app) proxyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "proxy -- HOST PORT",
		Short: "connect ssh with a target (ssh runs it)",
		Long: `proxy is what ssh runs as its ProxyCommand: it connects standard input and output
with the relay and names the target to it. HOST is a target's name with the
suffix, db1.pam. PORT is what ssh would use and says nothing here: the relay
knows each target's address. With db1.direct.pam it connects with the target
itself, where "vaultpam cert --direct" has learned its address.`,
		Args: wantArgs("HOST", "PORT"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.proxy(cmd.Context(), args[0], args[1]) },
	}
}

func (a *app) proxy(ctx context.Context, host, port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return &usageError{command: "vaultpam proxy", why: fmt.Sprintf("port %q: want 1 to 65535", client.Clean(port))}
	}
	home, err := a.home()
	if err != nil {
		return err
	}
	settings, err := home.Settings()
	if err != nil {
		return err
	}
	target, err := client.ParseHost(host, settings.Suffix)
	if err != nil {
		return withHint(&usageError{command: "vaultpam proxy", why: err.Error()}, "vaultpam targets")
	}
	if past, ok := client.Direct(target); ok {
		return a.proxyDirect(ctx, home, past)
	}
	ctx, cancel := context.WithCancel(ctx)
	var touch sync.WaitGroup
	defer touch.Wait()
	defer cancel()
	if !settings.Bot { // which nobody could touch for
		touch.Go(func() { a.touchFor(ctx, target) }) // ends with the connection
	}
	relay, err := client.DialRelay(ctx, settings.Relay, target, callTimeout)
	if err != nil {
		return err
	}
	return a.splice(ctx, relay)
}

// proxyDirect connects with a target itself.
func (a *app) proxyDirect(ctx context.Context, home *client.Home, target store.TargetName) error {
	host, err := home.DirectHost(target)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("vaultpam cert --direct LOGIN@"+string(target), "there is no certificate on this machine that goes past the relay to %s", target)
	}
	if err != nil {
		return err
	}
	conn, err := client.DialHost(ctx, host, callTimeout)
	if err != nil {
		return err
	}
	return a.splice(ctx, conn)
}

// splice passes on what is said on both sides until one has said everything.
func (a *app) splice(ctx context.Context, conn *net.TCPConn) error {
	err := client.Splice(ctx, conn, a.Stdin, a.Stdout)
	if ctx.Err() == nil {
		return err
	}
	a.code = exitInterrupted // ssh was, and whoever did that needs no word about it
	return nil
}

// touchFor opens the browser where a grant of the target wants a touch that the
// sign-in does not have. The relay waits for that touch by itself, and says what is
// missing: whatever is in the way here is said there.
func (a *app) touchFor(ctx context.Context, target store.TargetName) {
	n, err := a.signedIn(ctx)
	if err != nil {
		return
	}
	page, err := n.client.Confirm(ctx, api.ConfirmRequest{Target: string(target)})
	if err == nil && page.Needed {
		_ = a.OpenBrowser(ctx, page.URL) // the relay shows a link of its own
	}
}
