package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

// A targetFlags says what a target is.
type targetFlags struct {
	address, egress  string
	logins, hostKeys []string
	yes, json        bool
}

func (a *app) targetAddCommand() *cobra.Command {
	var flags targetFlags
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "register a host and pin its keys",
		Long: `admin target add has the relay read the host's keys, shows their fingerprints and
asks before it pins them: compare them with what the host itself says
(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub). With --host-key nothing is
read and nothing is asked.`,
		Example: "  vaultpam admin target add db1 --address db1.internal:22 --login root --login deploy",
		Args:    wantArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			request, err := flags.request(cmd, args[0])
			if err != nil {
				return err
			}
			return a.targetAdd(cmd.Context(), request, flags)
		},
	}
	cmd.Flags().StringVar(&flags.address, "address", "", "where the relay reaches the host's sshd, `HOST:PORT`")
	cmd.Flags().StringSliceVar(&flags.logins, "login", nil, "`ACCOUNT` that exists on the host; may be given several times")
	cmd.Flags().StringArrayVar(&flags.hostKeys, "host-key", nil, "host key to pin, `KEY|FILE`; may be given several times")
	cmd.Flags().StringVar(&flags.egress, "egress", "", "`IP` that the host sees the relay come from (default: as the relay sees it)")
	cmd.Flags().BoolVar(&flags.yes, "yes", false, "pin what the host shows without asking")
	jsonFlag(cmd, &flags.json)
	return cmd
}

// request reads the flags. Everything is checked before anything is asked of
// the server.
func (f *targetFlags) request(cmd *cobra.Command, name string) (api.AddTargetRequest, error) {
	usage := func(format string, args ...any) (api.AddTargetRequest, error) {
		return api.AddTargetRequest{}, &usageError{command: cmd.CommandPath(), why: client.Clean(fmt.Sprintf(format, args...))}
	}
	target, err := parseTarget(cmd, name)
	if err != nil {
		return api.AddTargetRequest{}, err
	}
	if f.address == "" {
		return usage("where is it? name its sshd with --address HOST:PORT")
	}
	if _, _, err := net.SplitHostPort(f.address); err != nil || api.CheckHost(f.address) != nil {
		return usage("--address %q: want HOST:PORT", f.address)
	}
	if err := checkEgress(cmd, f.egress); err != nil {
		return api.AddTargetRequest{}, err
	}
	logins, err := parseLogins(cmd, f.logins)
	if err != nil {
		return api.AddTargetRequest{}, err
	}
	request := api.AddTargetRequest{Name: string(target), Address: f.address, Egress: f.egress, Logins: logins}
	for _, given := range f.hostKeys {
		line, err := readHostKey(given)
		if err != nil {
			return usage("--host-key: %s", err)
		}
		request.HostKeys = append(request.HostKeys, line)
	}
	return request, nil
}

// checkEgress holds what --egress says, if it says something, to being an address.
func checkEgress(cmd *cobra.Command, egress string) error {
	if egress == "" {
		return nil
	}
	if _, err := netip.ParseAddr(egress); err != nil {
		return &usageError{command: cmd.CommandPath(), why: client.Clean(fmt.Sprintf("--egress %q: want an IP address", egress))}
	}
	return nil
}

// readHostKey returns a public key that was given as text or as a file.
func readHostKey(given string) (string, error) {
	if !strings.ContainsAny(given, " \t") {
		data, err := os.ReadFile(given)
		if err != nil {
			return "", err
		}
		if len(data) > 16<<10 {
			return "", fmt.Errorf("%s is not a public key", given)
		}
		given = string(data)
	}
	key, err := client.ParseHostKey(given)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), nil
}

func (a *app) targetAdd(ctx context.Context, request api.AddTargetRequest, flags targetFlags) error {
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	if len(request.HostKeys) == 0 {
		if err := a.scanAndAsk(ctx, n, &request, flags); err != nil {
			return err
		}
	}
	added, err := n.client.AddTarget(ctx, request)
	if err != nil {
		return err
	}
	if flags.json {
		return printJSON(a.Stdout, added)
	}
	a.say("added %s; users reach it as %s.%s", request.Name, request.Name, n.settings.Suffix)
	a.say("next: on the server, vaultpamd target setup %s prints the script for the host; then vaultpam admin grant add HANDLE %s --login %s",
		request.Name, request.Name, request.Logins[0])
	return nil
}

// scanAndAsk fills in the keys that the host shows, once they were accepted.
func (a *app) scanAndAsk(ctx context.Context, n *node, request *api.AddTargetRequest, flags targetFlags) error {
	scan, err := n.client.Scan(ctx, request.Address)
	if err != nil {
		return err
	}
	if len(scan.HostKeys) == 0 {
		return refuse("vaultpam admin target add --host-key KEY", "%s shows no host key", request.Address)
	}
	a.say("%s shows these host keys:", request.Address)
	for _, f := range fingerprints(scan.HostKeys) {
		a.say("  %s", f)
	}
	if request.Egress == "" {
		a.say("the relay comes from %s; where the host sees another address, name it with --egress", client.Clean(scan.Egress))
	}
	if !flags.yes {
		a.say("compare them with what the host itself says: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
		ok, err := a.confirm(ctx, "are these the host's keys?")
		if errors.Is(err, errNoTerminal) {
			return withHint(err, "in a script: --host-key KEY, or --yes to pin what the host shows")
		}
		if err != nil {
			return err
		}
		if !ok {
			return refuse("", "nothing was pinned, and the target was not added")
		}
	}
	request.HostKeys = scan.HostKeys
	return nil
}

// fingerprints returns each key's type, and its SHA-256 fingerprint as
// ssh-keygen -l writes it.
func fingerprints(keys []string) []string {
	var all []string
	for _, line := range keys {
		key, err := client.ParseHostKey(line)
		if err != nil {
			all = append(all, "unreadable")
			continue
		}
		all = append(all, key.Type()+" "+ssh.FingerprintSHA256(key))
	}
	return all
}

// firstFingerprint is the one by which people know a host: the Ed25519 key's
// where it has one. The others are in the JSON.
func firstFingerprint(keys []string) string {
	all := fingerprints(keys)
	for _, f := range all {
		if strings.HasPrefix(f, ssh.KeyAlgoED25519+" ") {
			return f
		}
	}
	if len(all) == 0 {
		return ""
	}
	return all[0]
}
