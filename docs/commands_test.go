package docs_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A command line is written as its words, joined by spaces ("vaultpam admin user
// add"); its value are the names of its flags.
type commands map[string]map[string]bool

// The pages that the programs write themselves.
const (
	clientPage = "docs/commands.md"
	serverPage = "docs/server-commands.md"
)

var (
	flagLine   = regexp.MustCompile(`^\s+(?:-\w, |    )--([a-z][a-z-]*)`)
	makeTarget = regexp.MustCompile(`^([a-z][a-z-]*):`)
)

// commandsOf reads a program's reference page, which a test of the program holds
// to it. The flags stand beside every command's own.
func commandsOf(t *testing.T, program, page string, common ...string) commands {
	t.Helper()
	all := commands{}
	var flags map[string]bool
	for _, l := range read(t, filepath.Join(root, filepath.FromSlash(page))).lines {
		if name, ok := strings.CutPrefix(l.text, "## "+program); ok && !l.code {
			flags = map[string]bool{"help": true}
			for _, name := range common {
				flags[name] = true
			}
			all[program+name] = flags
		} else if m := flagLine.FindStringSubmatch(l.text); m != nil && l.code && flags != nil {
			flags[m[1]] = true
		}
	}
	for name := range maps.Clone(all) { // what only groups others
		words := strings.Fields(name)
		for n := 1; n < len(words); n++ {
			if group := strings.Join(words[:n], " "); all[group] == nil {
				all[group] = map[string]bool{}
			}
		}
	}
	return all
}

// makeTargets returns what make can be asked for.
func makeTargets(t *testing.T) commands {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	all := commands{"make": {}}
	for l := range strings.SplitSeq(string(data), "\n") {
		if m := makeTarget.FindStringSubmatch(l); m != nil {
			all["make "+m[1]] = map[string]bool{}
		}
	}
	return all
}

// Every command in the documentation, be it in a block or in a sentence, is one
// that the program has, with flags that it has.
func TestCommandsExist(t *testing.T) {
	programs := map[string]commands{
		"vaultpam":  commandsOf(t, "vaultpam", clientPage, "home"),
		"vaultpamd": commandsOf(t, "vaultpamd", serverPage, "dir"),
		"make":      makeTargets(t),
	}
	for name, all := range programs {
		if len(all) < 8 {
			t.Fatalf("only %d commands of %s found: %v", len(all), name, slices.Sorted(maps.Keys(all)))
		}
	}
	checked := map[string]int{}
	for _, p := range pages(t) {
		if p.path == clientPage || p.path == serverPage {
			continue // written by the programs themselves
		}
		var typed []reference
		for _, l := range p.lines {
			if l.code {
				typed = append(typed, reference{text: l.text, number: l.number})
			}
		}
		for _, r := range append(typed, p.spans()...) {
			for _, words := range simpleCommands(r.text) {
				name := filepath.Base(words[0])
				all, ours := programs[name]
				if !ours {
					continue
				}
				checked[name]++
				words[0] = name
				if wrong := all.check(words); wrong != "" {
					t.Errorf("%s:%d: %s: %s", p.path, r.number, strings.Join(words, " "), wrong)
				}
			}
		}
	}
	for name := range programs {
		if checked[name] < 5 {
			t.Errorf("only %d uses of %s found", checked[name], name)
		}
	}
}

// check says what is wrong with a command line, or nothing.
func (c commands) check(words []string) string {
	n := 1
	for n < len(words) && c[strings.Join(words[:n+1], " ")] != nil {
		n++
	}
	flags := c[strings.Join(words[:n], " ")]
	if n < len(words) && isWord(words[n]) && c.groups(words[:n]) {
		return "there is no such command"
	}
	for _, w := range words[n:] {
		name, isFlag := strings.CutPrefix(w, "--")
		if name, _, _ = strings.Cut(name, "="); isFlag && name != "" && !flags[name] {
			return "it has no flag --" + name
		}
		if w == "--" {
			break
		}
	}
	return ""
}

// groups reports whether other commands stand under this one.
func (c commands) groups(words []string) bool {
	prefix := strings.Join(words, " ") + " "
	for name := range c {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// isWord reports whether w is written like the name of a command, and not like
// a flag, a placeholder or a setting of make's.
func isWord(w string) bool {
	return strings.Trim(w, "abcdefghijklmnopqrstuvwxyz-") == "" && w[0] != '-'
}

// simpleCommands cuts a line of shell into its commands, and these into words.
// Nothing of the documentation needs more of the grammar than this.
func simpleCommands(text string) [][]string {
	var all [][]string
	var words []string
	for _, w := range strings.Fields(strings.TrimPrefix(strings.TrimSpace(text), "$ ")) {
		if strings.HasPrefix(w, "#") {
			break
		}
		if w == "|" || w == "&&" || w == "||" || w == ";" {
			all, words = append(all, words), nil
			continue
		}
		words = append(words, strings.Trim(w, `'"`))
	}
	all = append(all, words)
	return slices.DeleteFunc(all, func(words []string) bool { return len(words) == 0 })
}
