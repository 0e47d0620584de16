package store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestAllowsExec(t *testing.T) {
	const grant = "exec=rsync --server *; exec=uptime; exec=/usr/bin/pg_dump -Fc app"
	tests := []struct {
		command string
		why     string // a part of the refusal; "" where it may run
	}{
		{"uptime", ""},
		{"  uptime  ", ""},
		{"rsync --server", ""},
		{"rsync --server --sender -logDtpre.iLsfxCIvu . /srv", ""},
		{"rsync   --server  x", ""},
		{"/usr/bin/pg_dump -Fc app", ""},

		{"", "is empty"},
		{" ", "is empty"},
		{"uptime -p", "none of those"},
		{"/usr/bin/uptime", "none of those"},
		{"Uptime", "none of those"},
		{"rsync", "none of those"},
		{"rsync --serverx", "none of those"},
		{"rsync --daemon", "none of those"},
		{"pg_dump -Fc app", "none of those"},
		{"/usr/bin/pg_dump -Fc app2", "none of those"},

		{"uptime;id", "holds ;"}, {"uptime&id", "holds &"}, {"uptime|id", "holds |"},
		{"uptime\nid", "a line's end"}, {"uptime\r\nid", "a line's end"}, {"uptime\x00id", "control character"},
		{"rsync --server $HOME", "holds $"}, {"rsync --server `id`", "holds `"}, {"rsync --server (id)", "holds ("},
		{"rsync --server {a,b}", "holds {"}, {"rsync --server >x", "holds >"}, {"rsync --server <x", "holds <"},
		{"rsync --server *", "holds *"}, {"rsync --server ?", "holds ?"}, {"rsync --server [a]", "holds ["}, {"rsync --server a^b", "holds ^"},
		{"rsync --server ~root", "holds ~"}, {"! uptime", "holds !"}, {"uptime #x", "holds #"},
		{`rsync --server "a"`, `holds "`}, {"rsync --server 'a'", "holds '"}, {`rsync --server a\ b`, `holds \`},
		{"rsync\t--server", "control character"}, {"rsync --server\x7f", "control character"},
		{"rsync\u00a0--server", "beyond ASCII"}, {"rsync --server \u2028", "beyond ASCII"}, {"rsync --server \xff", "beyond ASCII"},
		{"LD_PRELOAD=/tmp/x.so uptime", "assignment"}, {"uptime= x", "assignment"},
		{"=uptime", "assignment"}, {"rsync --server =ls", "assignment"},
		{"-c uptime", "is no program"}, {"%1", "is no program"},
		{"uptime " + strings.Repeat("a", 8192), "bytes"},
	}
	ps := purposes(t, grant)
	for _, tt := range tests {
		ok, why := ps.AllowsExec(tt.command)
		if ok != (tt.why == "") || !strings.Contains(why, tt.why) {
			t.Errorf("%q: %t, %q; want %q", tt.command, ok, why, tt.why)
		}
		if strings.ContainsFunc(why, func(r rune) bool { return r < ' ' || r > '~' && r != '…' }) {
			t.Errorf("%q: the refusal %q holds what a terminal acts on", tt.command, why)
		}
	}
	if ok, why := purposes(t, "exec").AllowsExec("id; reboot\n"); !ok {
		t.Errorf("without patterns: %s", why)
	}
	if ok, why := purposes(t, "shell").AllowsExec("uptime"); ok || !strings.Contains(why, "exec") {
		t.Errorf("without exec: %t, %s", ok, why)
	}
}

// What counts as plain words is, to real shells, exactly those words: whatever
// follows a permitted program reaches that program and nothing else.
func TestPlainWordsAreWordsToShells(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "args")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nfor a in \"$@\"; do printf '%s\\n' \"$a\"; done\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ps := purposes(t, "exec="+program+" *")
	signs := "abzAZ09_-./:,+@%= " + ";&|$`(){}<>*?[]^~!#\"'\\\t\n\u00a0"
	letters := rapid.SliceOfN(rapid.SampledFrom([]rune(signs)), 0, 12)
	accepted := 0
	try := func(arguments string) {
		command := program + " " + arguments
		if ok, _ := ps.AllowsExec(command); !ok {
			return
		}
		accepted++
		var want string
		for _, w := range strings.Fields(arguments) {
			want += w + "\n"
		}
		for _, shell := range [][]string{{"sh"}, {"bash"}, {"busybox", "sh"}} {
			cmd := exec.CommandContext(t.Context(), shell[0], append(shell[1:], "-c", command)...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
				t.Fatalf("%s reads %q as %q, %v; want %q", shell, command, out, err, want)
			}
		}
	}
	for _, a := range []string{"a=b", "--x=y=z", "-e", "%1", "a,b", "./.", "..", "+x", "@", ":", "-", "--", "a  b", "if", "do", "=", "%=%", "/*"} {
		try(a)
	}
	check(t, 100, 5_000, func(t *rapid.T) { try(string(letters.Draw(t, "arguments"))) })
	if accepted < 10 {
		t.Errorf("only %d commands were tried", accepted)
	}
}

func TestAllowsForward(t *testing.T) {
	tests := []struct {
		limit string
		host  string
		port  uint32
		ok    bool
	}{
		{"10.0.0.5:5432", "10.0.0.5", 5432, true},
		{"10.0.0.5:5432", "10.0.0.5", 5433, false},
		{"10.0.0.5:5432", "10.0.0.6", 5432, false},
		{"10.0.0.5:5432", "::ffff:10.0.0.5", 5432, true},
		{"10.0.0.5:5432", "010.0.0.5", 5432, false},
		{"10.0.0.5:5432", "10.5", 5432, false},
		{"10.0.0.5:5432", "0xa000005", 5432, false},
		{"10.0.0.5:5432", "167772165", 5432, false},
		{"10.0.0.5:5432", "10.0.0.5.", 5432, false},
		{"10.0.0.0/24:*", "10.0.0.255", 1, true},
		{"10.0.0.0/24:*", "10.0.1.0", 1, false},
		{"10.0.0.0/24:*", "::ffff:10.0.0.7", 65535, true},
		{"0.0.0.0/0:*", "db1.internal", 22, false}, // a name fits no network
		{"0.0.0.0/0:*", "::1", 22, false},
		{"[::/0]:*", "10.0.0.5", 22, false},
		{"[2001:db8::/32]:443", "2001:DB8:0:0::1", 443, true},
		{"[2001:db8::5]:443", "2001:db8::5", 443, true},
		{"[fe80::/10]:*", "fe80::1%eth0", 22, false},
		{"db1.internal:5432", "DB1.internal", 5432, true},
		{"db1.internal:5432", "db1.internal.", 5432, true},
		{"db1.internal:5432", "db1.internal..", 5432, false},
		{"db1.internal:5432", "xdb1.internal", 5432, false},
		{"db1.internal:5432", "10.0.0.5", 5432, false},
		{"db1.internal:5432", "db1.\u212anternal", 5432, false},
		{"*.db.internal:5432", "a.db.internal", 5432, true},
		{"*.db.internal:5432", "a.b.db.internal", 5432, true},
		{"*.db.internal:5432", "db.internal", 5432, false},
		{"*.db.internal:5432", ".db.internal", 5432, false},
		{"*.db.internal:5432", "adb.internal", 5432, false},
		{"*:443", "anything.example", 443, true},
		{"*:443", "192.0.2.1", 443, true},
		{"*:443", "192.0.2.1", 80, false},
		{"*:*", "a b", 80, false}, {"*:*", "", 80, false}, {"*:*", "a\x00", 80, false}, {"*:*", "127.1", 80, false}, {"*:*", "[::1]", 80, false},
		{"*:*", "fe80::1%eth0", 80, false},
		{"*:*", "a", 0, false}, {"*:*", "a", 65536, false}, {"*:*", "a", 1<<32 - 1, false},
		{"localhost:80", "127.0.0.1", 80, false}, // a name is no address here
		{"localhost:80", "localhost", 80, true},
		{"db1.internal:5432-5439", "db1.internal", 5439, true},
		{"db1.internal:5432-5439", "db1.internal", 5440, false},
		{"unix:*", "localhost", 80, false},
	}
	for _, tt := range tests {
		ok, why := purposes(t, "local-forward="+tt.limit).AllowsForward(tt.host, tt.port)
		if ok != tt.ok || ok != (why == "") {
			t.Errorf("%s: %q port %d: %t, %q; want %t", tt.limit, tt.host, tt.port, ok, why, tt.ok)
		}
	}
	ps := purposes(t, "local-forward=10.0.0.9:1; local-forward=*.example:22; remote-forward=*:*")
	if ok, why := ps.AllowsForward("a.example", 22); !ok {
		t.Error(why)
	}
	for _, none := range []string{"shell", "remote-forward=*:*", "local-forward"} {
		if ok, why := purposes(t, none).AllowsForward("a.example", 22); ok || why == "" {
			t.Errorf("%s allows forwarding: %q", none, why)
		}
	}
}

func TestAllowsListen(t *testing.T) {
	tests := []struct {
		limit   string
		address string
		port    uint32
		ok      bool
	}{
		{"localhost:8080", "localhost", 8080, true},
		{"localhost:8080", "127.0.0.1", 8080, true},
		{"localhost:8080", "::1", 8080, true},
		{"localhost:8080", "127.0.0.2", 8080, false},
		{"localhost:8080", "localhost", 0, false},
		{"localhost:*", "localhost", 0, true},
		{"localhost:*", "", 80, false},
		{"localhost:*", "*", 80, false},
		{"localhost:*", "0.0.0.0", 80, false},
		{"localhost:*", "::", 80, false},
		{"127.0.0.1:8080", "localhost", 8080, false}, // would be heard on ::1 too
		{"127.0.0.1:8080", "127.0.0.1", 8080, true},
		{"0.0.0.0/0:*", "0.0.0.0", 80, false},
		{"0.0.0.0/0:*", "::ffff:0.0.0.0", 80, false},
		{"0.0.0.0/0:*", "192.0.2.1", 80, true},
		{"*:*", "", 80, true},
		{"*:*", "*", 0, true},
		{"*:80", "0.0.0.0", 80, true},
		{"*:80", "0.0.0.0", 81, false},
		{"*:80", "0.0.0.0", 0, false},
		{"*.example:80", "*", 80, false},
		{"*:*", "a b", 80, false},
		{"*:*", "", 65536, false},
		{"unix:*", "", 80, false},
	}
	for _, tt := range tests {
		ok, why := purposes(t, "remote-forward="+tt.limit).AllowsListen(tt.address, tt.port)
		if ok != tt.ok || ok != (why == "") {
			t.Errorf("%s: %q port %d: %t, %q; want %t", tt.limit, tt.address, tt.port, ok, why, tt.ok)
		}
	}
}

func TestAllowsSocket(t *testing.T) {
	tests := []struct {
		limit, path string
		ok          bool
	}{
		{"unix:/run/app.sock", "/run/app.sock", true},
		{"unix:/run/app.sock", "/run/./app.sock", false},
		{"unix:/run/app.sock", "/run//app.sock", false},
		{"unix:/run/app.sock", "/run/app.sock2", false},
		{"unix:*", "/tmp/code-1.sock", true},
		{"unix:*", "tmp/code-1.sock", false},
		{"unix:*", "/tmp/../run/docker.sock", false},
		{"unix:*", "", false},
		{"*:*", "/run/app.sock", false},
	}
	for _, tt := range tests {
		ps := purposes(t, "local-forward="+tt.limit+"; remote-forward="+tt.limit)
		if ok, why := ps.AllowsSocket(tt.path); ok != tt.ok || ok != (why == "") {
			t.Errorf("%s: %q: %t, %q; want %t", tt.limit, tt.path, ok, why, tt.ok)
		}
		if ok, _ := ps.AllowsListenSocket(tt.path); ok != tt.ok {
			t.Errorf("%s: listening on %q: %t, want %t", tt.limit, tt.path, ok, tt.ok)
		}
	}
}

func BenchmarkAllowsExec(b *testing.B) {
	ps := purposes(b, "exec=rsync --server *; exec=uptime; exec=borg serve *")
	for b.Loop() {
		ps.AllowsExec("rsync --server --sender -logDtpre.iLsfxCIvu . /srv/data")
	}
}

func BenchmarkAllowsForward(b *testing.B) {
	ps := purposes(b, "local-forward=10.0.0.0/24:*; local-forward=*.db.internal:5432; local-forward=[2001:db8::/32]:443")
	for b.Loop() {
		ps.AllowsForward("a.db.internal", 5432)
	}
}
