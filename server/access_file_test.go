package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/client/accessfile"
	"github.com/vaultpam/vaultpam/server/api"
)

// Whatever a file says that the server takes, the server says back: an export
// changes nothing, the file changes nothing when it is applied again, and what it
// does not manage is as it was. Each file meets what the ones before it left.
func TestAccessFiles(t *testing.T) {
	s := populated(t)
	for _, handle := range []string{"bob", "carol", "dana"} {
		s.added(handle, "engineer")
	}
	for i, name := range []string{"db1", "db2", "web1"} {
		must[api.TargetDetail](s, s.admin, "POST", api.RouteTargetAdd.Path, api.AddTargetRequest{
			Name: name, Address: fmt.Sprintf("127.0.0.1:%d", 20+i), Logins: []string{"root", "deploy"},
			HostKeys: []string{string(ssh.MarshalAuthorizedKey(newKey(t).PublicKey()))}, Egress: "127.0.0.1",
		})
	}
	have := func() accessfile.File {
		t.Helper()
		f, err := accessfile.FromServer(must[[]api.Group](s, s.admin, "GET", api.RouteGroups.Path, nil),
			must[[]api.TargetDetail](s, s.admin, "GET", api.RouteAllTargets.Path, nil),
			must[[]api.Grant](s, s.admin, "GET", api.RouteGrants.Path, nil),
			must[[]api.Bot](s, s.admin, "GET", api.RouteBots.Path, nil))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	export := func(f accessfile.File, sections []accessfile.Section) string {
		t.Helper()
		text, err := accessfile.Export(f, sections)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	plan := func(f accessfile.File, text string) []accessfile.Change {
		t.Helper()
		want, err := accessfile.Parse([]byte(text))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		changes, err := accessfile.Plan(f, want)
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	changed := 0
	rapid.Check(t, func(rt *rapid.T) {
		text, managed := drawAccess(rt)
		before := have()
		var q api.ChangesRequest
		for _, step := range accessfile.Steps(plan(before, text)) {
			q.Changes = append(q.Changes, step.Do)
		}
		if len(q.Changes) > 0 {
			changed++
			if r := must[api.ChangesResponse](s, s.admin, "POST", api.RouteAccess.Path, q); !r.Done {
				rt.Fatalf("%+v of\n%s", r, text)
			}
		}
		after := have()
		if again := plan(after, text); len(again) > 0 {
			rt.Fatalf("a second run would change %v of\n%s", again, text)
		}
		if again := plan(after, export(after, accessfile.Sections())); len(again) > 0 {
			rt.Fatalf("the export would change %v after\n%s", again, text)
		}
		var others []accessfile.Section
		for _, section := range accessfile.Sections() {
			if !slices.Contains(managed, section) {
				others = append(others, section)
			}
		}
		if len(others) > 0 && export(before, others) != export(after, others) {
			rt.Fatalf("changed what is not managed by\n%s", text)
		}
	})
	if changed < 20 {
		t.Errorf("%d files changed something", changed)
	}
}

// drawAccess draws a file that the server takes, and what it manages: rules are of
// groups only where the file has both, so that none is missing and none is kept.
func drawAccess(t *rapid.T) (string, []accessfile.Section) {
	pick := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	managed := rapid.SampledFrom([][]accessfile.Section{
		accessfile.Sections(), accessfile.Sections(), {accessfile.SectionTargets}, {accessfile.SectionTargets, accessfile.SectionGuardrails},
	}).Draw(t, "manages")
	var b strings.Builder
	var names []string
	for _, section := range managed {
		names = append(names, string(section))
	}
	fmt.Fprintf(&b, "version: 1\nmanages: [%s]\n", strings.Join(names, ", "))
	if slices.Contains(managed, accessfile.SectionGroups) {
		fmt.Fprintf(&b, "groups:\n  ops: [%s]\n  leads: [%s]\n", pick("ops", "", "bob", "bob, carol"), pick("leads", "", "dana", "carol, dana"))
	}
	fmt.Fprintf(&b, "targets:\n  db1: {%s}\n", pick("labels", "", "env: prod", "env: dev, role: db"))
	subjects := []string{"user:bob", "user:carol"}
	if slices.Contains(managed, accessfile.SectionGrants) {
		subjects = append(subjects, "group:ops", "group:leads")
		b.WriteString("grants:\n")
		for i := range rapid.IntRange(0, 4).Draw(t, "grants") {
			fmt.Fprintf(&b, "- {name: r%d, to: '%s', %s, logins: [%s], for: [%s]%s%s, conditions: {%s}}\n", i, pick("to", subjects...),
				pick("where", "targets: [db1]", "targets: [db2, db1, web1]", "select: '*'", "select: 'env!=prod, role in (web, db)'"),
				pick("logins", "root", "deploy, root"), pick("for", "shell", "vscode", "exec=uptime, sftp=read-only", "'local-forward=10.0.0.0/24:*', backup"),
				pick("hours", "", ", hours: 'mon-fri 08:00-18:00; Sat 09:00-12:00 Europe/Berlin'"),
				pick("life", "", ", until: 2099-01-01T00:00:00.5+02:00", ", from: 2098-01-01T00:00:00Z, until: 2099-01-01T00:00:00Z"),
				pick("conditions", "", "reason: true", "ticket: 'INC-[0-9]+', approval: {count: 2, of: leads}", "passkey: 15m, longest: 90m"))
		}
	}
	if slices.Contains(managed, accessfile.SectionGuardrails) {
		b.WriteString("guardrails:\n")
		for range rapid.IntRange(0, 2).Draw(t, "guardrails") {
			fmt.Fprintf(&b, "- {against: '%s', %s, forbid: [%s]%s}\n", pick("against", append(subjects, "everyone")...),
				pick("where not", "targets: [db1]", "select: '!env'"), pick("forbid", "everything", "direct, sftp=read-write"), pick("as", "", ", logins: [root]"))
		}
	}
	text := b.String()
	if _, err := accessfile.Parse([]byte(text)); err != nil {
		if strings.Contains(err.Error(), "given twice") {
			return drawAccess(t)
		}
		t.Fatalf("%v\n%s", err, text)
	}
	return text, managed
}
