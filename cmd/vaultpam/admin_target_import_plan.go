package main

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/client/inventory"
	"github.com/vaultpam/vaultpam/store"
)

// An importPlan is what an administrator agrees to.
type importPlan struct {
	proposals  []inventory.Proposal
	knownHosts string                      // the file that the keys come from
	labels     map[store.TargetName]string // of what is registered already
}

// An importItem is one host of the plan, for scripts.
type importItem struct {
	Plan     inventory.Verdict `json:"plan"`
	Host     string            `json:"host"` // as the inventory has it
	Line     int               `json:"line"` // of the inventory
	Name     string            `json:"name,omitempty"`
	Address  string            `json:"address,omitempty"`
	Logins   []string          `json:"logins"`
	HostKeys []importKey       `json:"host_keys"`
	Groups   []string          `json:"groups"`
	Labels   string            `json:"labels,omitempty"` // KEY=VALUE, joined by commas
	Why      []string          `json:"why"`
	Next     string            `json:"next,omitempty"` // the command that goes on from here
}

type importKey struct {
	Key         string `json:"key"` // authorized_keys form
	Fingerprint string `json:"fingerprint"`
	From        string `json:"from"` // FILE:LINE
}

func (p importPlan) only(v inventory.Verdict) []inventory.Proposal {
	return slices.DeleteFunc(slices.Clone(p.proposals), func(q inventory.Proposal) bool { return q.Verdict != v })
}

// showImport prints the plan: a table and what to do about the rest, or JSON.
func (a *app) showImport(plan importPlan, flags importFlags) error {
	items := []importItem{}
	for _, p := range plan.proposals {
		items = append(items, plan.item(p))
	}
	if flags.json {
		return printJSON(a.Stdout, items)
	}
	t := table{head: []string{"plan", "target", "address", "port", "logins", "host key", "from", "labels", "why"}}
	for _, i := range items {
		i.rows(&t)
	}
	a.print(t)
	var counts []string
	for _, v := range []inventory.Verdict{inventory.New, inventory.There, inventory.Differs, inventory.Skipped} {
		counts = append(counts, fmt.Sprintf("%d %s", len(plan.only(v)), v))
	}
	a.say("%s: %s", counted(len(items), "host"), strings.Join(counts, ", "))
	a.sayNext("skipped for want of a known key; each of these shows the host's keys and asks:", items, inventory.Skipped)
	a.sayNext("registered and without labels, which stays so; to label them by their groups:", items, inventory.There)
	a.sayNext("what differs stays as it is; to register it anew, take it out first, which takes its grants too:", items, inventory.Differs)
	return nil
}

func (a *app) sayNext(about string, items []importItem, v inventory.Verdict) {
	for _, i := range items {
		if i.Plan != v || i.Next == "" {
			continue
		}
		if about != "" {
			a.say("%s", about)
		}
		about = ""
		a.say("  %s", client.Clean(i.Next))
	}
}

func (p importPlan) item(q inventory.Proposal) importItem {
	i := importItem{
		Plan: q.Verdict, Host: q.Origin, Line: q.Line, Name: string(q.Name), Address: q.Address,
		Logins: words(q.Logins), HostKeys: []importKey{}, Groups: append([]string{}, q.Groups...), Why: append([]string{}, q.Why...),
		Labels: q.Labels.String(),
	}
	for n, key := range q.HostKeys {
		i.HostKeys = append(i.HostKeys, importKey{
			Key:         strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))),
			Fingerprint: ssh.FingerprintSHA256(key),
			From:        fmt.Sprintf("%s:%d", p.knownHosts, q.KeyLines[n]),
		})
	}
	switch {
	case q.Verdict == inventory.Differs:
		i.Next = "vaultpam admin target rm " + i.Name
	case q.Verdict == inventory.There && len(q.Labels) > 0 && p.labels[q.Name] == "":
		i.Next = "vaultpam admin target label " + i.Name + " " + labelWords(q)
	case q.WantsKey:
		i.Next = "vaultpam admin target add " + i.Name + " --address " + shellQuote(i.Address)
		for _, l := range i.Logins {
			i.Next += " --login " + shellQuote(l)
		}
	}
	return i
}

// rows shows an item, with a line for each of its keys.
func (i importItem) rows(t *table) {
	name, host, port := i.Name, "", ""
	if name == "" {
		name = fmt.Sprintf("%q", i.Host)
	}
	if i.Address != "" {
		host, port, _ = net.SplitHostPort(i.Address)
	}
	labels := ""
	if i.Plan == inventory.New {
		labels = i.Labels // no others are written
	}
	why := strings.Join(i.Why, "; ")
	if why != "" {
		why = fmt.Sprintf("line %d: %s", i.Line, why)
	}
	row := []string{string(i.Plan), name, host, port, strings.Join(i.Logins, ","), "", "", labels, why}
	for n, key := range i.HostKeys {
		kind, _, _ := strings.Cut(key.Key, " ")
		if n > 0 {
			row = []string{" ", " ", " ", " ", " ", "", "", " ", " "}
		}
		row[5], row[6] = kind+" "+key.Fingerprint, key.From
		t.add(row...)
	}
	if len(i.HostKeys) == 0 {
		t.add(row...)
	}
}

func words(logins []store.Login) []string {
	all := []string{}
	for _, l := range logins {
		all = append(all, string(l))
	}
	return all
}

// counted writes how many there are of something.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
