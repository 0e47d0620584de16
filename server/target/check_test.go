package target_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/target"
	"github.com/vaultpam/vaultpam/store"
)

// openSettings are those of a host as it is installed, closedSettings those of a
// closed one.
const (
	openSettings = "authenticationmethods any|pubkeyauthentication yes|passwordauthentication yes|kbdinteractiveauthentication no|" +
		"hostbasedauthentication no|permitemptypasswords no|permitrootlogin without-password|usepam no|authorizedkeysfile .ssh/authorized_keys|" +
		"authorizedkeyscommand none|trustedusercakeys none|authorizedprincipalsfile none|authorizedprincipalscommand none"
	closedSettings = "authenticationmethods publickey|pubkeyauthentication yes|passwordauthentication no|kbdinteractiveauthentication no|" +
		"hostbasedauthentication no|permitemptypasswords no|permitrootlogin yes|usepam yes|authorizedkeysfile none|" +
		"authorizedkeyscommand none|trustedusercakeys /etc/ssh/vaultpam_ca.pub|authorizedprincipalsfile /proc/vaultpam/none|" +
		"authorizedprincipalscommand /usr/bin/echo %u@db1"
)

// answerOf is an answer with rows for the accounts root and carol.
func answerOf(settings string, rows ...string) string {
	var b strings.Builder
	b.WriteString("vaultpam-check\t1\tdb1\n")
	for _, account := range []string{"\t65533\tshadow\t", "root\t0\tshadow\t/bin/sh", "carol\t4711\tshadow\t/bin/sh"} {
		fmt.Fprintf(&b, "account\t%s\n", account)
		name, _, _ := strings.Cut(account, "\t")
		for setting := range strings.SplitSeq(settings, "|") {
			fmt.Fprintf(&b, "setting\t%s\t%s\n", name, strings.Replace(setting, " ", "\t", 1))
		}
	}
	for _, row := range rows {
		b.WriteString(row + "\n")
	}
	b.WriteString("password\troot\tset\npassword\tcarol\tlocked\ndone\tconfiguration\ndone\taccounts\ndone\tpasswords\ndone\tprograms\nend\n")
	return b.String()
}

// fixedSetup has the same keys every time.
func fixedSetup(t testing.TB) target.Setup {
	t.Helper()
	key := func(seed byte) ssh.PublicKey {
		private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
		public, err := ssh.NewPublicKey(private.Public())
		if err != nil {
			t.Fatal(err)
		}
		return public
	}
	return target.Setup{
		Target: db1, TargetCAs: []ssh.PublicKey{key(1), key(2)}, EmergencyCA: key(3), ServerName: "pam.example.eu",
	}
}

// ourRows are those of a host that trusts s.
func ourRows(s target.Setup) []string {
	return []string{
		"setup\t# VaultPAM at pam.example.eu: authorities that may sign certificates for db1.",
		"authority\t/etc/ssh/vaultpam_ca.pub\t" + authorized(s.TargetCAs[0]),
		"authority\t/etc/ssh/vaultpam_ca.pub\t" + authorized(s.EmergencyCA),
	}
}

