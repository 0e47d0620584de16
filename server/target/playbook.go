package target

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"github.com/vaultpam/vaultpam/store"
)

//go:embed setup.yml.tmpl
var playbookTemplate string

// Playbook returns an Ansible playbook that does to a host what the script does
// without arguments, and leaves the same files behind. Without a target it is for
// a whole inventory, in which each host has its own name. It needs ansible-core
// 2.14 or newer and no collection. Like the script it holds public keys and names
// only, no secret.
func Playbook(s Setup) (string, error) {
	if s.Target != "" {
		if err := checkTarget(s.Target); err != nil {
			return "", err
		}
	}
	values, err := s.authorities()
	if err != nil {
		return "", err
	}
	// The host's own name is held to its grammar by the playbook, before it is used.
	const name, ca, echo = store.TargetName("{{ vaultpam_name }}"), "{{ vaultpam_ca }}", "{{ vaultpam_echo }}"
	values["Target"] = s.Target
	values["Directives"] = directives(ca, echo, name)
	values["Closing"] = closingDirectives(echo)
	parsed, err := template.New("playbook").Option("missingkey=error").Delims("[[", "]]").
		Funcs(template.FuncMap{"lines": lines, "effective": effective, "matched": matched}).Parse(playbookTemplate)
	if err != nil {
		return "", fmt.Errorf("playbook: %w", err)
	}
	var text strings.Builder
	if err := parsed.Execute(&text, values); err != nil {
		return "", fmt.Errorf("playbook: %w", err)
	}
	return text.String(), nil
}

func lines(s string) []string { return strings.Split(strings.TrimSuffix(s, "\n"), "\n") }

// matched writes a directive as it stands inside a Match block, where sshd takes
// the none of AuthorizedPrincipalsFile for a file of that name in the account's
// home. The path that stands there instead can't exist.
func matched(directive string) string {
	return strings.Replace(directive, "AuthorizedPrincipalsFile none", "AuthorizedPrincipalsFile /proc/vaultpam/none", 1)
}

// effective writes a directive as sshd -T does: the keyword in lower case.
func effective(directive string) string {
	keyword, value, _ := strings.Cut(directive, " ")
	return strings.ToLower(keyword) + " " + value
}
