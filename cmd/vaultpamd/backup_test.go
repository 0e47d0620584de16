package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
)

// ageKey makes an age identity and returns its file and its recipient.
func ageKey(t *testing.T) (file, recipient string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "age.key")
	if err := os.WriteFile(file, []byte("# made for a test\n"+id.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, id.Recipient().String()
}

func TestBackupUsage(t *testing.T) {
	_, recipient := ageKey(t)
	file, _ := ageKey(t)
	secret, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	identity := strings.Split(string(secret), "\n")[1]
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"backup"}, "backup needs --to"},
		{[]string{"backup", "--to", "x"}, "a backup is always encrypted"},
		{[]string{"backup", "--to", "x", "--recipient", "carol"}, "want an age recipient"},
		{[]string{"backup", "--to", "x", "--recipient", identity}, "want an age recipient"},
		{[]string{"backup", "--to", "x", "--keys"}, "a backup is always encrypted"},
		{[]string{"backup", "--to", "x", "--passphrase"}, "--passphrase is for --keys"},
		{[]string{"backup", "--to", "x", "--keys", "--recordings", "--passphrase"}, "--keys is for the keys alone"},
		{[]string{"backup", "--to", "x", "--keys", "--passphrase", "--recipient", recipient}, "either --recipient or --passphrase"},
		{[]string{"backup", "word"}, `"word" is one word too many`},
		{[]string{"restore"}, "restore needs --from"},
		{[]string{"restore", "--from", "x"}, "restore needs --from"},
		{[]string{"fsck", "word"}, `"word" is one word too many`},
	} {
		r := run(t, append(c.args, "--dir", t.TempDir())...)
		if r.code != exitUsage || r.out != "" || !strings.Contains(r.stderr, c.want) || strings.Contains(r.stderr, identity) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

// only fails unless a folder holds this and nothing else.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("%s holds %q, want %q", dir, got, want)
	}
}