func authorized(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestParseCheck(t *testing.T) {
	setup := fixedSetup(t)
	key := newSigner(t).PublicKey()
	finger := ssh.FingerprintSHA256(key)
	set := func(settings, from, to string) string {
		if !strings.Contains(settings, from) {
			t.Fatalf("no %q in the settings", from)
		}
		return strings.Replace(settings, from, to, 1)
	}
	for _, c := range []struct {
		name, answer  string
		want          []string
		setUp, closed bool
	}{
		{
			name: "closed", answer: "Welcome to db1\n" + answerOf(closedSettings, append(ourRows(setup), "closed")...),
			setUp: true, closed: true,
		},
		{name: "closed by another's hand", answer: answerOf(closedSettings, ourRows(setup)...), setUp: true},
		{
			name: "closed by a mark alone", answer: answerOf(openSettings, "closed"),
			want: nil,
		},
		{
			name: "closed, and more trusted", answer: answerOf(closedSettings, append(ourRows(setup), "closed", "authority\t/etc/ssh/vaultpam_ca.pub\t"+authorized(key))...),
			want: []string{"door\tauthority\t\t" + finger + " in /etc/ssh/vaultpam_ca.pub"}, setUp: true, closed: true,
		},
		{
			name:   "set up for another target",
			answer: answerOf(set(closedSettings, "%u@db1", "%u@db2"), ourRows(setup)...),
			want:   []string{"door\tprincipals\t\tAuthorizedPrincipalsCommand /usr/bin/echo %u@db2"},
		},
		{
			name:   "no names",
			answer: answerOf(set(closedSettings, "authorizedprincipalscommand /usr/bin/echo %u@db1", "authorizedprincipalscommand none"), ourRows(setup)...),
			want:   []string{"door\tprincipals\t\tthe account's own name as a principal"},
		},
		{
			name:   "a key of root, and root may not log in",
			answer: answerOf(set(openSettings, "permitrootlogin without-password", "permitrootlogin no"), "key\troot\t/root/.ssh/authorized_keys\t"+authorized(key)),
		},
		{
			name:   "a key without public keys",
			answer: answerOf(set(openSettings, "pubkeyauthentication yes", "pubkeyauthentication no"), "key\tcarol\t/k\t"+authorized(key)),
		},
		{
			name:   "a key of somebody without settings",
			answer: answerOf(openSettings, "key\tdora\t/k\t"+authorized(key)),
			want:   []string{"door\tauthorized-key\tdora\t" + finger + " in /k", "unread\tsshd's settings for the account dora"},
		},
		{
			name:   "a password of root",
			answer: answerOf(set(openSettings, "permitrootlogin without-password", "permitrootlogin yes")),
			want:   []string{"door\tpassword\troot\tpassword: a password is set"},
		},
		{
			name:   "before OpenSSH 8.7, keyboard-interactive took two settings",
			answer: answerOf(set(set(openSettings, "kbdinteractiveauthentication no", "kbdinteractiveauthentication yes|challengeresponseauthentication no"), "permitrootlogin without-password", "permitrootlogin yes")),
			want:   []string{"door\tpassword\troot\tpassword: a password is set"},
		},
		{
			name:   "Kerberos",
			answer: answerOf(openSettings + "|gssapiauthentication yes|gssapikeyexchange yes|kerberosauthentication yes"),
			want: []string{
				"door\tgssapi\t\tgssapi-keyex", "door\tgssapi\t\tgssapi-with-mic",
				"door\tpassword\t\tpassword: KerberosAuthentication yes",
			},
		},
		{
			name:   "other methods need a key beside them",
			answer: answerOf(set(openSettings, "authenticationmethods any", "authenticationmethods publickey,password publickey,keyboard-interactive:pam") + "|gssapiauthentication yes"),
		},
		{
			name:   "accounts from elsewhere",
			answer: answerOf(openSettings, "sources\tfiles sss [NOTFOUND=return] ldap"),
			want:   []string{"unread\taccounts of ldap that getent does not list", "unread\taccounts of sss that getent does not list"},
		},
		{name: "accounts from elsewhere, closed", answer: answerOf(closedSettings, append(ourRows(setup), "sources\tfiles sss")...), setUp: true},
		{
			name: "control characters", answer: answerOf(openSettings, "unread\t\x1b]0;x\x07/etc\u2028\u202e\xff"),
			want: []string{"unread\t" + `\u001b]0;x\u0007/etc\u2028\u202e\ufffd`},
		},
		{
			name: "a condition that a closed host does not heed", answer: answerOf(closedSettings, append(ourRows(setup),
				"enter\t/etc/ssh/sshd_config", "line\tMatch Address 10.0.0.0/8", "line\tGSSAPIAuthentication yes", "line\tPermitRootLogin yes", "leave\t/etc/ssh/sshd_config")...),
			setUp: true,
		},
		{
			name: "a condition that it does", answer: answerOf(closedSettings, append(ourRows(setup),
				"enter\t/etc/ssh/sshd_config", "line\tMatch Address=10.0.0.0/8", "line\tauthenticationmethods=any", "line\tPasswordAuthentication yes", "leave\t/etc/ssh/sshd_config")...),
			want: []string{
				"door\tmatch-block\t\tMatch Address=10.0.0.0/8: PasswordAuthentication yes",
				"door\tmatch-block\t\tMatch Address=10.0.0.0/8: authenticationmethods=any",
			},
			setUp: true,
		},
		{
			name: "nothing but a frame", answer: "vaultpam-check\t1\tdb1\nend\n",
			want: []string{
				"unread\tall of the accounts", "unread\tall of the configuration", "unread\tall of the passwords",
				"unread\tall of the programs", "unread\tsshd's settings", "unread\tthe accounts",
			},
		},
		{
			name: "file names with blanks", answer: answerOf(openSettings, "line\tInclude \"/etc/a b\"", "line\tAuthorizedKeysFile \"/etc/a b\"", `line	Include "/etc/a"`),
			want: []string{`unread	file names with blanks in AuthorizedKeysFile "/etc/a b"`, `unread	file names with blanks in Include "/etc/a b"`},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			check, err := target.ParseCheck([]byte(c.answer), setup)
			if err != nil {
				t.Fatal(err)
			}
			text, err := check.Report.Text()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.SplitSeq(text, "\n") {
				if line != "" {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if check.SetUp != c.setUp || check.Closed != c.closed {
				t.Errorf("set up %v, closed %v; want %v, %v", check.SetUp, check.Closed, c.setUp, c.closed)
			}
		})
	}
}

func TestParseCheckBounds(t *testing.T) {
	rows := make([]string, 0, 6000)
	for i := range 3000 {
		rows = append(rows, fmt.Sprintf("key\tcarol\t/file%d\t%s", i, authorized(fixedSetup(t).EmergencyCA)), fmt.Sprintf("unread\tfile%d", i))
	}
	check, err := target.ParseCheck([]byte(answerOf(openSettings, rows...)), fixedSetup(t))
	if err != nil {
		t.Fatal(err)
	}
	text, err := check.Report.Text()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(text, "\n") + 1; got != store.MaxDoors {
		t.Errorf("%d lines, want %d", got, store.MaxDoors)
	}
	if !strings.Contains(text, "unread\ttoo many for one report: 4001 more") {
		t.Errorf("the rest is not counted:\n%s", text[len(text)-200:])
	}
}

// TestParseCheckTellsLongTextsApart holds that two doors do not become one where
// their texts are cut.
func TestParseCheckTellsLongTextsApart(t *testing.T) {
	setup := fixedSetup(t)
	file := "/" + strings.Repeat("é", 300)
	check, err := target.ParseCheck([]byte(answerOf(openSettings,
		"key\tcarol\t"+file+"a\t"+authorized(setup.EmergencyCA), "key\tcarol\t"+file+"b\t"+authorized(setup.EmergencyCA))), setup)
	if err != nil {
		t.Fatal(err)
	}
	wantOneForm(t, check.Report)
	if len(check.Report.Doors) != 2 {
		t.Errorf("doors: %+v", check.Report.Doors)
	}
}

func TestParseCheckRefuses(t *testing.T) {
	good := answerOf(openSettings)
	for name, c := range map[string]struct{ answer, says string }{
		"empty":          {"", "did not answer"},
		"another answer": {"sh: syntax error\n", "did not answer"},
		"cut":            {strings.TrimSuffix(good, "end\n"), "was cut"},
		"cut in its end": {strings.TrimSuffix(good, "\n"), "was cut"},
		"more after it":  {good + "x\n", "was cut"},
		"another target": {strings.Replace(good, "\tdb1\n", "\tdb2\n", 1), "want version 1 for the target db1"},
		"a new version":  {strings.Replace(good, "\t1\t", "\t2\t", 1), "want version 1"},
		"unknown row":    {answerOf(openSettings, "new\tthing"), "means nothing"},
		"too long":       {strings.Replace(good, "end\n", strings.Repeat("\n", 16<<20)+"end\n", 1), "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			check, err := target.ParseCheck([]byte(c.answer), fixedSetup(t))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%+v, %v", check, err)
			}
		})
	}
	if _, err := target.ParseCheck([]byte(good), target.Setup{}); err == nil {
		t.Error("a zero Setup judges")
	}
	if _, err := target.CheckScript(target.Setup{}); err == nil {
		t.Error("a zero Setup has a script")
	}
}

