package inventory_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultpam/vaultpam/client/inventory"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A reader is one of the two formats.
type reader func([]byte) ([]inventory.Target, []string, error)

func fixture(t testing.TB, name string, read reader) map[string]inventory.Target {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	targets, problems, err := read(data)
	if err != nil || len(problems) > 0 {
		t.Fatalf("%s: %v, %q", name, err, problems)
	}
	return byOrigin(targets)
}

func byOrigin(targets []inventory.Target) map[string]inventory.Target {
	all := map[string]inventory.Target{}
	for _, target := range targets {
		all[target.Origin] = target
	}
	return all
}

// same compares all but the lines, which are those of two files.
func same() cmp.Options {
	return cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreFields(inventory.Target{}, "Line"), cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == "._" }, cmp.Ignore())}
}

// The .json files are what ansible-inventory --list (ansible-core 2.14.18, Debian
// 12) made of the files beside them: hosts, groups and variables as Ansible itself
// sees them, precedence and ranges included.
func TestAnsibleReadsAsAnsibleDoes(t *testing.T) {
	for name, read := range map[string]reader{"hosts.ini": inventory.ReadAnsibleINI, "hosts.yaml": inventory.ReadAnsibleYAML} {
		got, want := fixture(t, name, read), fixture(t, name+".json", inventory.ReadAnsibleYAML)
		if len(want) < 10 {
			t.Errorf("%s: only %d hosts", name, len(want))
		}
		if diff := cmp.Diff(want, got, same()); diff != "" {
			t.Errorf("%s reads differently from what ansible says of it:\n%s", name, diff)
		}
	}
}

func TestAnsibleTargets(t *testing.T) {
	ini := fixture(t, "hosts.ini", inventory.ReadAnsibleINI)
	tests := []struct {
		origin, name, address, login, labels string
		problem                              string // a part of the first
	}{
		{"mail.example.com", "mail.example.com", "mail.example.com:22", "everyone", "", ""},
		{"jump", "jump", "192.0.2.10:2222", "deploy", "prod=yes,web=yes", ""},
		{"db1", "db1", "10.0.0.5:22", "dbadmin", "db=yes,prod=yes", ""},
		{"db2", "db2", "[2001:db8::5]:22", "postgres", "db=yes,prod=yes", ""},
		{"web-b", "web-b", "web-b:2200", "www", "prod=yes,web=yes", ""},
		{"www03.example.com", "www03.example.com", "www03.example.com:22", "produser", "prod=yes,web=yes", ""},
		{"2001:db8::7", "", "[2001:db8::7]:2022", "dbadmin", "db=yes,prod=yes", "is an address: give the target a name"},
		{"10.0.0.9", "", "10.0.0.9:2201", "dbadmin", "db=yes,prod=yes", "is an address"},
		{"Upper.Example.COM", "upper.example.com", "Upper.Example.COM:22", "dbadmin", "db=yes,prod=yes", ""},
		{"under_score", "", "", "dbadmin", "db=yes,prod=yes", "is no target's name"},
		{"tie", "tie", "tie:2211", "seconduser", "first=yes,second=yes", ""},
		{"weigh", "weigh", "weigh:22", "heavyuser", "heavy=yes,light=yes", ""},
		{"old", "old", "192.0.2.11:2022", "everyone", "", `ansible_ssh_user "legacy"`},
		{"win1", "win1", "win1:22", "everyone", "windows=yes", `by "winrm" and not by ssh`},
		{"tmpl", "tmpl", "", "", "templated=yes", "ansible_host is a template"},
	}
	for _, tt := range tests {
		target, ok := ini[tt.origin]
		if !ok {
			t.Errorf("%s is not there", tt.origin)
			continue
		}
		var login, problem string
		if len(target.Logins) > 0 {
			login = string(target.Logins[0])
		}
		if len(target.Problems) > 0 {
			problem = target.Problems[0]
		}
		got := []string{string(target.Name), target.Address, login, target.Labels.String()}
		if diff := cmp.Diff([]string{tt.name, tt.address, tt.login, tt.labels}, got); diff != "" || !strings.Contains(problem, tt.problem) || (problem == "") != (tt.problem == "") {
			t.Errorf("%s: %q, want %q\n%s", tt.origin, problem, tt.problem, diff)
		}
	}
}

