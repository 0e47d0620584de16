package server_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

var update = flag.Bool("update", false, "write the golden files and the generated pages")

// golden holds text to a file.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs; go test ./server -update writes it anew:\n%s", path, diff)
	}
}

// words reads the constants of a type where they are declared: a set that is
// closed has no other list of itself.
func words(t *testing.T, path, of string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := v.Type.(*ast.Ident); ok && kind.Name == of {
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, text)
		}
		return true
	})
	if len(found) < 8 {
		t.Fatalf("only %v", found)
	}
	return found
}

// fixedKey is a key that is the same in every run.
func fixedKey(t *testing.T, n byte) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fixedSite is a site in which nothing is left to chance, with what the samples
// speak of: carol, a target, a grant and a certificate.
func fixedSite(t *testing.T) *site {
	dir := freshDir(t)
	env := environment(newHand())
	env.Random = rand.NewChaCha8([32]byte{7})
	begun, err := server.Init(t.Context(), env, initRequest(dir))
	if err != nil {
		t.Fatal(err)
	}
	s := siteIn(t, dir, begun)
	s.env.Random = env.Random
	s.run()
	s.admin = s.enrolled(begun.Invitation.String())
	s.botWith("ci", fixedKey(t, 3))
	carol := s.added("carol", "engineer", "auditor")
	must[api.TargetDetail](s, s.admin, "POST", api.RouteTargetAdd.Path, api.AddTargetRequest{
		Name: "db1", Address: "db1.example.eu:22", Egress: "192.0.2.7", Logins: []string{"root", "deploy"}, HostKeys: []string{publicLine(fixedKey(t, 1))},
	})
	s.grant("carol", "db1", time.Time{})
	must[api.CertificateResponse](s, carol, "POST", api.RouteCertificate.Path, api.CertificateRequest{PublicKey: publicLine(fixedKey(t, 2))})
	must[api.Group](s, s.admin, "POST", api.RouteGroupAdd.Path, api.GroupRequest{Name: "dba"})
	must[api.Empty](s, s.admin, "POST", api.RouteGroups.Path+"/dba", api.GroupRequest{Name: "databases"})
	return s
}

// rendered is how the samples are read.
func (s *site) rendered(events []store.Event) []byte {
	s.t.Helper()
	var out bytes.Buffer
	actors := []store.Actor{{}, {Local: true}, {User: s.entriesOf(store.TypeUserAdded)[0].Event.(*store.UserAdded).User}}
	for i, event := range events {
		e := &store.Entry{Index: store.Index(100 + i), Time: store.At(s.clock.now()), Actor: actors[i%len(actors)], Event: event}
		if added, ok := event.(*store.TargetAdded); ok { // it is named by its own index
			e.Index = s.entriesOf(store.TypeTargetAdded)[0].Index
			event = added
		}
		read := s.node.Render(s.t.Context(), e)
		if read.Summary == "" || len(read.Fields) == 0 && read.Type != "target.removed" {
			s.t.Errorf("%s is rendered as nothing: %+v", event.EventType(), read)
		}
		data, err := json.MarshalIndent(read, "", "  ")
		if err != nil {
			s.t.Fatal(err)
		}
		out.Write(append(data, '\n'))
	}
	return out.Bytes()
}

func TestEveryTypeOfEntryIsRendered(t *testing.T) {
	s := fixedSite(t)
	events := s.samples()
	var have []string
	for _, e := range events {
		have = append(have, string(e.EventType()))
	}
	want := words(t, filepath.Join("..", "store", "event.go"), "EventType")
	slices.Sort(want)
	slices.Sort(have)
	if diff := cmp.Diff(want, slices.Compact(have)); diff != "" {
		t.Fatalf("event types (-) and samples of them (+):\n%s", diff)
	}
	golden(t, filepath.Join("testdata", "entries.golden"), s.rendered(events))
}

func TestErasedPeopleAreRenderedWithoutTheirNames(t *testing.T) {
	s := fixedSite(t)
	events := s.samples()
	added := s.entriesOf(store.TypeUserAdded)
	carol := added[len(added)-1].Event.(*store.UserAdded).User
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	s.erase(carol)
	s.open()
	got := s.rendered(events)
	for _, word := range []string{"carol", "127.0.0.1", "the blue key", "the green key"} {
		if bytes.Contains(got, []byte(word)) {
			t.Errorf("%q was erased and is shown", word)
		}
	}
	if n := strings.Count(string(got), "(erased)"); n < 3 {
		t.Errorf("%d texts are called erased", n)
	}
	golden(t, filepath.Join("testdata", "erased.golden"), got)
}

// erase takes a person's texts out of the side table.
func (s *site) erase(user store.UserID) {
	s.t.Helper()
	backend, err := s.env.OpenBackend(filepath.Join(string(s.dir), "ledger.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	var writes []store.SideWrite
	for w, err := range backend.SideAll(s.t.Context(), store.SideOpenings, user[:]) {
		if err != nil {
			s.t.Fatal(err)
		}
		writes = append(writes, store.SideWrite{Table: w.Table, Key: w.Key})
	}
	if len(writes) == 0 {
		s.t.Fatal("nothing to erase")
	}
	if err := backend.WriteSide(s.t.Context(), writes); err != nil {
		s.t.Fatal(err)
	}
	if err := backend.Close(); err != nil {
		s.t.Fatal(err)
	}
}

// A text that can't be read must not look like one that was erased.
func TestUnreadableIsNotErased(t *testing.T) {
	s := newSite(t)
	broken := false
	open := s.env.OpenBackend
	s.env.OpenBackend = func(path string) (store.Backend, error) {
		b, err := open(path)
		return &brokenBackend{Backend: b, broken: func() bool { return broken }}, err
	}
	n := s.open()
	broken = true
	read := n.Render(t.Context(), &store.Entry{Event: &store.SignInFailed{User: store.UserID{1}, Count: 1}})
	if source := fmt.Sprint(read.Fields["source"]); source != "(unreadable)" {
		t.Errorf("the source is shown as %s", source)
	}
}