// FuzzParseCheck holds that whatever a host says becomes a report in its one
// form or an error, and that neither other rows nor the line's own options hide
// an authorized key.
func FuzzParseCheck(f *testing.F) {
	setup := fixedSetup(f)
	f.Add(answerOf(openSettings, "line\tMatch Address 10.0.0.0/8", "line\tPasswordAuthentication yes"), `command="x y"`, "/home/carol/.ssh/authorized_keys")
	f.Add(answerOf(closedSettings, ourRows(setup)...), "", "")
	f.Add("vaultpam-check\t1\tdb1\nend\n", "cert-authority", "\x00\xff")
	f.Fuzz(func(t *testing.T, answer, options, file string) {
		if check, err := target.ParseCheck([]byte(answer), setup); err == nil {
			wantOneForm(t, check.Report)
		}
		if check, err := target.ParseCheck([]byte(strings.TrimSuffix(answer, "\nend\n")), setup); err == nil && !strings.HasSuffix(answer, strings.Repeat("\nend", 2)+"\n") {
			t.Errorf("without its end: %+v", check)
		}
		// A row is a line, so nothing of what follows can break out of its own.
		clean := strings.NewReplacer("\n", "", "\t", "", "\r", "")
		options, file = clean.Replace(options), clean.Replace(file)
		if strings.ContainsAny(options, " \"\\#") {
			options = `environment="` + strings.NewReplacer(`"`, "", `\`, "").Replace(options) + `"`
		}
		if options != "" {
			options += " "
		}
		key := authorized(setup.TargetCAs[0])
		check, err := target.ParseCheck([]byte(answerOf(openSettings, "key\tcarol\t"+file+"\t"+options+key+" a comment")), setup)
		if err != nil {
			t.Fatal(err)
		}
		wantOneForm(t, check.Report)
		for _, door := range check.Report.Doors {
			if door.Account == "carol" && strings.HasPrefix(door.Detail, ssh.FingerprintSHA256(setup.TargetCAs[0])) {
				return
			}
		}
		t.Errorf("the key is lost: %+v", check.Report)
	})
}

func wantOneForm(t *testing.T, report store.DoorReport) {
	t.Helper()
	text, err := report.Text()
	if err != nil {
		t.Fatal(err)
	}
	again, err := store.ParseDoorReport(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(report, again); diff != "" {
		t.Errorf("the report's text reads otherwise (-report +text):\n%s", diff)
	}
}