func TestAnsibleRanges(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"web[1:3]", "web1 web2 web3"},
		{"web[01:03].example", "web01.example web02.example web03.example"},
		{"web[08:11]", "web08 web09 web10 web11"},
		{"db-[a:c]", "db-a db-b db-c"},
		{"n[1:9:4]", "n1 n5 n9"},
		{"[a:b][1:2]", "a1 a2 b1 b2"},
		{"n[:2]", "n0 n1 n2"},
		{"n[3:3]:2222", "n3"},

		{"n[3:1]", "!ends before it begins"},
		{"n[01:100]", "!as many digits"},
		{"n[1:2", "!a range has no end"},
		{"n[1]", "!want [BEGIN:END]"}, {"n[1:]", "!want [BEGIN:END]"}, {"n[1:2:3:4]", "!want [BEGIN:END]"},
		{"n[1:9:0]", "!want a step"}, {"n[1:9:x]", "!want a step"},
		{"n[a:9]", "!want two numbers"}, {"n[-1:9]", "!want two numbers"}, {"n[aa:bb]", "!want two numbers"},
	}
	for _, tt := range tests {
		targets, problems, err := inventory.ReadAnsibleINI([]byte(tt.pattern + " ansible_user=root\n"))
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
		}
		if part, refused := strings.CutPrefix(tt.want, "!"); refused {
			if len(targets) != 0 || len(problems) != 1 || !strings.HasPrefix(problems[0], "line 1: ") || !strings.Contains(problems[0], part) {
				t.Errorf("%s: %d targets, %q; want a problem with %q", tt.pattern, len(targets), problems, part)
			}
			continue
		}
		var got []string
		for _, target := range targets {
			got = append(got, target.Origin)
		}
		if strings.Join(got, " ") != tt.want || len(problems) > 0 {
			t.Errorf("%s: %q, %q; want %q", tt.pattern, got, problems, tt.want)
		}
	}
}

func TestAnsibleIsBounded(t *testing.T) {
	for _, text := range []string{
		"n[0:99999999]\n",
		"n[0:999][0:999]\n",
		"n[1:10000]\nm1\n",
		strings.Repeat("x", inventory.MaxSize+1),
	} {
		if _, _, err := inventory.ReadAnsibleINI([]byte(text)); err == nil {
			t.Errorf("%.40q is accepted", text)
		}
	}
	laughs := "a: &a0 {hosts: {x: }}\n"
	for i := range 9 {
		before, this := string(rune('0'+i)), string(rune('1'+i))
		laughs += "b" + this + ": &a" + this + " {children: {"
		for j := range 9 {
			laughs += "g" + this + string(rune('a'+j)) + ": *a" + before + ", "
		}
		laughs += "}}\n"
	}
	if _, _, err := inventory.ReadAnsibleYAML([]byte(laughs)); err == nil {
		t.Error("a billion laughs are accepted")
	}
}

