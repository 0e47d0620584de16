package relay_test

import (
	"crypto/rand"
	"crypto/sha256"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFileTransfer(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	data := make([]byte, 8<<20)
	rand.Read(data)
	dir := t.TempDir()
	local, remote, back := filepath.Join(dir, "local"), filepath.Join(dir, "remote"), filepath.Join(dir, "back")
	if err := os.WriteFile(local, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-q"},                                // sftp
		{"-q", "-O"},                          // the old protocol
		{"-q", "-o", "RekeyLimit=256k"},       // keys change all the time
		{"-q", "-O", "-o", "RekeyLimit=256k"}, //
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			for _, pair := range [][2]string{{local, "db1.pam:" + remote}, {"db1.pam:" + remote, back}} {
				if got := run(t, carol.command("scp", append(slices.Clone(args), pair[0], pair[1])...), ""); got.code != 0 {
					t.Fatalf("scp: %+v", got)
				}
			}
			for _, path := range []string{remote, back} {
				got, err := os.ReadFile(path)
				if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
					t.Errorf("%s is not what was sent (%v)", path, err)
				}
				os.Remove(path)
			}
		})
	}
	got := carol.ssh(string(data), "-o", "RekeyLimit=256k", "db1.pam", "cat")
	if sha256.Sum256([]byte(got.stdout)) != sha256.Sum256(data) || got.code != 0 {
		t.Errorf("cat did not return what was sent: %d bytes, status %d", len(got.stdout), got.code)
	}
}
