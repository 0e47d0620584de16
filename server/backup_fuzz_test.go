package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server"
)

// joined is a plain backup of frames with the trailer that fits them.
func joined(t testing.TB, all []frame, signature []byte) []byte {
	t.Helper()
	out := []byte(magic)
	counts := map[string]any{"entries": 0, "rows": 0, "files": 0, "bytes": 0}
	for _, f := range all {
		if f.kind == 'T' {
			continue
		}
		switch f.kind {
		case 'E':
			counts["entries"] = counts["entries"].(int) + 1
		case 'S':
			counts["rows"] = counts["rows"].(int) + 1
		case 'F':
			counts["files"] = counts["files"].(int) + 1
		case 'D':
			counts["bytes"] = counts["bytes"].(int) + len(f.body)
		}
		out = append(binary.BigEndian.AppendUint32(append(out, f.kind), uint32(len(f.body))), f.body...)
	}
	sum := sha256.Sum256(out)
	counts["sha256"] = hex.EncodeToString(sum[:])
	if signature != nil {
		counts["signature"] = signature
	}
	body, err := json.Marshal(counts)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.BigEndian.AppendUint32(append(out, 'T'), uint32(len(body))), body...)
}

func signatureIn(t testing.TB, all []frame) []byte {
	t.Helper()
	var end struct{ Signature []byte }
	if err := json.Unmarshal(all[len(all)-1].body, &end); err != nil {
		t.Fatal(err)
	}
	return end.Signature
}

// Whoever can write where backups lie can encrypt to the same recipient. What
// they made up, or took apart and put together again, is not restored.
func TestS41RestoreRefusesWhatTheServerDidNotWrite(t *testing.T) {
	s, _ := livedIn(t)
	o := newOwner(t)
	plain := o.plain(t, s.backup(o, server.WithRecordings))
	keys, at := s.backupKeys(o), s.node.Ledger().Checkpoint()
	all := frames(t, plain)
	signature := signatureIn(t, all)
	if again := joined(t, all, signature); !bytes.Equal(again, plain) && len(again) != len(plain) {
		t.Fatal("taken apart and put together again, it is another")
	}
	if _, _, err := s.restored(o, o.sealed(t, joined(t, all, signature)), keys, at, server.RefuseRollback); err != nil {
		t.Fatalf("put together as it was: %v", err)
	}
	first := func(kind byte) int {
		for i, f := range all {
			if f.kind == kind {
				return i
			}
		}
		t.Fatalf("no frame %c", kind)
		return 0
	}
	with := func(at int, f ...frame) []frame {
		return append(append(append([]frame{}, all[:at]...), f...), all[at+1:]...)
	}
	config, row, entry, file, data := first('C'), first('S'), first('E'), first('F'), first('D')
	replaced := func(kind byte, at int, old, by string) []frame {
		if !bytes.Contains(all[at].body, []byte(old)) {
			t.Fatalf("no %q in %q", old, all[at].body)
		}
		return with(at, frame{kind, bytes.Replace(all[at].body, []byte(old), []byte(by), 1)})
	}
	for name, c := range map[string]struct {
		frames []frame
		want   string
	}{
		"another configuration":    {replaced('C', config, "suffix: pam", "suffix: map"), "not signed by the log key"},
		"a configuration that is":  {with(config, frame{'C', []byte("x: y\n")}), "the configuration in the backup"},
		"of another server":        {replaced('C', config, "name: pam.example.eu", "name: map.example.eu"), "and its header of"},
		"no configuration":         {with(config), "after one"},
		"two configurations":       {with(config, all[config], all[config]), "after one"},
		"a row less":               {with(row), "not signed by the log key"},
		"a row of table 9":         {with(row, frame{'S', append([]byte{9}, all[row].body[1:]...)}), "side table 9"},
		"a row that opens nothing": {with(row, frame{'S', append(bytes.Clone(all[row].body), 0)}), "opening"},
		"a row behind entries":     {with(entry, all[entry], all[row]), "after one"},
		"no birth":                 {with(entry), "does not follow"},
		"an entry less":            {with(entry + 4), "does not follow"},
		"an entry twice":           {with(entry+4, all[entry+4], all[entry+4]), "does not follow"},
		"another checkpoint":       {replaced('H', 0, "/ledger\\n", "/ledger\\n1"), "checkpoint"},
		"another header":           {replaced('H', 0, `"name":"pam`, `"name":"map`), "and its header of"},
		"another size":             {replaced('H', 0, `"size":`, `"size":1`), "checkpoint"},
		"a later day":              {replaced('H', 0, "2026-08", "2026-09"), "not signed by the log key"},
		"an unknown field":         {replaced('H', 0, "{", `{"more":1,`), "its header"},
		"a file elsewhere":         {with(file, frame{'F', []byte(`{"name":"../../keys/user-ca","ended":1}`)}), "a file of a recording named"},
		"a file of no session":     {replaced('F', file, `"ended":`, `"ended":9`), "recording"},
		"data of no file":          {with(file), "after one"},
		"another recording":        {with(data, frame{'D', []byte("{}\n")}), "not signed by the log key"},
		"an unknown part":          {with(row, frame{'X', nil}), "after one"},
		"a second header":          {with(config, all[0], all[config]), "after one"},
		"nothing but a header":     {all[:1], "after one"},
	} {
		next, _, err := s.restored(o, o.sealed(t, joined(t, c.frames, signature)), keys, at, server.AcceptRollback)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if _, err := server.Open(t.Context(), next.options()); err == nil {
			t.Errorf("%s: it is in place", name)
		}
	}
}

// Nothing that is read makes the reader panic, nor ask for more memory than a
// frame may have; what it reads to the end ends in the trailer that fits.
func FuzzReadBackup(f *testing.F) {
	header := frame{'H', []byte(`{"holds":"ledger","name":"pam.example.eu","made":"2026-08-01T12:00:00Z","size":1,"checkpoint":"x"}`)}
	whole := joined(f, []frame{
		header, {'C', []byte("name: x\n")}, {'S', []byte{3, 0, 1, 'k', 'v'}}, {'E', []byte("entry")},
		{'F', []byte(`{"name":"a/1.cast","ended":1}`)}, {'D', []byte("data")}, {'F', []byte(`{"name":"b"}`)},
	}, nil)
	f.Add(whole)
	f.Add(joined(f, []frame{{'H', []byte(`{"holds":"keys","name":"x","made":""}`)}, {'F', []byte(`{"name":"keys/log"}`)}, {'D', []byte("key")}}, nil))
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(magic))
	f.Add(append([]byte(magic), 'H', 0xff, 0xff, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, plain []byte) {
		r := &counting{t: t, r: bytes.NewReader(plain)}
		n, err := server.ReadFrames(r)
		if n > len(plain) {
			t.Fatalf("%d frames in %d bytes", n, len(plain))
		}
		if err != nil {
			return
		}
		// It is whole: then no part of it may be missing, and nothing be behind it.
		if _, err := server.ReadFrames(bytes.NewReader(plain[:len(plain)-1])); err == nil {
			t.Error("it is whole without its last byte")
		}
		if _, err := server.ReadFrames(io.MultiReader(bytes.NewReader(plain), strings.NewReader("x"))); err == nil {
			t.Error("it is whole with a byte more")
		}
	})
}

// A counting reader fails the test where more is asked for at once than a frame has.
type counting struct {
	t *testing.T
	r io.Reader
}

func (c *counting) Read(p []byte) (int, error) {
	if len(p) > 1<<20 {
		c.t.Fatalf("asked for %d bytes at once", len(p))
	}
	return c.r.Read(p)
}