func TestBackupAndRestoreCommands(t *testing.T) {
	dir, _ := begun(t)
	identity, recipient := ageKey(t)
	safe := t.TempDir()
	ledger, keys := filepath.Join(safe, "ledger.age"), filepath.Join(safe, "keys.age")
	stop := serving(t, dir)
	r := run(t, "backup", "--dir", dir, "--to", ledger, "--recipient", recipient)
	if r.code != exitDone || r.stderr != "" || r.out != ledger+": 4 entries of pam.example.eu; the keys are not in it\n" {
		t.Fatalf("%+v", r)
	}
	r = run(t, "backup", "--dir", dir, "--to", "-", "--recipient", recipient, "--recordings")
	if r.code != exitDone || !strings.HasPrefix(r.out, "age-encryption.org/v1\n") || !strings.Contains(r.stderr, "4 entries") || !strings.HasSuffix(r.stderr, "0 recordings\n") {
		t.Fatalf("%d, %s", r.code, r.stderr)
	}
	streamed := r.out
	r = run(t, "backup", "--dir", dir, "--keys", "--to", keys, "--recipient", recipient)
	if r.code != exitDone || !strings.Contains(r.out, "the keys of pam.example.eu; keep it apart") {
		t.Fatalf("%+v", r)
	}
	for _, path := range []string{ledger, keys} {
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	if r := run(t, "fsck", "--dir", dir); r.code != exitHeld || !strings.Contains(r.stderr, "is held by vaultpamd with process ID") {
		t.Errorf("fsck while it runs: %+v", r)
	}
	stop()
	// Where no server runs, the directory is opened; what was there is replaced.
	if r := run(t, "backup", "--dir", dir, "--to", ledger, "--recipient", recipient); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	only(t, safe, "keys.age", "ledger.age")

	next := filepath.Join(t.TempDir(), "next")
	restore := []string{"restore", "--dir", next, "--identity", identity, "--keys", keys, "--from"}
	r = run(t, append(restore, ledger)...)
	if r.code != exitRollback || r.out != "" || !strings.Contains(r.stderr, "nothing shows that no entry came after it") || !strings.HasSuffix(r.stderr, "hint: vaultpamd restore --help\n") {
		t.Errorf("without a checkpoint: %+v", r)
	}
	only(t, next)
	r = command(t.Context(), nil, streamed, append(restore, "-", "--accept-rollback")...)
	if r.code != exitDone || !strings.Contains(r.out, "4 entries, 0 recordings; everything verifies") || !strings.Contains(r.out, "ledger fork at index 4") {
		t.Fatalf("%+v", r)
	}
	if r := run(t, "serve", "--check", "--dir", next); r.code != exitDone || !strings.Contains(r.out, "5 entries") {
		t.Errorf("%+v", r)
	}
	if r := run(t, "fsck", "--dir", next); r.code != exitDone || r.out != next+": nothing is wrong\n" {
		t.Errorf("%+v", r)
	}
	if r := run(t, append(restore, ledger)...); r.code != exitFailed || !strings.Contains(r.stderr, "is a data directory already") {
		t.Errorf("onto itself: %+v", r)
	}
}

func TestRestoreWithCheckpointAndPassphrase(t *testing.T) {
	dir, _ := begun(t)
	identity, recipient := ageKey(t)
	safe := t.TempDir()
	ledger, keys, shown := filepath.Join(safe, "ledger.age"), filepath.Join(safe, "keys.age"), filepath.Join(safe, "checkpoint")
	const phrase = "correct horse battery"
	if r := command(t.Context(), nil, "too short\n", "backup", "--dir", dir, "--keys", "--passphrase", "--to", keys); r.code != exitFailed || !strings.Contains(r.stderr, "at least 12 characters") {
		t.Errorf("%+v", r)
	}
	only(t, safe)
	if r := command(t.Context(), nil, phrase+"\n", "backup", "--dir", dir, "--keys", "--passphrase", "--to", keys); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	if r := run(t, "backup", "--dir", dir, "--to", ledger, "--recipient", recipient); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	p := &program{getenv: func(string) string { return "" }}
	b, err := p.environment().OpenBackend(filepath.Join(dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	head, err := b.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(shown, head.Checkpoint, 0o600); err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(t.TempDir(), "next")
	args := []string{"restore", "--dir", next, "--from", ledger, "--identity", identity, "--keys", keys, "--checkpoint", shown}
	for typed, want := range map[string]string{"": "none was given", "wrong horse battery\n": "the passphrase is wrong"} {
		if r := command(t.Context(), nil, typed, args...); r.code != exitFailed || !strings.Contains(r.stderr, want) {
			t.Errorf("%q: %+v", typed, r)
		}
	}
	r := command(t.Context(), nil, phrase+"\n", args...)
	if r.code != exitDone || strings.Contains(r.out, "may be lost") || !strings.Contains(r.out, "vaultpamd serve --dir "+next) {
		t.Fatalf("%+v", r)
	}
	if r := run(t, "serve", "--check", "--dir", next); r.code != exitDone || !strings.Contains(r.out, "4 entries") {
		t.Errorf("%+v", r)
	}
	// Nothing that is missing is taken for something else.
	for _, flag := range []string{"--from", "--identity", "--keys", "--checkpoint"} {
		wrong := append(append([]string{}, args...), flag, filepath.Join(safe, "no-such-file"), "--dir", filepath.Join(safe, "x"))
		if r := run(t, wrong...); r.code != exitFailed || !strings.Contains(r.stderr, "no-such-file") {
			t.Errorf("%s: %+v", flag, r)
		}
	}
	if r := run(t, append(args, "--identity", shown, "--dir", filepath.Join(safe, "x"))...); r.code != exitFailed || !strings.Contains(r.stderr, "want a file that age-keygen wrote") {
		t.Errorf("%+v", r)
	}
}

// A backup that fails leaves what was there, and nothing beside it.
func TestBackupThatFailsReplacesNothing(t *testing.T) {
	_, recipient := ageKey(t)
	safe := t.TempDir()
	to := filepath.Join(safe, "ledger.age")
	if err := os.WriteFile(to, []byte("yesterday's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"--recipient", recipient}, {"--recipient", recipient, "--keys"}} {
		r := run(t, append([]string{"backup", "--dir", filepath.Join(safe, "no"), "--to", to}, args...)...)
		if r.code != exitFailed || r.out != "" {
			t.Errorf("%+v", r)
		}
	}
	if text, err := os.ReadFile(to); err != nil || string(text) != "yesterday's" {
		t.Errorf("%s, %v", text, err)
	}
	only(t, safe, "ledger.age")
	link := filepath.Join(safe, "link")
	if err := os.Symlink(to, link); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"/dev/null", safe, link} {
		if r := run(t, "backup", "--to", to, "--recipient", recipient); r.code != exitFailed || !strings.Contains(r.stderr, "is there and is not a file") {
			t.Errorf("%+v", r)
		}
	}
	if r := run(t, "backup", "--to", filepath.Join(safe, "no", "x"), "--recipient", recipient); r.code != exitFailed || !strings.Contains(r.stderr, "writing the backup") {
		t.Errorf("%+v", r)
	}
}

func TestFsckCodes(t *testing.T) {
	dir, _ := begun(t)
	if r := run(t, "fsck", "--dir", dir); r.code != exitDone || r.out != dir+": nothing is wrong\n" || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	if err := os.Mkdir(filepath.Join(dir, ".init"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "fsck", "--dir", dir); r.code != exitRepairable || strings.Count(r.out, "\n") != 1 || !strings.Contains(r.stderr, "findings: 1; a start of the server mends all of them") {
		t.Errorf("%+v", r)
	}
	if err := os.Remove(filepath.Join(dir, "keys", "user-ca")); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "fsck", "--dir", dir); r.code != exitDamage || strings.Count(r.out, "\n") != 2 || !strings.Contains(r.stderr, "findings: 2, of which a start of the server mends 1") {
		t.Errorf("%+v", r)
	}
	if r := run(t, "fsck", "--dir", filepath.Join(dir, "no")); r.code != exitFailed || r.out != "" {
		t.Errorf("%+v", r)
	}
}
