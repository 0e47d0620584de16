package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/inventory"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// An importFlags says what is read, and what becomes of it.
type importFlags struct {
	inventory, known, limit, egress string
	logins                          []string
	dryRun, yes, json               bool
	standard                        bool // known is where ssh keeps it, and need not be there
}

func (a *app) targetImportCommand() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import INVENTORY",
		Short: "register the hosts of an Ansible inventory",
		Long: `admin target import reads an Ansible inventory (INI, YAML, or what ansible-inventory
--list prints; - is standard input), shows what would become of each host, and
asks once before it registers those that are new.

The groups of a host become its labels, each as GROUP=yes.

The keys to pin come from a known_hosts file and from nowhere else: no host is
asked for them. A host whose key is not known there, or is revoked, is skipped,
with the command that adds it by hand. What is registered already stays as it is,
so that a second run changes nothing.

Variables in group_vars and host_vars, templates and dynamic inventories are
Ansible's own to read: ansible-inventory --list -i INVENTORY | vaultpam admin
target import -`,
		Example: `  vaultpam admin target import hosts.ini --dry-run
  vaultpam admin target import hosts.ini --known-hosts fleet_known_hosts --limit 'db,!db9' --login root`,
		Args: wantArgs("INVENTORY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			flags.inventory = args[0]
			if err := flags.check(cmd); err != nil {
				return err
			}
			return a.targetImport(cmd.Context(), flags)
		},
	}
	cmd.Flags().StringVar(&flags.known, "known-hosts", "", "`FILE` with the hosts' keys (default ~/.ssh/known_hosts)")
	cmd.Flags().StringVar(&flags.limit, "limit", "", "`PATTERN` of hosts and groups, joined by commas, as ansible has it: 'web,!web9'")
	cmd.Flags().StringSliceVar(&flags.logins, "login", nil, "`ACCOUNT` on the hosts for which the inventory names none; may be given several times")
	cmd.Flags().StringVar(&flags.egress, "egress", "", "`IP` that the hosts see the relay come from (default: as the relay sees it)")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "show the plan and register nothing")
	cmd.Flags().BoolVar(&flags.yes, "yes", false, "register what is new without asking")
	jsonFlag(cmd, &flags.json)
	return cmd
}

func (f *importFlags) check(cmd *cobra.Command) error {
	if err := checkEgress(cmd, f.egress); err != nil || len(f.logins) == 0 {
		return err
	}
	_, err := parseLogins(cmd, f.logins)
	return err
}

// targetImport shows the plan, asks, and registers. Whatever ends it in between,
// a new run goes on with what is left.
func (a *app) targetImport(ctx context.Context, flags importFlags) error {
	if flags.known == "" {
		dir, err := a.sshDir()
		if err != nil {
			return withHint(err, "name the file with the hosts' keys with --known-hosts")
		}
		flags.known, flags.standard = filepath.Join(dir, "known_hosts"), true
	}
	targets, err := a.readInventory(flags)
	if err != nil {
		return err
	}
	n, err := a.signedIn(ctx)
	if err != nil {
		return err
	}
	have, labels, err := registered(ctx, n.client)
	if err != nil {
		return err
	}
	plan := importPlan{proposals: inventory.Plan(targets, have), knownHosts: flags.known, labels: labels}
	if err := a.showImport(plan, flags); err != nil {
		return err
	}
	fresh := plan.only(inventory.New)
	switch {
	case len(fresh) == 0:
		a.say("nothing to register")
		return nil
	case flags.dryRun:
		a.say("this was a dry run: nothing was registered")
		return nil
	case !flags.yes:
		ok, err := a.confirm(ctx, fmt.Sprintf("register %s with these host keys and labels?", counted(len(fresh), "target")))
		if errors.Is(err, errNoTerminal) {
			return withHint(err, "in a script: --dry-run to see the plan, then --yes")
		}
		if err != nil {
			return err
		}
		if !ok {
			return refuse("", "nothing was registered")
		}
	}
	return a.register(ctx, n, fresh, flags.egress)
}

// register adds targets one after the other, and labels each as soon as it is
// there. What the server refuses about one of them does not keep the others out.
// Where the process dies before a label, the next run says so: a host without
// labels is opened by no grant for labels that it might get.
func (a *app) register(ctx context.Context, n *node, fresh []inventory.Proposal, egress string) error {
	var last error
	added := 0
	for _, p := range fresh {
		_, err := n.client.AddTarget(ctx, addRequest(p, egress))
		if ofThisAlone(err) {
			last = fmt.Errorf("registering %s: %w", p.Name, err)
			a.warn(last)
			continue
		}
		if err != nil {
			return fmt.Errorf("registering %s, after %d of %d: %w", p.Name, added, len(fresh), err)
		}
		added++
		a.say("added %s; users reach it as %s.%s", p.Name, p.Name, n.settings.Suffix)
		if len(p.Labels) == 0 {
			continue
		}
		err = n.client.LabelTarget(ctx, p.Name, p.Labels.String())
		if done, err := (proposalFlag{}).answer(ctx, a, n, err, false); done && err == nil {
			continue
		}
		if ofThisAlone(err) {
			last = fmt.Errorf("labelling %s: %w", p.Name, err)
			a.warn(last)
			continue
		}
		if err != nil {
			return withHint(fmt.Errorf("labelling %s, after %d of %d were registered: %w", p.Name, added, len(fresh), err),
				"vaultpam admin target label %s %s", p.Name, labelWords(p))
		}
		a.say("%s has the labels %s", p.Name, p.Labels)
	}
	if last != nil {
		return fmt.Errorf("%d of %d were registered; the last that went wrong: %w", added, len(fresh), last)
	}
	a.say("next: on the server, vaultpamd target setup --ansible prints a playbook for the hosts; then vaultpam admin grant add")
	return nil
}

