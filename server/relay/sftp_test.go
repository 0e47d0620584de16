package relay_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/relay"
)

// packet is one of sftp (draft-ietf-secsh-filexfer-02, section 3).
func packet(kind byte, id uint32, fields ...any) []byte {
	body := append(binary.BigEndian.AppendUint32([]byte{kind}, id), marshal(fields...)...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// TestS22ReadOnlySFTP judges every kind of packet: what is not known to read is
// refused.
func TestS22ReadOnlySFTP(t *testing.T) {
	passes := map[string]bool{}
	judge := func(name string, p []byte, want bool) {
		t.Helper()
		var g relay.SFTPGuard
		hello := packet(1, 3)
		pass, refused, err := g.Take(append(bytes.Clone(hello), p...))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		passed := bytes.Equal(pass, append(bytes.Clone(hello), p...)) && len(refused) == 0
		dropped := bytes.Equal(pass, hello) && len(refused) == 1
		if passes[name] = passed; passed != want || dropped == want {
			t.Errorf("%s: %d bytes passed on, %d refused; want it to pass: %t", name, len(pass), len(refused), want)
		}
	}
	reads := map[byte]bool{4: true, 5: true, 7: true, 8: true, 11: true, 12: true, 16: true, 17: true, 19: true}
	for kind := range 256 {
		if kind != 1 && kind != 3 && kind != 200 {
			judge(string(rune('A'+kind)), packet(byte(kind), 7, "/etc/passwd", uint32(0)), reads[byte(kind)])
		}
	}
	for flags := range uint32(256) {
		judge("open", packet(3, 7, "/f", flags, uint32(0)), flags <= 1)
	}
	judge("open without flags", packet(3, 7, "/f"), false)
	judge("open of a name that is cut", packet(3, 7, uint32(1000)), false)
	for name, want := range map[string]bool{
		"statvfs@openssh.com": true, "fstatvfs@openssh.com": true, "limits@openssh.com": true, "expand-path@openssh.com": true,
		"home-directory": true, "users-groups-by-id@openssh.com": true,
		"posix-rename@openssh.com": false, "hardlink@openssh.com": false, "copy-data": false, "lsetstat@openssh.com": false,
		"fsync@openssh.com": false, "version-select": false, "copy-file": false, "": false, "statvfs@openssh.com\x00": false,
	} {
		judge("extended "+name, packet(200, 7, name, "/a", "/b"), want)
	}
}

// TestS22SFTPVersion: later versions would read the same bytes otherwise.
func TestS22SFTPVersion(t *testing.T) {
	var g relay.SFTPGuard
	pass, _, err := g.Take(packet(1, 6))
	if err != nil || !bytes.Equal(pass, packet(1, 3)) {
		t.Errorf("%x, %v", pass, err)
	}
	for name, p := range map[string][]byte{
		"a second beginning":    packet(1, 3),
		"no length":             {0, 0, 0, 0},
		"longer than a packet":  {0xff, 0xff, 0xff, 0xff},
		"shorter than a packet": {0, 0, 0, 4, 5, 0, 0, 0},
	} {
		if pass, _, err := g.Take(p); err == nil || len(pass) > 0 {
			t.Errorf("%s: %x, %v", name, pass, err)
		}
	}
	var first relay.SFTPGuard
	if pass, _, err := first.Take(packet(5, 1, "h")); err == nil || len(pass) > 0 {
		t.Errorf("a stream without a beginning: %x, %v", pass, err)
	}
	var old relay.SFTPGuard
	if pass, _, err := old.Take(packet(1, 2)); err == nil || len(pass) > 0 {
		t.Errorf("an older version: %x, %v", pass, err)
	}
}

// FuzzSFTPGuard holds the guard to passing on the same however the stream is cut,
// to nothing that writes, and answers to the ends of the target's packets.
func FuzzSFTPGuard(f *testing.F) {
	hello := packet(1, 3)
	f.Add(append(bytes.Clone(hello), packet(6, 1, "h", uint32(0), uint32(0), "data")...), uint8(3))
	f.Add(append(bytes.Clone(hello), packet(3, 1, "/f", uint32(1), uint32(0))...), uint8(1))
	f.Add(append(bytes.Clone(hello), packet(200, 1, "posix-rename@openssh.com", "a", "b")...), uint8(7))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint8) {
		var whole, parts relay.SFTPGuard
		want, refused, wantErr := whole.Take(stream)
		var got []byte
		var err error
		n := 0
		for rest := stream; len(rest) > 0 && err == nil; {
			part := rest[:min(len(rest), int(cut)+1)]
			rest = rest[len(part):]
			pass, no, e := parts.Take(bytes.Clone(part))
			got, n, err = append(got, pass...), n+len(no), e
		}
		if !bytes.Equal(got, want) || n != len(refused) || (err == nil) != (wantErr == nil) {
			t.Fatalf("whole %x, %d, %v; in parts %x, %d, %v", want, len(refused), wantErr, got, n, err)
		}
		// What passed is judged alike again: it is whole packets, and all of them read.
		var again relay.SFTPGuard
		if pass, no, err := again.Take(bytes.Clone(got)); err != nil || len(no) > 0 || !bytes.Equal(pass, got) {
			t.Fatalf("what passed on is judged otherwise: %x, %d, %v", pass, len(no), err)
		}
		checkWeave(t, stream, int(cut)+1)
	})
}

