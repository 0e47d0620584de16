package store_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultpam/vaultpam/store"
)

func purposes(t testing.TB, text string) store.Purposes {
	t.Helper()
	ps, err := store.ParsePurposes(text)
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

func TestPurposesText(t *testing.T) {
	tests := []struct {
		text string
		want string // canonical; "!" and a part of the refusal
	}{
		{"shell", "shell"},
		{"direct;agent-forward ;no-tty; shell", "shell; no-tty; agent-forward; direct"},
		{"exec", "exec"},
		{"exec=rsync *", "exec=rsync *"},
		{"exec= uptime;exec=rsync  --server   * ", "exec=rsync --server *; exec=uptime"},
		{"exec=uptime; exec=uptime", "exec=uptime"},
		{"exec=borg serve --umask=077", "exec=borg serve --umask=077"},
		{"sftp", "sftp"}, // a guardrail's
		{"sftp=read-only", "sftp=read-only"},
		{"local-forward=10.0.0.5:5432", "local-forward=10.0.0.5:5432"},
		{"local-forward=10.0.0.5/32:5432-5432", "local-forward=10.0.0.5:5432"},
		{"local-forward=DB1.Internal:1-65535", "local-forward=db1.internal:*"},
		{"local-forward=*.db.internal:5432-5439", "local-forward=*.db.internal:5432-5439"},
		{"local-forward=[2001:DB8:0::5]:22", "local-forward=[2001:db8::5]:22"},
		{"local-forward=[2001:db8::/32]:*", "local-forward=[2001:db8::/32]:*"},
		{"local-forward=unix:/run/app.sock; local-forward=unix:*", "local-forward=unix:*; local-forward=unix:/run/app.sock"},
		{"remote-forward=localhost:8080;local-forward=*:*", "local-forward=*:*; remote-forward=localhost:8080"},

		{"", "!purpose"},
		{"shell;", "!purpose"},
		{"Shell", "!purpose"},
		{"x11", "!purpose"},
		{"shell=bash", "!takes no limit"},
		{"no-tty=", "!takes no limit"},
		{"exec; exec=uptime", "!both with a limit and without"},
		{"exec=uptime; exec", "!both with a limit and without"},
		{"exec=", "!is empty"},
		{"exec=*", "!stands alone as the last word"},
		{"exec=* rsync", "!stands alone as the last word"},
		{"exec=rsync*", "!stands alone as the last word"},
		{"exec=rsync * x", "!stands alone as the last word"},
		{"exec=rsync * *", "!stands alone as the last word"},
		{"exec=ls $HOME", "!the command holds $"},
		{"exec=A=b ls", "!an assignment"},
		{"exec==ls", "!an assignment"},
		{"exec=-c", "!is no program"},
		{"exec=" + strings.Repeat("a", 257), "!257 bytes"},
		{"sftp=all", "!there is no limit of paths"},
		{"sftp=/srv", "!there is no limit of paths"},
		{"sftp=read-only; sftp=read-write", "!want one limit"},
		{"local-forward=10.0.0.5", "!want HOST:PORT"},
		{"local-forward=:22", "!want HOST:PORT"},
		{"local-forward=2001:db8::5:22", "!want HOST:PORT"},
		{"local-forward=[10.0.0.5]:22", "!brackets are for IPv6"},
		{"local-forward=10.0.0.5/24:22", "!want 10.0.0.0/24"},
		{"local-forward=10.0.0.0/33:22", "!want ADDRESS/BITS"},
		{"local-forward=[::ffff:10.0.0.0/104]:22", "!want ADDRESS/BITS"},
		{"local-forward=[::ffff:10.0.0.5]:22", "!IPv4 as such"},
		{"local-forward=[fe80::1%eth0]:22", "!without a zone"},
		{"local-forward=10.0.0.5:0", "!port"}, {"local-forward=10.0.0.5:65536", "!port"},
		{"local-forward=10.0.0.5:022", "!port"}, {"local-forward=10.0.0.5:ssh", "!port"},
		{"local-forward=10.0.0.5:9-8", "!port"}, {"local-forward=10.0.0.5:", "!port"},
		{"local-forward=127.1:22", "!host"}, {"local-forward=0x7f000001:22", "!host"}, {"local-forward=2130706433:22", "!host"},
		{"local-forward=*:22:33", "!want HOST:PORT"},
		{"local-forward=a.*.b:22", "!host"}, {"local-forward=*db:22", "!host"}, {"local-forward=*.:22", "!host"},
		{"local-forward=db1.:22", "!host"}, {"local-forward=-x:22", "!host"}, {"local-forward=d\u00f6ner:22", "!host"},
		{"local-forward=*.10:22", "!host"},
		{"local-forward=unix:run/app", "!socket"}, {"local-forward=unix:/run/../etc", "!socket"}, {"local-forward=unix:/a b", "!socket"}, {"local-forward=unix:22", "!socket"},
		{strings.Repeat(" ", 8193), "!8193 bytes"},
	}
	for _, tt := range tests {
		ps, err := store.ParsePurposes(tt.text)
		if part, refused := strings.CutPrefix(tt.want, "!"); refused {
			if err == nil || !strings.Contains(err.Error(), part) || ps != nil {
				t.Errorf("%q: %v, %v; want a refusal with %q", tt.text, ps, err, part)
			}
			continue
		}
		if err != nil || ps.String() != tt.want {
			t.Errorf("%q: %q, %v; want %q", tt.text, ps, err, tt.want)
			continue
		}
		again, err := store.ParsePurposes(ps.String())
		if diff := cmp.Diff(ps, again, toArray, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%q read again: %v\n%s", tt.text, err, diff)
		}
	}
}

// A grant says its limits, a guardrail has none but for sftp.
func TestPurposesOfGrantsAndGuardrails(t *testing.T) {
	tests := []struct {
		text             string
		grant, guardrail string // a part of the refusal; "" where it is accepted
	}{
		{"shell; exec; no-tty; agent-forward; direct", "", ""},
		{"exec=uptime", "", "forbids exec as a whole"},
		{"sftp", "say sftp=read-only or", ""},
		{"sftp=read-only", "", "a guardrail forbids sftp"},
		{"sftp=read-write", "", ""},
		{"local-forward", "say where to", ""},
		{"local-forward=*:*", "", "forbids local-forward as a whole"},
		{"remote-forward", "say what is listened on", ""},
		{"remote-forward=localhost:80", "", "forbids remote-forward as a whole"},
	}
	for _, tt := range tests {
		ps := purposes(t, tt.text)
		for _, c := range []struct {
			what, want string
			err        error
		}{{"grant", tt.grant, ps.CheckGrant()}, {"guardrail", tt.guardrail, ps.CheckGuardrail()}} {
			if (c.err == nil) != (c.want == "") || c.err != nil && !strings.Contains(c.err.Error(), c.want) {
				t.Errorf("%s for %s: %v, want %q", c.what, tt.text, c.err, c.want)
			}
		}
	}
}

// What the checks refuse can't come from the parser, but from an entry.
func TestPurposesCheck(t *testing.T) {
	bad := []store.Purposes{
		nil,
		{{Purpose: "x11"}},
		{{Purpose: store.PurposeExec}, {Purpose: store.PurposeShell}},
		{{Purpose: store.PurposeShell}, {Purpose: store.PurposeShell}},
		{{Purpose: store.PurposeExec, Limits: []string{"b", "a"}}},
		{{Purpose: store.PurposeExec, Limits: []string{"a", "a"}}},
		{{Purpose: store.PurposeExec, Limits: []string{"a  b"}}},
		{{Purpose: store.PurposeLocalForward, Limits: []string{"DB:22"}}},
	}
	for _, ps := range bad {
		if ps.CheckGrant() == nil || ps.CheckGuardrail() == nil {
			t.Errorf("%v is accepted", ps)
		}
	}
	var many []string
	for i := range 65 {
		many = append(many, "a"+strings.Repeat("b", i))
	}
	if _, err := store.NewPurposes(store.Use{Purpose: store.PurposeExec, Limits: many[:64]}); err != nil {
		t.Error(err)
	}
	if _, err := store.NewPurposes(store.Use{Purpose: store.PurposeExec, Limits: many}); err == nil {
		t.Error("65 limits are accepted")
	}
}

func TestPurposesWithout(t *testing.T) {
	tests := []struct{ grant, guardrail, want string }{
		{"shell; exec=uptime; sftp=read-write", "exec", "shell; sftp=read-write"},
		{"shell; sftp=read-write", "sftp=read-write", "shell; sftp=read-only"},
		{"shell; sftp=read-only", "sftp=read-write", "shell; sftp=read-only"},
		{"shell; sftp=read-only", "sftp", "shell"},
		{"local-forward=*:*", "local-forward; remote-forward", ""},
		{"shell", "exec", "shell"},
	}
	for _, tt := range tests {
		if got := purposes(t, tt.grant).Without(purposes(t, tt.guardrail)).String(); got != tt.want {
			t.Errorf("%s without %s: %s, want %s", tt.grant, tt.guardrail, got, tt.want)
		}
	}
}

func TestPresets(t *testing.T) {
	want := map[store.Preset]string{
		store.PresetVSCode:  "exec=bash; exec=sh; no-tty; local-forward=127.0.0.1:*; local-forward=[::1]:*; local-forward=localhost:*",
		store.PresetAnsible: "exec; sftp=read-write",
		store.PresetBackup:  "exec=rsync --server *",
	}
	page, err := os.ReadFile("../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range store.Presets() {
		if row := fmt.Sprintf("| `%s` | `%s` |", p, want[p]); !strings.Contains(string(page), row) {
			t.Errorf("docs/access.md has no row %s", row)
		}
		parsed, err := store.ParsePreset(string(p))
		if err != nil || parsed.Purposes().String() != want[p] {
			t.Errorf("%s: %s, %v; want %s", p, parsed.Purposes(), err, want[p])
		}
		if err := p.Purposes().CheckGrant(); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if p, err := store.ParsePreset("root"); err == nil || p.Purposes() != nil {
		t.Errorf("root became %v", p)
	}
	// What the tools send, as they are documented and as their logs show it.
	for _, tt := range []struct {
		preset  store.Preset
		command string
		ok      bool
	}{
		{store.PresetVSCode, "bash", true},
		{store.PresetVSCode, "sh", true},
		{store.PresetVSCode, "bash -c id", false},
		{store.PresetAnsible, `/bin/sh -c '( umask 77 && mkdir -p "` + "` echo /root/.ansible/tmp `" + `" ) && sleep 0'`, true},
		{store.PresetBackup, "rsync --server --sender -logDtpre.iLsfxCIvu . /srv/data", true},
		{store.PresetBackup, "rsync --server -vlogDtpre.iLsfxCIvu --delete . /backup/", true},
		{store.PresetBackup, "rsync --daemon", false},
		{store.PresetBackup, `rsync --server --sender -logDtpre.iLsfxCIvu . /srv/my\ data`, false},
	} {
		if ok, why := tt.preset.Purposes().AllowsExec(tt.command); ok != tt.ok {
			t.Errorf("%s: %q: %t (%s), want %t", tt.preset, tt.command, ok, why, tt.ok)
		}
	}
	if ok, why := store.PresetVSCode.Purposes().AllowsForward("127.0.0.1", 41583); !ok {
		t.Error(why)
	}
	if ok, _ := store.PresetVSCode.Purposes().AllowsForward("10.0.0.5", 41583); ok {
		t.Error("vscode forwards to another host")
	}
}

func FuzzParsePurposes(f *testing.F) {
	for _, text := range []string{"shell; exec=rsync *; sftp=read-only", "local-forward=[2001:db8::/32]:1-5;remote-forward=localhost:*", "exec;direct"} {
		f.Add(text, "rsync a b", "2001:db8::1", uint32(3))
	}
	f.Fuzz(func(t *testing.T, text, command, host string, port uint32) {
		ps, err := store.ParsePurposes(text)
		if err != nil {
			return
		}
		again, err := store.ParsePurposes(ps.String())
		if diff := cmp.Diff(ps, again, toArray, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("%q became %q: %v\n%s", text, ps, err, diff)
		}
		if ok, _ := ps.AllowsExec(command); ok && strings.Contains(ps.String(), "exec=") && strings.ContainsAny(command, "\n\x00;&|$`\"'\\<>(){}*?[]~#!^\t") {
			t.Fatalf("%q allows %q", ps, command)
		}
		if ok, _ := ps.AllowsForward(host, port); ok && (port == 0 || port > 65535) {
			t.Fatalf("%q allows port %d", ps, port)
		}
		nothing := ps.Without(ps)
		if ps.CheckGuardrail() == nil && nothing.Has(store.PurposeExec) {
			t.Fatalf("%q without itself is %q", ps, nothing)
		}
	})
}
