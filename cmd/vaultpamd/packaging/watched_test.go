//go:build linux

package packaging_test

import (
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// Only the campaign boots a systemd. Everywhere else, what the unit would forbid
// is compared with what strace saw the server do from its start to its end.
var (
	begun   = regexp.MustCompile(`^\d+ +execve\("[^"]*/vaultpamd", `)
	called  = regexp.MustCompile(`^\d+ +([a-z][a-z0-9_]*)\(`)
	family  = regexp.MustCompile(`^\d+ +socket(?:pair)?\((AF_[A-Z0-9]+),`)
	written = regexp.MustCompile(`^\d+ +(?:open(?:at)?\(.*"(/[^"]*)", [^"]*(?:O_WRONLY|O_RDWR|O_CREAT)|(?:mkdir|unlink|rename|chmod|fchmod|symlink|link)(?:at)?2?\(.*"(/[^"]*)")`)
	mapped  = regexp.MustCompile(`^\d+ +(?:mmap\(.*PROT_WRITE\|PROT_EXEC|(?:pkey_)?mprotect\(.*PROT_EXEC)`)
)

// errForbidden is what a server that does what the unit forbids ends a script
// with.
var errForbidden = errors.New("the unit forbids what the server does")

// A sandbox is what a unit allows.
type sandbox struct {
	calls    map[string]bool
	families []string
	state    string // the one directory that may be written to
}

// watched holds the trace to the unit: its system calls, its families of
// sockets, the directory that it may write to (as far as paths were absolute),
// and memory that is never writable and executable.
func (w *world) watched(ts *script, args []string) error {
	if len(args) != 1 {
		return errors.New("want UNIT")
	}
	unit := ts.ReadFile(args[0])
	sets, err := systemCalls()
	if err != nil {
		return err
	}
	allowed := sandbox{
		calls:    allowedCalls(unit, sets),
		families: strings.Fields(setting(unit, "RestrictAddressFamilies")),
		state:    "/var/lib/" + setting(unit, "StateDirectory"),
	}
	if !isRoot() {
		allowed.state = w.data
	}
	wrong, seen, ours := map[string]bool{}, 0, false
	for line := range strings.Lines(ts.ReadFile("trace")) {
		if ours = ours || begun.MatchString(line); !ours {
			continue // setpriv, on its way to the server
		}
		seen++
		for _, act := range allowed.forbids(line) {
			wrong[act] = true
		}
	}
	if seen < 1000 {
		return fmt.Errorf("strace saw %d things of the server; nothing was judged", seen)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%w: %s", errForbidden, strings.Join(slices.Sorted(maps.Keys(wrong)), ", "))
	}
	return nil
}

// forbids says what a line of a trace shows that the unit does not allow.
func (s sandbox) forbids(line string) []string {
	var found []string
	if m := called.FindStringSubmatch(line); m != nil && !s.calls[m[1]] {
		found = append(found, "system call "+m[1])
	}
	if m := family.FindStringSubmatch(line); m != nil && !slices.Contains(s.families, m[1]) {
		found = append(found, "socket of "+m[1])
	}
	if m := written.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1]+m[2]+"/", s.state+"/") && m[1] != "/dev/null" {
		found = append(found, "writing "+m[1]+m[2])
	}
	if mapped.MatchString(line) {
		found = append(found, "memory that is writable and executable")
	}
	return found
}

// setting is the last value that a unit gives a setting.
func setting(unit, name string) string {
	value := ""
	for line := range strings.Lines(unit) {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// systemCalls are systemd's sets of them: name, and what is in it, which may be
// the name of another.
func systemCalls() (map[string][]string, error) {
	out, err := exec.Command("systemd-analyze", "syscall-filter", "--no-pager").Output()
	if err != nil {
		return nil, fmt.Errorf("systemd-analyze syscall-filter: %w", err)
	}
	sets, set := map[string][]string{}, ""
	for line := range strings.Lines(string(out)) {
		word := strings.TrimSpace(line)
		switch {
		case word == "" || strings.HasPrefix(word, "#"):
		case strings.HasPrefix(line, "@"):
			set = word
		default:
			sets[set] = append(sets[set], word)
		}
	}
	if len(sets["@system-service"]) == 0 || len(sets["@privileged"]) == 0 {
		return nil, errors.New("systemd-analyze syscall-filter: no sets in what it printed")
	}
	return sets, nil
}

// allowedCalls reads SystemCallFilter as systemd does: the first line makes it a
// list of what is allowed, and a ~ takes away from it.
func allowedCalls(unit string, sets map[string][]string) map[string]bool {
	allowed := map[string]bool{}
	var mark func(word string, value bool)
	mark = func(word string, value bool) {
		if !strings.HasPrefix(word, "@") {
			allowed[word] = value
		}
		for _, w := range sets[word] {
			mark(w, value)
		}
	}
	for line := range strings.Lines(unit) {
		if list, ok := strings.CutPrefix(line, "SystemCallFilter="); ok {
			list, taken := strings.CutPrefix(strings.TrimSpace(list), "~")
			for _, word := range strings.Fields(list) {
				mark(word, !taken)
			}
		}
	}
	mark("@default", true) // always allowed
	return allowed
}