// ofThisAlone reports whether an error is a refusal that says nothing about other
// targets.
func ofThisAlone(err error) bool {
	refused, ok := errors.AsType[*api.Error](err)
	return ok && slices.Contains([]api.Kind{api.KindInvalid, api.KindConflict, api.KindForbidden}, refused.Kind)
}

// labelWords are the labels as a command line has them.
func labelWords(p inventory.Proposal) string { return strings.ReplaceAll(p.Labels.String(), ",", " ") }

func addRequest(p inventory.Proposal, egress string) api.AddTargetRequest {
	q := api.AddTargetRequest{Name: string(p.Name), Address: p.Address, Egress: egress, Logins: words(p.Logins)}
	for _, key := range p.HostKeys {
		q.HostKeys = append(q.HostKeys, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
	}
	return q
}

// registered asks what is there, and which labels it has. What the server says is
// held to its grammar: a name that is none equals no host's.
func registered(ctx context.Context, c *client.Client) ([]inventory.Registered, map[store.TargetName]string, error) {
	all, err := c.AllTargets(ctx)
	if err != nil {
		return nil, nil, err
	}
	labels := map[store.TargetName]string{}
	var have []inventory.Registered
	for _, t := range all {
		r := inventory.Registered{Name: store.TargetName(t.Name), Address: t.Address}
		for _, login := range t.Logins {
			r.Logins = append(r.Logins, store.Login(login))
		}
		for _, line := range t.HostKeys {
			key, err := client.ParseHostKey(line)
			if err != nil {
				return nil, nil, fmt.Errorf("host key of %s: %w", client.Clean(t.Name), err)
			}
			r.HostKeys = append(r.HostKeys, key)
		}
		have = append(have, r)
		labels[r.Name] = t.Labels
	}
	return have, labels, nil
}

// readInventory reads both files and says which lines of them it left out.
func (a *app) readInventory(flags importFlags) ([]inventory.Target, error) {
	data, err := a.readBounded(flags.inventory, inventory.MaxSize)
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	targets, problems, err := inventory.ReadAnsible(flags.inventory, data)
	if errors.Is(err, inventory.ErrProgram) {
		return nil, withHint(err, "ansible-inventory --list -i %s | vaultpam admin target import -", shellQuote(flags.inventory))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flags.inventory, err)
	}
	for _, p := range problems {
		a.say("%s: %s", client.Clean(flags.inventory), client.Clean(p))
	}
	for _, dir := range []string{"group_vars", "host_vars"} {
		if info, err := os.Stat(filepath.Join(filepath.Dir(flags.inventory), dir)); flags.inventory != "-" && err == nil && info.IsDir() {
			a.say("%s is not read; ansible-inventory --list -i %s | vaultpam admin target import - reads all", dir, shellQuote(flags.inventory))
		}
	}
	if flags.limit != "" {
		if targets, err = inventory.Limit(targets, flags.limit); err != nil {
			return nil, err
		}
	}
	var logins []store.Login
	for _, l := range flags.logins {
		logins = append(logins, store.Login(l))
	}
	inventory.DefaultLogins(targets, logins)
	return targets, a.attachKnown(flags, targets)
}

// attachKnown gives the targets the keys that known_hosts has for them. Where
// there is none, and none was named, no host has one.
func (a *app) attachKnown(flags importFlags, targets []inventory.Target) error {
	path := flags.known
	data, err := a.readBounded(path, inventory.MaxSize)
	if flags.standard && errors.Is(err, os.ErrNotExist) {
		a.say("there is no %s; name the file with the hosts' keys with --known-hosts", client.Clean(path))
		return nil
	}
	if err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	known, err := inventory.ReadKnownHosts(data)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, p := range known.Problems {
		a.say("%s: %s", client.Clean(path), client.Clean(p))
	}
	known.Attach(targets)
	return nil
}

// readBounded reads a file, or standard input, up to a byte more than the bytes
// that its reader accepts.
func (a *app) readBounded(path string, most int64) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(io.LimitReader(a.Stdin, most+1))
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most+1))
}
