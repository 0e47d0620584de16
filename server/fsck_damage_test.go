package server_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/store"
)

// A hurt is a data directory that is about to be damaged. Its server has stopped.
type hurt struct {
	t    *testing.T
	dir  server.Dir
	done store.SessionID // a recorded session
}

func (h *hurt) path(name string) string { return filepath.Join(string(h.dir), name) }

func (h *hurt) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *hurt) write(name, text string) { h.must(os.WriteFile(h.path(name), []byte(text), 0o600)) }
func (h *hurt) remove(name string)      { h.must(os.RemoveAll(h.path(name))) }
func (h *hurt) chmod(name string, m fs.FileMode) {
	h.must(os.Chmod(h.path(name), m))
}

func (h *hurt) read(name string) string {
	h.t.Helper()
	data, err := os.ReadFile(h.path(name))
	h.must(err)
	return string(data)
}

// swap exchanges two files.
func (h *hurt) swap(a, b string) {
	x, y := h.read(a), h.read(b)
	h.write(a, y)
	h.write(b, x)
}

// db changes the ledger's file behind its back.
func (h *hurt) db(change func(tx *bbolt.Tx) error) {
	h.t.Helper()
	db, err := bbolt.Open(h.path("ledger.db"), 0o600, &bbolt.Options{PageSize: 4096})
	h.must(err)
	h.must(errors.Join(db.Update(change), db.Close()))
}

// bend changes a value.
func (h *hurt) bend(bucket string, key []byte, change func([]byte) []byte) {
	h.t.Helper()
	h.db(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucket))
		v := b.Get(key)
		if v == nil {
			return fmt.Errorf("no %q in %s", key, bucket)
		}
		return b.Put(key, change(append([]byte{}, v...)))
	})
}

// first returns the first key of a bucket that begins with prefix.
func (h *hurt) first(bucket string, prefix []byte) []byte {
	h.t.Helper()
	var key []byte
	h.db(func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket([]byte(bucket)).Cursor().Seek(prefix)
		key = append(key, k...)
		return nil
	})
	return key
}

