package server_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server"
)

const goodConfig = `name: pam.example.eu
suffix: pam
listen:
    https: :443
    ssh: :2222
public:
    https: pam.example.eu:443
    ssh: pam.example.eu:2222
`

func noEnv(string) string { return "" }

func TestConfigDefaults(t *testing.T) {
	c, err := server.ParseConfig([]byte("name: pam.example.eu\npublic: {https: 'pam.example.eu:443', ssh: 'pam.example.eu:2222'}\n"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	want := server.Config{
		Name: "pam.example.eu", Suffix: "pam", Listen: server.ListenConfig{HTTPS: ":443", SSH: ":2222"},
		Public: server.PublicConfig{HTTPS: "pam.example.eu:443", SSH: "pam.example.eu:2222"}, Log: server.LogConfig{Level: "info"},
		TLS: server.TLSConfig{Mode: server.TLSSelfSigned}, CheckTargets: "02:30",
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

func TestConfigRefusals(t *testing.T) {
	swap := func(old, with string) string {
		if !strings.Contains(goodConfig, old) {
			t.Fatalf("the good configuration has no %q", old)
		}
		return strings.Replace(goodConfig, old, with, 1)
	}
	for _, c := range []struct{ text, want string }{
		{"", `name: host name "": want lower-case labels`},
		{"# nothing\n", `name: host name ""`},
		{swap("pam.example.eu", ""), `name: host name ""`},
		{swap("pam.example.eu", "PAM.example.eu"), `name: host name "PAM.example.eu"`},
		{swap("pam.example.eu", "-oProxyCommand=x"), `name: host name "-oProxyCommand=x"`},
		{swap("pam.example.eu", "'pam example'"), `name: host name "pam example"`},
		{swap("pam.example.eu", `"pam\nx"`), `name: host name "pam\nx"`},
		{swap("pam.example.eu", "10.0.0.300"), `name: host name "10.0.0.300"`},
		{swap("suffix: pam", "suffix: .pam"), `suffix: target name ".pam": want`},
		{swap("suffix: pam", "suffix: ''"), `suffix: target name ""`},
		{swap("suffix: pam", "suffix: '*'"), `suffix: target name "*"`},
		{swap("https: :443", "https: '443'"), `listen.https: "443": want [ADDRESS]:PORT`},
		{swap("https: :443", "https: ':https'"), `listen.https: ":https": want [ADDRESS]:PORT`},
		{swap("https: :443", "https: ':65536'"), `listen.https: ":65536": want`},
		{swap("https: :443", "https: ':-1'"), `listen.https: ":-1": want`},
		{swap("https: :443", "https: ':0443'"), `listen.https: ":0443": want`},
		{swap("https: :443", "https: 'a b:443'"), `listen.https: "a b:443": want`},
		{swap("ssh: :2222", "ssh: '[::1:2222'"), `listen.ssh: "[::1:2222": want`},
		{swap("ssh: :2222", "ssh: ''"), `listen.ssh: "": want`},
		{swap("https: pam.example.eu:443", "https: pam.example.eu"), `public.https: "pam.example.eu": want HOST:PORT`},
		{swap("https: pam.example.eu:443", "https: ':443'"), `public.https: ":443": want HOST:PORT`},
		{swap("https: pam.example.eu:443", "https: 'pam.example.eu:0'"), `public.https: "pam.example.eu:0": want HOST:PORT`},
		{swap("https: pam.example.eu:443", "https: 'https://pam.example.eu:443'"), `public.https: "https://pam.example.eu:443": want`},
		{swap("ssh: pam.example.eu:2222", "ssh: '$(id):2222'"), `public.ssh: "$(id):2222": want HOST:PORT`},
		{goodConfig + "log: {level: loud}\n", `log.level: "loud": want debug, info, warn or error`},
		{goodConfig + "log: {level: INFO}\n", `log.level: "INFO": want`},
		{goodConfig + "tls: {mode: none}\n", `tls.mode: "none": want self-signed, file or acme`},
		{goodConfig + "tls: {mode: ''}\n", `tls.mode: "": want self-signed`},
		{goodConfig + "tls: {mode: file}\n", "tls.cert: tls.mode is file, and this is where the certificate lies"},
		{goodConfig + "tls: {mode: file, cert: /c.pem}\n", "tls.key: tls.mode is file, and this is where the certificate's key lies"},
		{goodConfig + "tls: {mode: file, cert: c.pem, key: /k.pem}\n", `tls.cert: "c.pem": want the whole path of a file`},
		{goodConfig + "tls: {mode: file, cert: /c.pem, key: ./k.pem}\n", `tls.key: "./k.pem": want the whole path`},
		{goodConfig + "tls: {key: k.pem}\n", `tls.key: "k.pem": want the whole path`},
		{goodConfig + "tls: {mode: acme}\n", "tls.accept_terms: want true, which says that you accept the terms of service of https://acme-v02.api.letsencrypt.org/directory"},
		{goodConfig + "tls: {mode: acme, accept_terms: false}\n", "tls.accept_terms: want true"},
		{goodConfig + "tls: {mode: acme, accept_terms: please}\n", "line 9: want true or false here"},
		{goodConfig + "tls: {mode: acme, accept_terms: true, directory: 'http://acme.example.eu/d'}\n", `tls.directory: "http://acme.example.eu/d": want a URL that begins with https://`},
		{goodConfig + "tls: {mode: acme, accept_terms: true, directory: 'https://'}\n", `tls.directory: "https://": want a URL`},
		{goodConfig + "tls: {mode: acme, accept_terms: true, directory: 'https://a:b@acme.example.eu/d'}\n", `want a URL that begins with https://`},
		{goodConfig + "tls: {mode: acme, accept_terms: true, directory_ca: ca.pem}\n", `tls.directory_ca: "ca.pem": want the whole path`},
		{goodConfig + "tls: {mode: acme, accept_terms: true, email: nobody}\n", `tls.email: "nobody": want NAME@HOST`},
		{goodConfig + "tls: {mode: acme, accept_terms: true, email: 'Ada <ada@example.eu>'}\n", `tls.email: "Ada <ada@example.eu>": want NAME@HOST`},
		{swap("name: pam.example.eu", "name: 10.0.0.1") + "tls: {mode: acme, accept_terms: true}\n", "tls.mode: acme needs a host name with a dot in it, and this server's name is 10.0.0.1"},
		{swap("name: pam.example.eu", "name: pam") + "tls: {mode: acme, accept_terms: true}\n", "tls.mode: acme needs a host name with a dot"},
		{goodConfig + "tls: {certificate: /c.pem}\n", `there is no setting "certificate"`},
		{goodConfig + "attestation_roots: makers.pem\n", `attestation_roots: "makers.pem": want the whole path of a file`},
		{goodConfig + "recover_pause: 0\n", `recover_pause: "0": want from 1h to 168h`},
		{goodConfig + "recover_pause: 59m59s\n", `recover_pause: "59m59s": want from 1h`},
		{goodConfig + "recover_pause: 168h0m1s\n", `recover_pause: "168h0m1s": want from 1h`},
		{goodConfig + "recover_pause: 2d\n", `recover_pause: "2d": want from 1h`},
		{goodConfig + "recover_pause: -24h\n", `recover_pause: "-24h": want from 1h`},
		{goodConfig + "notices: {smtp: {from: a@b}}\n", `notices.smtp.host: "": want the name or the address of a mail server`},
		{goodConfig + "notices: {smtp: {host: 'mail:25', from: a@b}}\n", `notices.smtp.host: "mail:25": want the name`},
		{goodConfig + "notices: {smtp: {host: mail}}\n", `notices.smtp.from: e-mail address "": want NAME@HOST`},
		{goodConfig + "notices: {smtp: {host: mail, from: \"a@b\\r\\nBcc: c@d\"}}\n", `notices.smtp.from: e-mail address`},
		{goodConfig + "notices: {smtp: {host: mail, from: a@b, port: 0}}\n", `notices.smtp.port: "0": want a number`},
		{goodConfig + "notices: {smtp: {host: mail, from: a@b, port: 65536}}\n", `notices.smtp.port: "65536": want a number`},
		{goodConfig + "notices: {smtp: {host: mail, from: a@b, tls: none}}\n", `notices.smtp.tls: "none": want starttls, implicit or none-on-loopback`},
		{goodConfig + "notices: {smtp: {host: mail, from: a@b, tls: none-on-loopback}}\n", `notices.smtp.tls: none-on-loopback is for a mail server on this machine, and mail is none`},
		{goodConfig + "notices: {smtp: {host: mail, from: a@b, username: c}}\n", `notices.smtp.username: want it with notices.smtp.password_file`},
		{goodConfig + "notices: {smtp: {host: mail, from: a@b, username: c, password_file: p}}\n", `notices.smtp.password_file: "p": want the whole path of a file`},
		{goodConfig + "notices: {smtp: {host: mail, from: a@b, password: p}}\n", `there is no setting "password"`},
		{goodConfig + "notices: {webhook: {secret_file: /s}}\n", `notices.webhook.url: want a URL that begins with https://`},
		{goodConfig + "notices: {webhook: {url: 'http://hook.example.eu', secret_file: /s}}\n", `notices.webhook.url: want a URL that begins with https://`},
		{goodConfig + "notices: {webhook: {url: 'http://localhost/', secret_file: /s}}\n", `notices.webhook.url: want a URL that begins with https://`},
		{goodConfig + "notices: {webhook: {url: 'https://a:b@hook.example.eu', secret_file: /s}}\n", `notices.webhook.url: want a URL that`},
		{goodConfig + "notices: {webhook: {url: 'https://hook.example.eu'}}\n", `notices.webhook.secret_file: this is where the secret`},
		{goodConfig + "check_targets: nightly\n", `check_targets: "nightly": want HH:MM in UTC, or off`},
		{goodConfig + "check_targets: '24:00'\n", `check_targets: "24:00": want HH:MM`},
		{goodConfig + "check_targets: '2:30'\n", `check_targets: "2:30": want HH:MM`},
		{goodConfig + "check_targets: ''\n", `check_targets: "": want HH:MM`},
		{goodConfig + "color: blue\n", `line 9: there is no setting "color"`},
		{swap("    https: :443", "    htps: :443"), `line 4: there is no setting "htps"`},
		{goodConfig + "Name: x\n", `there is no setting "Name"`},
		{goodConfig + "\"a\\nb\": 1\n", `there is no setting "a`},
		{goodConfig + "name: other.example.eu\n", `mapping key "name" already defined at line 1`},
		{swap("name: pam.example.eu", "name: [a, b]"), "line 1: want one text here"},
		{swap("name: pam.example.eu", "name: {a: b}"), "line 1: want one text here"},
		{goodConfig + "log: loud\n", "line 9: want settings here, as NAME: VALUE"},
		{goodConfig + "log: [debug]\n", "line 9: want settings here"},
		{"just text\n", "line 1: want settings here"},
		{"- a\n- b\n", "line 1: want settings here"},
		{goodConfig + "---\nname: other.example.eu\n", "more than one YAML document"},
		{goodConfig + "---\n", "more than one YAML document"},
		{"!%0d", "want settings here"},
		{goodConfig + "---\n\t: {\n", "not YAML: "},
		{"name: \"pam\n", "not YAML: "},
		{"name: *nothing\n", "not YAML: "},
		{"\x00\x01", "not YAML: "},
	} {
		got, err := server.ParseConfig([]byte(c.text), noEnv)
		if err == nil {
			t.Errorf("accepted: %q as %+v", c.text, got)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("it says %q, want %q", err, c.want)
		}
		sentence(t, err.Error())
	}
}

// sentence holds a message to what a person can read in one line of a terminal.
func sentence(t *testing.T, text string) {
	t.Helper()
	if strings.ContainsFunc(text, unicode.IsControl) || strings.Contains(text, "server.") || strings.Contains(text, "!!") ||
		strings.HasSuffix(text, ".") || len(text) > 300 || text == "" {
		t.Errorf("not a sentence for a person: %q", text)
	}
}

// variables returns the environment variables of the configuration with their
// fields, by the tags.
func variables(v reflect.Type, path []int, name string) map[string]variable {
	all := map[string]variable{}
	for i := range v.NumField() {
		f := v.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		full := strings.TrimPrefix(name+"."+tag, ".")
		if f.Type.Kind() == reflect.Struct {
			for k, x := range variables(f.Type, append(path[:len(path):len(path)], i), full) {
				all[k] = x
			}
			continue
		}
		if f.Type.Kind() == reflect.Slice || f.Type.Kind() == reflect.Map {
			continue // no variable can say a list
		}
		all[f.Tag.Get("env")] = variable{field: full, path: append(path[:len(path):len(path)], i)}
	}
	return all
}

// A variable is where an environment variable goes.
type variable struct {
	field string // as it is written in the file, with dots
	path  []int
}

func TestEveryFieldHasItsVariable(t *testing.T) {
	values := map[string]string{
		"VAULTPAMD_NAME": "other.example.eu", "VAULTPAMD_SUFFIX": "corp",
		"VAULTPAMD_LISTEN_HTTPS": "127.0.0.1:8443", "VAULTPAMD_LISTEN_SSH": "[::1]:22",
		"VAULTPAMD_PUBLIC_HTTPS": "other.example.eu:8443", "VAULTPAMD_PUBLIC_SSH": "10.0.0.1:22",
		"VAULTPAMD_LOG_LEVEL": "debug", "VAULTPAMD_ATTESTATION_ROOTS": "/o/makers.pem", "VAULTPAMD_CHECK_TARGETS": "off",
		"VAULTPAMD_TLS_MODE": "self-signed", "VAULTPAMD_TLS_CERT": "/o/cert.pem", "VAULTPAMD_TLS_KEY": "/o/key.pem",
		"VAULTPAMD_TLS_DIRECTORY": "https://acme.example.eu/directory", "VAULTPAMD_TLS_DIRECTORY_CA": "/o/ca.pem",
		"VAULTPAMD_TLS_EMAIL": "ada@example.eu", "VAULTPAMD_TLS_ACCEPT_TERMS": "true",
		"VAULTPAMD_RECOVER_PAUSE":     "48h",
		"VAULTPAMD_NOTICES_SMTP_HOST": "mail.example.eu", "VAULTPAMD_NOTICES_SMTP_PORT": "2525", "VAULTPAMD_NOTICES_SMTP_TLS": "implicit",
		"VAULTPAMD_NOTICES_SMTP_FROM": "vaultpam@example.eu", "VAULTPAMD_NOTICES_SMTP_USERNAME": "vaultpam",
		"VAULTPAMD_NOTICES_SMTP_PASSWORD_FILE": "/o/password", "VAULTPAMD_NOTICES_SMTP_CA": "/o/mail.pem",
		"VAULTPAMD_NOTICES_WEBHOOK_URL": "https://hook.example.eu/in", "VAULTPAMD_NOTICES_WEBHOOK_SECRET_FILE": "/o/secret",
		"VAULTPAMD_NOTICES_WEBHOOK_CA": "/o/hook.pem",
		"VAULTPAMD_SSO_NAME":           "Example Login", "VAULTPAMD_SSO_ISSUER": "https://login.example.eu", "VAULTPAMD_SSO_CLIENT_ID": "pam",
		"VAULTPAMD_SSO_CLIENT_SECRET_FILE": "/o/secret", "VAULTPAMD_SSO_HANDLE_CLAIM": "email", "VAULTPAMD_SSO_GROUPS_CLAIM": "groups",
	}
	// So that every value is another than the one that stands here.
	text := goodConfig + "tls: {mode: file, cert: /c.pem, key: /k.pem}\nsso: {client_id: vaultpam}\n" +
		"notices: {smtp: {host: localhost, port: 25, from: a@b, username: a, password_file: /p, ca: /m.pem}, webhook: {url: 'https://b', secret_file: /s, ca: /w.pem}}\n"
	all := variables(reflect.TypeFor[server.Config](), nil, "")
	if len(all) != len(values) {
		t.Errorf("%d fields and %d values: a field has no tag, or this test no value", len(all), len(values))
	}
	for name, v := range all {
		value, ok := values[name]
		if !ok {
			t.Errorf("%s has the variable %q", v.field, name)
			continue
		}
		c, err := server.ParseConfig([]byte(text), func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(reflect.ValueOf(c).FieldByIndex(v.path).Interface()); got != value {
			t.Errorf("%s is %q with %s=%s", v.field, got, name, value)
		}
		if _, err := server.ParseConfig([]byte(text), func(asked string) string {
			if asked == name {
				return "\x00 bad"
			}
			return ""
		}); err == nil || !strings.HasPrefix(err.Error(), v.field+": ") {
			t.Errorf("a bad %s: %v", name, err)
		}
	}
}

func TestReadConfig(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "vaultpam.yaml")
	if _, err := server.ReadConfig(path, noEnv); err == nil || !strings.Contains(err.Error(), "reading the configuration: ") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte(goodConfig+"x: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.ReadConfig(path, noEnv); err == nil || !strings.HasPrefix(err.Error(), path+": line 9: ") {
		t.Errorf("an unknown setting: %v", err)
	}
	// What is cut off might be a setting.
	long := goodConfig + strings.Repeat("# long\n", 1<<18) + "log: {level: nonsense}\n"
	if err := os.WriteFile(path, []byte(long), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.ReadConfig(path, noEnv); err == nil || !strings.Contains(err.Error(), "larger than a configuration may be") {
		t.Errorf("a file too large: %v", err)
	}
}

func TestS40ChangedNameIsRefused(t *testing.T) {
	s := newSite(t)
	s.env.Getenv = func(name string) string {
		if name == "VAULTPAMD_NAME" {
			return "other.example.eu"
		}
		return ""
	}
	const want = "the configuration names the server other.example.eu, the ledger " + siteName + ": the name is permanent"
	if why := s.opens(); why != want {
		t.Errorf("by the environment: %q", why)
	}
	s.env.Getenv = nil
	s.place(s.dir.Config(), []byte(strings.Replace(string(s.read(s.dir.Config())), "name: "+siteName, "name: other.example.eu", 1)), 0o600)
	if why := s.opens(); why != want {
		t.Errorf("by the file: %q", why)
	}
}

func TestInitWritesWhatIsReadBack(t *testing.T) {
	s := newSite(t)
	c, err := server.ReadConfig(s.dir.Config(), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(initRequest(s.dir).Config, c); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, text := range []string{
		goodConfig, goodConfig + "tls: {mode: file, cert: /c, key: /k}\n", goodConfig + "tls: {mode: acme, accept_terms: true, directory: 'https://a/d', email: a@b}\n", "", "name: a", goodConfig + "log: {level: debug}\n", goodConfig + "---\n", "a: &a [*a]", "{name: 1e3}",
		"name: 0x1f\npublic: {https: 'a:1', ssh: '[::1]:2'}", "name: 'null'\nsuffix: 'true'\npublic: {https: 'a:1', ssh: 'b:2'}",
		"name: 2001-01-01.x\nsuffix: '1e3'\npublic: {https: 'a:1', ssh: 'b:2'}", "%YAML 1.1\n---\nname: x",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := server.ParseConfig(data, noEnv)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("a message of several lines: %q", err)
			}
			return
		}
		text, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := server.ParseConfig(text, noEnv)
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v was written as %s and read as %+v: %v", c, text, again, err)
		}
	})
}