func TestAnsibleProblems(t *testing.T) {
	ini := []struct{ text, want string }{
		{"a b=c d\n", `line 1: "d": want NAME=VALUE`},
		{"a 'b\n", "line 1: a quotation has no end"},
		{"[x:vars]\nno\n", "line 2"},
		{"[x:children]\na b\n", "line 2"},
		{"[x:other]\nhost1\n[y]\n", "line 1: section \"x:other\""},
	}
	for _, tt := range ini {
		targets, problems, err := inventory.ReadAnsibleINI([]byte(tt.text))
		if err != nil || len(targets) > 0 || len(problems) != 1 || !strings.Contains(problems[0], tt.want) {
			t.Errorf("%q: %d targets, %q, %v; want %q", tt.text, len(targets), problems, err, tt.want)
		}
	}
	if _, _, err := inventory.ReadAnsibleINI([]byte("[a:children]\nb\n[b:children]\na\n")); err == nil || !strings.Contains(err.Error(), "contains itself") {
		t.Errorf("a group in itself: %v", err)
	}
	for text, want := range map[string]string{
		"":                                    "empty",
		"- a":                                 "line 1: want a mapping",
		"all: [a]":                            "line 1: want a mapping",
		"all: {hosts: [a]}":                   "line 1: want a mapping",
		"a: &x {children: {b: *x}}":           "",
		"all: {hosts: {a: {<<: 1}}}":          "want a mapping to merge",
		"a: {children: {a: {}}}":              "contains itself",
		"all: {hosts: {'n[0:99999999]': {}}}": "more than",
		"all: {hosts: {[a]: }}":               "want a text as a key",
	} {
		if _, _, err := inventory.ReadAnsibleYAML([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	targets, problems, err := inventory.ReadAnsibleYAML([]byte("all: {hosts: {a: {ansible_user: !vault 'x', ansible_port: 99999}, 'n[1': }, other: 1}"))
	if err != nil || len(targets) != 1 || len(problems) != 2 || len(targets[0].Problems) != 2 {
		t.Errorf("%+v, %q, %v", targets, problems, err)
	}
}

// Two hosts whose names become one are told apart by whoever looks.
func TestAnsibleNamesTwice(t *testing.T) {
	targets, _, err := inventory.ReadAnsibleINI([]byte("db1 ansible_user=root\nDB1 ansible_user=root\n"))
	if err != nil || len(targets) != 2 || targets[0].Name != "db1" || targets[1].Name != "" || !strings.Contains(targets[1].Problems[0], "has the name db1 already") {
		t.Errorf("%+v, %v", targets, err)
	}
}

// checkProposals holds what every proposal promises, whatever the file.
func checkProposals(t *testing.T, targets []inventory.Target, problems []string) {
	t.Helper()
	for _, p := range problems {
		checkProblem(t, p)
	}
	names := map[string]bool{}
	for _, target := range targets {
		if err := target.Labels.Check(); err != nil {
			t.Fatal(err)
		}
		if (target.Name == "" || target.Address == "" || len(target.Logins) == 0) && len(target.Problems) == 0 {
			t.Fatalf("%+v misses something, and nothing says so", target)
		}
		if target.Name != "" && names[string(target.Name)] {
			t.Fatalf("%s is there twice", target.Name)
		}
		names[string(target.Name)] = true
		for _, p := range target.Problems {
			checkProblem(t, p)
		}
	}
}

// checkPlan holds that nothing is new for want of a look at it, whatever the files.
func checkPlan(t *testing.T, targets []inventory.Target) {
	t.Helper()
	addresses := map[string]bool{}
	for _, p := range inventory.Plan(targets, nil) {
		for _, why := range p.Why {
			checkProblem(t, why)
		}
		if p.Verdict != inventory.New {
			if len(p.Why) == 0 {
				t.Fatalf("%s is %s, and nothing says why", p.Origin, p.Verdict)
			}
			continue
		}
		_, err := store.ParseTargetName(string(p.Name))
		if err != nil || api.CheckHost(p.Address) != nil || len(p.Logins) == 0 || len(p.HostKeys) == 0 || len(p.KeyLines) != len(p.HostKeys) || addresses[strings.ToLower(p.Address)] {
			t.Fatalf("%+v is new", p)
		}
		addresses[strings.ToLower(p.Address)] = true
	}
}

// checkProblem holds that a problem is one line, with nothing that a terminal acts
// on.
func checkProblem(t *testing.T, p string) {
	t.Helper()
	if strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x2028 || 0x80 <= r && r < 0xa0 }) {
		t.Fatalf("problem %q", p)
	}
}

func FuzzReadAnsibleINI(f *testing.F) {
	data, err := os.ReadFile("testdata/hosts.ini")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	_, line := newKey(f)
	known := readKnown(f, "* "+line+"\n")
	f.Fuzz(func(t *testing.T, data []byte) {
		targets, problems, err := inventory.ReadAnsibleINI(data)
		if err != nil {
			checkProblem(t, err.Error())
		}
		checkProposals(t, targets, problems)
		known.Attach(targets)
		checkPlan(t, targets)
	})
}

func FuzzReadAnsibleYAML(f *testing.F) {
	for _, name := range []string{"hosts.yaml", "hosts.yaml.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	_, line := newKey(f)
	known := readKnown(f, "* "+line+"\n")
	f.Fuzz(func(t *testing.T, data []byte) {
		targets, problems, err := inventory.ReadAnsibleYAML(data)
		if err != nil {
			checkProblem(t, err.Error())
		}
		checkProposals(t, targets, problems)
		known.Attach(targets)
		checkPlan(t, targets)
	})
}
