package inventory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The variables that are read.
var wantedVars = []string{
	"ansible_host", "ansible_port", "ansible_user",
	"ansible_ssh_host", "ansible_ssh_port", "ansible_ssh_user",
	"ansible_connection", "ansible_group_priority",
}

// An ansible is an inventory while it is read.
type ansible struct {
	groups   map[string]*group
	order    []string                     // of groups, as they came
	hosts    []string                     // as they came
	hostVars map[string]map[string]string // by host
	lines    map[string]int               // by host, where it was named first
	at       int                          // the line that is being read
	problems []string
	links    int // of groups to hosts and groups
}

// A group is a group of an inventory.
type group struct {
	name     string
	hosts    []string
	children []string
	vars     map[string]string
	depth    int // 0 is all
}

// The groups that every inventory has.
const (
	groupAll       = "all"
	groupUngrouped = "ungrouped"
)

// maxLinks bounds how often groups name hosts and groups, and how often hosts are
// in groups once groups are in groups.
const maxLinks = 500_000

var errTooMany = fmt.Errorf("more than %d hosts or groups, or too many groups for each", MaxTargets)

func newAnsible() *ansible {
	a := &ansible{groups: map[string]*group{}, hostVars: map[string]map[string]string{}, lines: map[string]int{}}
	a.groups[groupAll] = &group{name: groupAll, vars: map[string]string{}}
	return a
}

// problem notes what is wrong with a line.
func (a *ansible) problem(line int, format string, args ...any) {
	const most = 100
	if len(a.problems) == most {
		a.problems = append(a.problems, "and more")
	}
	if len(a.problems) <= most {
		a.problems = append(a.problems, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
	}
}

// group returns a group by its name, which makes it.
func (a *ansible) group(name string) (*group, error) {
	if g, ok := a.groups[name]; ok {
		return g, nil
	}
	if len(a.groups) >= MaxTargets {
		return nil, errTooMany
	}
	g := &group{name: name, vars: map[string]string{}}
	a.groups[name] = g
	a.order = append(a.order, name)
	return g, nil
}

// addHost puts a host into a group, with variables of its own.
func (a *ansible) addHost(g *group, host string, vars map[string]string) error {
	if _, ok := a.hostVars[host]; !ok {
		if len(a.hosts) >= MaxTargets {
			return errTooMany
		}
		a.hosts = append(a.hosts, host)
		a.lines[host] = a.at
		a.hostVars[host] = map[string]string{}
	}
	for name, value := range vars {
		a.hostVars[host][name] = value
	}
	g.hosts = append(g.hosts, host)
	return a.link()
}

// addChild puts a group into a group.
func (a *ansible) addChild(g *group, child string) error {
	if _, err := a.group(child); err != nil {
		return err
	}
	g.children = append(g.children, child)
	return a.link()
}

func (a *ansible) link() error {
	if a.links++; a.links > maxLinks {
		return errTooMany
	}
	return nil
}

// setVar keeps a variable, if it is one that is read.
func setVar(vars map[string]string, name, value string) {
	if slices.Contains(wantedVars, name) {
		vars[name] = value
	}
}

// targets turns the inventory into proposals.
func (a *ansible) targets() ([]Target, []string, error) {
	if err := a.setDepths(); err != nil {
		return nil, nil, err
	}
	in, err := a.membership()
	if err != nil {
		return nil, nil, err
	}
	var targets []Target
	for _, host := range a.hosts {
		targets = append(targets, a.target(host, in[host]))
	}
	nameTwice(targets)
	return targets, a.problems, nil
}

// setDepths finds how deep each group lies, which decides whose variables win,
// and refuses groups that contain themselves.
func (a *ansible) setDepths() error {
	const (
		inside = 1
		done   = 2
	)
	states := map[string]int{}
	var sorted []*group // children before their parents
	var visit func(name string, depth int) error
	visit = func(name string, depth int) error {
		switch {
		case states[name] == done:
			return nil
		case states[name] == inside:
			return fmt.Errorf("group %.80q contains itself", name)
		case depth > 200:
			return errors.New("groups are more than 200 deep")
		}
		states[name] = inside
		g := a.groups[name]
		for _, child := range g.children {
			if err := visit(child, depth+1); err != nil {
				return err
			}
		}
		states[name] = done
		sorted = append(sorted, g)
		return nil
	}
	for _, name := range append([]string{groupAll}, a.order...) {
		if err := visit(name, 0); err != nil {
			return err
		}
	}
	for _, g := range slices.Backward(sorted) {
		if g.depth == 0 && g.name != groupAll {
			g.depth = 1
		}
		for _, child := range g.children {
			a.groups[child].depth = max(a.groups[child].depth, g.depth+1)
		}
	}
	return nil
}

// membership returns each host's groups, those that contain them included, in the
// order in which their variables count: the last wins.
func (a *ansible) membership() (map[string][]*group, error) {
	parents := map[string][]string{}
	for name, g := range a.groups {
		for _, child := range g.children {
			parents[child] = append(parents[child], name)
		}
	}
	above := map[string]map[string]bool{} // groups that contain a group, and it
	var collect func(name string) map[string]bool
	collect = func(name string) map[string]bool {
		if above[name] == nil {
			above[name] = map[string]bool{name: true}
			for _, p := range parents[name] {
				for q := range collect(p) {
					above[name][q] = true
					a.links++
				}
				if a.links > maxLinks {
					break
				}
			}
		}
		return above[name]
	}
	all := map[string]map[string]bool{}
	for name, g := range a.groups {
		for _, host := range g.hosts {
			if all[host] == nil {
				all[host] = map[string]bool{groupAll: true}
			}
			for q := range collect(name) {
				all[host][q] = true
				a.links++
			}
			if a.links > maxLinks {
				return nil, errTooMany
			}
		}
	}
	in := map[string][]*group{}
	for host, names := range all {
		for name := range names {
			in[host] = append(in[host], a.groups[name])
		}
		slices.SortFunc(in[host], func(x, y *group) int {
			return cmp.Or(cmp.Compare(x.depth, y.depth), cmp.Compare(x.priority(), y.priority()), strings.Compare(x.name, y.name))
		})
	}
	return in, nil
}

func (g *group) priority() int {
	n, err := strconv.Atoi(g.vars["ansible_group_priority"])
	if err != nil {
		return 1
	}
	return n
}