func index(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func flip(at int) func([]byte) []byte {
	return func(v []byte) []byte {
		v[(len(v)+at)%len(v)] ^= 1
		return v
	}
}

// A damage is something that happens to a data directory.
type damage struct {
	name string
	do   func(*hurt)
}

func fileDamages() []damage {
	return []damage{
		{"nothing", func(*hurt) {}},
		{"configuration gone", func(h *hurt) { h.remove("vaultpam.yaml") }},
		{"configuration with an unknown setting", func(h *hurt) { h.write("vaultpam.yaml", h.read("vaultpam.yaml")+"colour: blue\n") }},
		{"configuration of another name", func(h *hurt) {
			h.write("vaultpam.yaml", strings.Replace(h.read("vaultpam.yaml"), "name: pam.", "name: map.", 1))
		}},
		{"directory that others may read", func(h *hurt) { h.chmod(".", 0o755) }},
		{"key that others may read", func(h *hurt) { h.chmod("keys/user-ca", 0o644) }},
		{"ledger that others may read", func(h *hurt) { h.chmod("ledger.db", 0o640) }},
		{"key gone", func(h *hurt) { h.remove("keys/target-ca") }},
		{"keys gone", func(h *hurt) { h.remove("keys") }},
		{"key that is none", func(h *hurt) { h.write("keys/host-ca", "hello\n") }},
		{"log key that is none", func(h *hurt) { h.write("keys/log", "hello\n") }},
		{"secret cut short", func(h *hurt) { h.write("keys/secret", h.read("keys/secret")[:32]) }},
		{"public key of another", func(h *hurt) { h.write("keys/user-ca.pub", h.read("keys/host-ca.pub")) }},
		{"keys exchanged", func(h *hurt) {
			h.swap("keys/user-ca", "keys/host-ca")
			h.swap("keys/user-ca.pub", "keys/host-ca.pub")
		}},
		{"one key twice", func(h *hurt) {
			h.write("keys/user-ca", h.read("keys/host-ca"))
			h.write("keys/user-ca.pub", h.read("keys/host-ca.pub"))
		}},
		{"emergency key in the safe", func(h *hurt) { h.remove("keys/emergency-ca"); h.remove("keys/emergency-ca.pub") }},
		{"TLS certificate gone", func(h *hurt) { h.remove("tls/cert.pem") }},
		{"init left something", func(h *hurt) { h.must(os.Mkdir(h.dir.Begun(), 0o700)) }},
		{"recording changed", func(h *hurt) {
			h.write("recordings/"+h.done.String()+"/1.cast", "{}\n")
		}},
		{"recording gone", func(h *hurt) { h.remove("recordings/" + h.done.String()) }},
		{"recordings gone", func(h *hurt) { h.remove("recordings") }},
		{"recording without an end", func(h *hurt) {
			log := "recordings/" + h.done.String() + "/session.jsonl"
			lines := strings.SplitAfter(h.read(log), "\n")
			h.write(log, strings.Join(lines[:len(lines)-2], ""))
		}},
		{"recording of nobody", func(h *hurt) {
			h.must(os.Rename(h.path("recordings/"+h.done.String()), h.path("recordings/0b7c1f7e-6a55-4a0e-9d3c-111111111111")))
		}},
		{"something among the recordings", func(h *hurt) { h.write("recordings/notes.txt", "") }},
	}
}

func ledgerDamages() []damage {
	return []damage{
		{"ledger gone", func(h *hurt) { h.remove("ledger.db") }},
		{"ledger empty", func(h *hurt) { h.write("ledger.db", "") }},
		{"ledger cut short", func(h *hurt) { h.must(os.Truncate(h.path("ledger.db"), 5*4096)) }},
		{"ledger of zeros", func(h *hurt) { h.write("ledger.db", strings.Repeat("\x00", 1<<16)) }},
		{"ledger of another format", func(h *hurt) {
			h.bend("meta", []byte("format"), func([]byte) []byte { return []byte("vaultpam ledger 9") })
		}},
		{"journal that others may read", func(h *hurt) { h.write("ledger.db.journal", ""); h.chmod("ledger.db.journal", 0o640) }},
		{"journal gone", func(h *hurt) {
			h.db(func(tx *bbolt.Tx) error {
				meta := tx.Bucket([]byte("meta"))
				return errors.Join(meta.Put([]byte("journal"), make([]byte, 24)), meta.Put([]byte("format"), []byte("vaultpam ledger 1, journal 1")))
			})
		}},
		{"birth changed", func(h *hurt) { h.bend("entries", index(0), flip(-40)) }},
		{"entry changed", func(h *hurt) { h.bend("entries", index(5), flip(-3)) }},
		{"entry that is none", func(h *hurt) { h.bend("entries", index(5), func([]byte) []byte { return []byte{0xff} }) }},
		{"entry gone", func(h *hurt) {
			h.db(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("entries")).Delete(index(5)) })
		}},
		{"entries exchanged", func(h *hurt) {
			h.db(func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte("entries"))
				x, y := append([]byte{}, b.Get(index(5))...), append([]byte{}, b.Get(index(6))...)
				return errors.Join(b.Put(index(5), y), b.Put(index(6), x))
			})
		}},
		{"last entry hidden", func(h *hurt) {
			h.bend("meta", []byte("head"), func(v []byte) []byte {
				binary.BigEndian.PutUint64(v, binary.BigEndian.Uint64(v)-1)
				return v
			})
		}},
		{"checkpoint changed", func(h *hurt) { h.bend("meta", []byte("head"), flip(-10)) }},
		{"hash changed", func(h *hurt) { h.bend("hashes", index(0), flip(0)) }},
		{"inner hash changed", func(h *hurt) { h.bend("hashes", index(0), flip(2*32)) }},
		{"hashes gone", func(h *hurt) {
			h.db(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("hashes")).Delete(index(0)) })
		}},
		{"list gone", func(h *hurt) {
			key := h.first("lists", nil)
			h.db(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("lists")).Delete(key) })
		}},
		{"list too long", func(h *hurt) {
			h.bend("lists", h.first("lists", nil), func(v []byte) []byte { return append(v, 1) })
		}},
		{"text changed", func(h *hurt) { h.bend("side", h.first("side", []byte{1}), flip(-1)) }},
		{"secret of a stranger", func(h *hurt) {
			h.db(func(tx *bbolt.Tx) error {
				return tx.Bucket([]byte("side")).Put(append([]byte{2}, "a stranger's ID!"...), []byte("x"))
			})
		}},
		{"snapshot changed", func(h *hurt) { h.bend("snapshot", index(0), flip(-1)) }},
		{"snapshot of another version", func(h *hurt) { h.bend("snapshot", []byte("head"), flip(7)) }},
		{"snapshot of too many entries", func(h *hurt) { h.bend("snapshot", []byte("head"), flip(9)) }},
	}
}