// checkWeave sends a stream of the target's and an answer after each part of it.
func checkWeave(t *testing.T, stream []byte, size int) {
	t.Helper()
	var g relay.SFTPGuard
	answer := packet(101, 9, uint32(3), "no", "")
	var out []byte
	for rest := stream; len(rest) > 0; {
		part := rest[:min(len(rest), size)]
		rest = rest[len(part):]
		out = append(out, g.Weave(bytes.Clone(part))...)
		now, ok := g.Answer(answer)
		if !ok {
			return
		}
		out = append(out, now...)
	}
	if plain := bytes.ReplaceAll(out, answer, nil); !bytes.Equal(plain, bytes.ReplaceAll(stream, answer, nil)) {
		t.Fatalf("the target's bytes are not whole: %x, want %x", plain, stream)
	}
}

// TestSFTPWithinItsLimit uses the system's sftp and scp against a real sshd, under a
// grant that reads, one that writes, and one that does neither.
func TestSFTPWithinItsLimit(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	dir := t.TempDir()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	mine, theirs := filepath.Join(dir, "mine"), filepath.Join(dir, "theirs")
	for _, path := range []string{mine, theirs} {
		if err := os.WriteFile(path, big, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	there := func(name string) string {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "absent"
		}
		if bytes.Equal(data, big) {
			return "whole"
		}
		return "other"
	}
	const why = "vaultpam: refused: sftp may only read here (sftp=read-only)"
	for _, c := range []struct {
		grant, program string
		args           []string
		batch          string
		lands, want    string // a file, and what it is afterwards
		said           string
	}{
		{"sftp=read-only", "sftp", nil, "get " + theirs + " " + dir + "/a", "a", "whole", ""},
		{"sftp=read-only", "sftp", nil, "put " + mine + " " + dir + "/b", "b", "absent", why},
		{"sftp=read-only", "sftp", nil, "rm " + theirs, "theirs", "whole", why},
		{"sftp=read-only", "sftp", nil, "rename " + theirs + " " + dir + "/c", "c", "absent", why},
		{"sftp=read-only", "sftp", nil, "ln -s " + theirs + " " + dir + "/d", "d", "absent", why},
		{"sftp=read-only", "scp", []string{"db1.pam:" + theirs, dir + "/e"}, "", "e", "whole", ""},
		{"sftp=read-only", "scp", []string{mine, "db1.pam:" + dir + "/f"}, "", "f", "absent", why},
		{"sftp=read-only", "scp", []string{"-O", mine, "db1.pam:" + dir + "/g"}, "", "g", "absent", "no grant allows commands here (exec)"},
		{"sftp=read-write", "sftp", nil, "put " + mine + " " + dir + "/h", "h", "whole", ""},
		{"sftp=read-write", "scp", []string{mine, "db1.pam:" + dir + "/i"}, "", "i", "whole", ""},
		{"exec", "scp", []string{"-O", mine, "db1.pam:" + dir + "/j"}, "", "j", "whole", ""},
		{"exec", "scp", []string{mine, "db1.pam:" + dir + "/k"}, "", "k", "absent", "no grant allows sftp here (sftp)"},
	} {
		t.Run(c.grant+" "+c.program+" "+c.lands, func(t *testing.T) {
			w.gate.allow(t, c.grant)
			args := c.args
			if c.program == "sftp" {
				args = []string{"-b", "-", "db1.pam"}
			}
			got := run(t, carol.command(c.program, args...), c.batch+"\n")
			if there(c.lands) != c.want {
				t.Errorf("%s is %s, want %s; %s said: %s", c.lands, there(c.lands), c.want, c.program, got.stderr)
			}
			if (c.said == "") != (got.code == 0) || strings.Count(got.stderr, c.said) != 1 && c.said != "" {
				t.Errorf("it ended with %d and said:\n%s", got.code, got.stderr)
			}
		})
	}
	ended := len(w.gate.awaitEnded(t, 12))
	var log string
	for n := range ended {
		log += w.recorded(n)["session.jsonl"]
	}
	for _, want := range []string{
		`"sftp.refused","detail":"open for writing ` + dir + `/b"`, `"sftp.refused","detail":"remove ` + theirs, `extended request posix-rename@openssh.com`, `symlink `,
		`"program.refused","detail":"exec scp -t `, `"program.refused","detail":"subsystem sftp: refused: no grant allows sftp`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the recording does not hold %q", want)
		}
	}
	if diff := cmp.Diff("whole", there("theirs")); diff != "" {
		t.Error(diff)
	}
}
