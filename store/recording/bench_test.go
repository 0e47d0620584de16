package recording_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/store/recording"
)

// payloads are what sessions show, in writes of the size that the relay makes.
func payloads() map[string][]byte {
	const size = 32 << 10
	random := make([]byte, size)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	fill := func(s string) []byte { return []byte(strings.Repeat(s, size/len(s)+1)[:size]) }
	return map[string][]byte{
		"text":   fill("Aug  1 14:00:00 db1 sshd[4242]: Accepted publickey for root from 10.0.0.1 port 4242\r\n"),
		"colour": fill("\x1b[01;34mdirectory\x1b[0m  file.txt  \x1b[01;32mprogram\x1b[0m\r\n"),
		"utf-8":  fill("日本語のテキスト、grüne Wörter\n"),
		"zeros":  make([]byte, size),
		"random": random,
	}
}

// BenchmarkOutput is Channel.Output as the relay calls it: encode, hash, write(2).
func BenchmarkOutput(b *testing.B) {
	for name, p := range payloads() {
		b.Run(name, func(b *testing.B) {
			s, dir := newStore(b)
			r := create(b, s)
			c := channel(b, r, command("cat"))
			path := filepath.Join(dir, r.ID().String(), "1.cast")
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%4096 == 4095 { // keep the disk out of it
					check(b, os.Truncate(path, 0))
				}
				check(b, c.Output(p))
			}
		})
	}
}

// BenchmarkKeystroke is the echo of one key.
func BenchmarkKeystroke(b *testing.B) {
	s, _ := newStore(b)
	c := channel(b, create(b, s), terminal())
	b.ReportAllocs()
	for b.Loop() {
		check(b, c.Output([]byte("x")))
	}
}

// BenchmarkEncode is the encoder alone.
func BenchmarkEncode(b *testing.B) {
	for name, p := range payloads() {
		b.Run(name, func(b *testing.B) {
			encode := recording.NewEncoder(recording.Metadata)
			var line []byte
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				line = encode(line[:0], p)
			}
		})
	}
}

// BenchmarkEncodingJSON is what BenchmarkEncode is compared with: the
// straightforward way to write the same line.
func BenchmarkEncodingJSON(b *testing.B) {
	for name, p := range payloads() {
		b.Run(name, func(b *testing.B) {
			enc := json.NewEncoder(io.Discard)
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				check(b, enc.Encode([]any{1.25, "o", string(p)}))
			}
		})
	}
}

// BenchmarkRead is Reader over one file.
func BenchmarkRead(b *testing.B) {
	p := payloads()["text"]
	s, _ := newStore(b)
	r := create(b, s)
	c := channel(b, r, terminal())
	for range 100 {
		check(b, c.Output(p))
	}
	_, err := r.Close("")
	check(b, err)
	f, err := openSession(b, s, r.ID()).Channel(1)
	check(b, err)
	file, err := io.ReadAll(f)
	check(b, err)
	check(b, f.Close())
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		d, err := recording.NewReader(bytes.NewReader(file))
		check(b, err)
		for _, err := range d.Events() {
			check(b, err)
		}
	}
}
