//go:build !windows

package sshconfig_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// payloads are what a hostile repository or server would like to have taken
// for a host's or a user's name. The canary is a file that a shell would make.
var payloads = []string{
	"$(touch canary)", "`touch canary`", ";touch canary;", "|touch canary|", "&touch canary&", "\ntouch canary\n",
	"\rtouch canary\r", "'touch canary'", "';touch canary;'", `"`, `";touch canary;"`, `\";touch canary;\"`, `\';touch canary;\'`,
	`\`, `\\`, `'\''`, "${IFS}touch${IFS}canary", "$(touch${IFS}canary)", "`touch${IFS}canary`", ";touch${IFS}canary;",
	"';touch${IFS}canary;'", "x;touch${IFS}canary", ">canary", "'>canary;'", "$(>canary)", "`>canary`", "&&>canary", "||>canary",
	"<(>canary)", "{touch,canary}", "~", "~root", "*", "?", "[a-z]", "!", "!!", "!touch", "#", "#'>canary'", "%h", "%%", "%n$(>canary)",
	"%d", "-oProxyCommand=>canary", "--", "-", "-F/dev/null", "\t>canary", "\x01", "\x1b[2J", "\u202e", "\u2019;>canary;\u2019",
	"a=b", "a,b", "a/../b", "a:b", "[::1]", "\xff\xfe", strings.Repeat("a", 1000), "$HOME", "$((1))", "\\\n>canary",
	"ProxyCommand >canary", "\nProxyCommand >canary\n",
}

// TestS35HostileNames runs the real ssh over every payload: as the host's name,
// as HostName (which ssh itself does not check at all) and as the user's name.
// No shell may act on one, and what vaultpam is given is the name itself, after
// "--", or the name that it always refuses.
func TestS35HostileNames(t *testing.T) {
	if len(payloads) < 40 {
		t.Fatalf("%d payloads", len(payloads))
	}
	w := newWorld(t)
	w.showCanary(t)
	w.write(t)
	var verbatim, replaced, certified int
	for _, payload := range payloads {
		host := payload + ".pam"
		for way, try := range map[string]struct {
			args []string
			host string
		}{
			"host":     {[]string{"--", host, "true"}, host},
			"HostName": {[]string{"-o", "HostName=" + quote(strings.ReplaceAll(host, "%", "%%")), "db1.pam", "true"}, host},
			"user":     {[]string{"-l", payload, "--", "db1.pam", "true"}, "db1.pam"},
			"user@":    {[]string{"--", payload + "@db1.pam", "true"}, "db1.pam"},

			"direct host":     {[]string{"--", payload + ".direct.pam", "true"}, payload + ".direct.pam"},
			"direct HostName": {[]string{"-o", "HostName=" + quote(strings.ReplaceAll(payload+".direct.pam", "%", "%%")), "db1.direct.pam", "true"}, payload + ".direct.pam"},
			"direct user":     {[]string{"-l", payload, "--", "db1.direct.pam", "true"}, "db1.direct.pam"},
			"direct user@":    {[]string{"--", payload + "@db1.direct.pam", "true"}, "db1.direct.pam"},
		} {
			what := fmt.Sprintf("%s %q", way, payload)
			out, err := w.ssh(t, w.file(), try.args...)
			if err == nil || strings.Contains(out, "bad configuration") {
				t.Errorf("%s: %v\n%s", what, err, out)
			}
			given, direct := w.given(t, what)
			for _, place := range direct {
				certified++
				if !strings.HasSuffix(strings.ToLower(place), ".direct.pam") || strings.ContainsAny(place, "'\\! $`;&|<>()") {
					t.Errorf("%s: vaultpam cert was given %q", what, place)
				}
			}
			for _, name := range given {
				switch {
				case name == "(unsafe name)":
					replaced++
				case !strings.EqualFold(name, try.host) || strings.ContainsAny(name, "'\\! $`;&|<>()"):
					t.Errorf("%s: vaultpam proxy was given %q", what, name)
				case name != "db1.pam" && name != "db1.direct.pam":
					verbatim++
				}
			}
			if way == "HostName" && len(given) == 0 && !strings.Contains(payload, "\n") {
				t.Errorf("%s: never reached the ProxyCommand, so that it shows nothing:\n%s", what, out)
			}
		}
		if left, err := os.ReadDir(w.cwd); err != nil || len(left) != 0 {
			t.Fatalf("%q: a shell made %v (%v)", payload, left, err)
		}
	}
	t.Logf("%d payloads, %d names given to vaultpam as they are, %d replaced; %d certificates past the relay wanted", len(payloads), verbatim, replaced, certified)
	if verbatim == 0 || replaced < 20 || certified == 0 {
		t.Errorf("%d as they are, %d replaced: the payloads no longer reach the configuration", verbatim, replaced)
	}
}

// showCanary shows that a shell which acts on a name is noticed, with a
// configuration that guards nothing.
func (w *world) showCanary(t *testing.T) {
	t.Helper()
	naive := filepath.Join(w.stub, "naive")
	writeFile(t, naive, "Host *.pam\n  ProxyCommand "+w.Program+" proxy %h\n")
	out, err := w.ssh(t, naive, "-o", `HostName="$(>canary).pam"`, "db1.pam")
	if err == nil || os.Remove(filepath.Join(w.cwd, "canary")) != nil {
		t.Fatalf("an unguarded configuration shows no canary, so that nothing here could: %v\n%s", err, out)
	}
	w.calls(t)
}

// given returns the names that "vaultpam proxy" was called with since the last
// time, and what certificates past the relay were wanted for, and holds that every call has the form that was written.
func (w *world) given(t *testing.T, what string) (names, direct []string) {
	t.Helper()
	for _, call := range w.calls(t) {
		switch {
		case slices.Equal(call, []string{"--home", w.Dir, "cert", "--ensure", "--quiet"}):
		case len(call) == 6 && slices.Equal(call[:4], []string{"--home", w.Dir, "proxy", "--"}):
			names = append(names, call[4])
		case len(call) == 8 && slices.Equal(call[:7], []string{"--home", w.Dir, "cert", "--ensure", "--quiet", "--direct", "--"}):
			direct = append(direct, call[7])
		default:
			t.Errorf("%s: ssh ran vaultpam %q", what, call)
		}
	}
	return names, direct
}

// quote writes s as one argument in double quotes, as ssh_config(5) reads it.
func quote(s string) string {
	return fmt.Sprintf(`"%s"`, strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s))
}
