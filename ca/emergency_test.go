package ca_test

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

var update = flag.Bool("update", false, "write the golden files")

func readCert(t testing.TB, path string) *ssh.Certificate {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*ssh.Certificate)
}

// With VaultPAM down, a host opens with nothing but the key file and the printed
// passphrase: by this package, and by stock ssh-keygen as IssueEmergency's
// comment says.
func TestEmergencyOpensHost(t *testing.T) {
	dir := t.TempDir()
	passphrase, err := ca.NewPassphrase(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.WriteKey(filepath.Join(dir, "emergency-ca"), newKey(t), []byte(passphrase), "VaultPAM emergency CA"); err != nil {
		t.Fatal(err)
	}
	id := newKey(t)
	if err := ca.WriteKey(filepath.Join(dir, "id"), id, nil, ""); err != nil {
		t.Fatal(err)
	}
	key, err := ca.LoadKey(filepath.Join(dir, "emergency-ca"), []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	a := newAuthority(t, ca.Emergency, key)
	db1 := startSSHD(t, "db1", key.PublicKey())
	principal, err := ca.ParseTargetPrincipal(db1.account + "@db1")
	if err != nil {
		t.Fatal(err)
	}
	ours, err := ca.IssueEmergency(a, ca.EmergencyRequest{Principal: principal, Key: id.PublicKey(), For: time.Hour}, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keygen(t, dir, "-P", passphrase, "-s", "emergency-ca", "-I", "vaultpam:emergency:db1", "-n", principal.String(), "-V", "+1h",
		"-z", strconv.FormatUint(1<<52+815, 10), "id.pub")
	stock := readCert(t, filepath.Join(dir, "id-cert.pub"))
	if err := ca.Lint(ca.Emergency, tbsOf(stock)); err != nil {
		t.Errorf("what stock ssh-keygen signs is not what we would: %v", err)
	}
	if diff := cmp.Diff(stock.Permissions, ours.Permissions); diff != "" {
		t.Errorf("permissions differ from stock ssh-keygen's (-stock +ours):\n%s", diff)
	}
	db2 := startSSHD(t, "db2", key.PublicKey())
	for what, cert := range map[string]*ssh.Certificate{"ours": ours, "stock": stock} {
		if got := db1.run(id, cert, "id -un"); got != db1.account {
			t.Errorf("%s: logged in as %q", what, got)
		}
		if db2.opens(db1.account, "127.0.0.1", id, cert) {
			t.Errorf("%s: opens another host", what)
		}
	}
}

func TestEmergencySerials(t *testing.T) {
	key, id := newKey(t), newKey(t)
	a := newAuthority(t, ca.Emergency, key)
	r := ca.EmergencyRequest{Principal: ca.TargetPrincipal{Login: "root", Target: "db1"}, Key: id.PublicKey(), For: time.Hour}
	seen := map[uint64]bool{}
	for range 200 {
		cert, err := ca.IssueEmergency(a, r, now, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if s := store.Serial(cert.Serial); s < store.EmergencySerial || s >= store.SerialLimit || seen[cert.Serial] {
			t.Fatalf("serial %d", s)
		}
		seen[cert.Serial] = true
	}
	for _, fill := range []byte{0x00, 0xff} { // the ends of the range
		random := bytes.NewReader(append(bytes.Repeat([]byte{fill}, 8), bytes.Repeat([]byte{1}, 32)...))
		cert, err := ca.IssueEmergency(a, r, now, random)
		want := map[byte]store.Serial{0x00: store.EmergencySerial, 0xff: store.SerialLimit - 1}[fill]
		if err != nil || store.Serial(cert.Serial) != want {
			t.Errorf("random %x: %v, want serial %d", fill, err, want)
		}
	}
}

func TestEmergencyRefuses(t *testing.T) {
	key, id := newKey(t), newKey(t)
	a := newAuthority(t, ca.Emergency, key)
	good := ca.EmergencyRequest{Principal: ca.TargetPrincipal{Login: "root", Target: "db1"}, Key: id.PublicKey(), For: ca.MaxEmergencyFor}
	if _, err := ca.IssueEmergency(a, good, now, rand.Reader); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		want  error
		spoil func(*ca.EmergencyRequest)
	}{
		"no time":        {ca.ErrValidity, func(r *ca.EmergencyRequest) { r.For = 0 }},
		"negative":       {ca.ErrValidity, func(r *ca.EmergencyRequest) { r.For = -time.Hour }},
		"too long":       {ca.ErrValidity, func(r *ca.EmergencyRequest) { r.For = ca.MaxEmergencyFor + time.Second }},
		"no login":       {ca.ErrPrincipal, func(r *ca.EmergencyRequest) { r.Principal.Login = "" }},
		"two principals": {ca.ErrPrincipal, func(r *ca.EmergencyRequest) { r.Principal.Login = "root@db1,admin" }},
		"no target":      {ca.ErrKeyID, func(r *ca.EmergencyRequest) { r.Principal.Target = "" }},
		"no key":         {ca.ErrMalformed, func(r *ca.EmergencyRequest) { r.Key = nil }},
		"the CA's key":   {ca.ErrKey, func(r *ca.EmergencyRequest) { r.Key = key.PublicKey() }},
	} {
		r := good
		c.spoil(&r)
		if cert, err := ca.IssueEmergency(a, r, now, rand.Reader); !errors.Is(err, c.want) || cert != nil {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	if _, err := ca.IssueEmergency(newAuthority(t, ca.Target, key), good, now, rand.Reader); err == nil {
		t.Error("the target CA issued an emergency certificate")
	}
	if _, err := ca.IssueEmergency(nil, good, now, rand.Reader); err == nil {
		t.Error("no CA issued an emergency certificate")
	}
	if _, err := ca.IssueEmergency(a, good, now, bytes.NewReader(make([]byte, 39))); err == nil {
		t.Error("issued without randomness")
	}
}

// What stock ssh-keygen -L reads in a certificate of each kind. Keys are fixed,
// so the hash holds the encoding still as well: the ledger's entries depend on it.
func TestDump(t *testing.T) {
	for kind := ca.User; kind <= ca.Emergency; kind++ {
		key := fixedKey(t, kind.String()+" CA")
		cert := issue(t, newAuthority(t, kind, key), request(kind, key.PublicKey(), fixedKey(t, "carol").PublicKey()))
		dir := t.TempDir()
		write(t, filepath.Join(dir, "cert.pub"), string(ssh.MarshalAuthorizedKey(cert)))
		hash := ca.Hash(cert)
		got := keygen(t, dir, "-L", "-f", "cert.pub") + "        SHA-256 of the signed bytes: " + hex.EncodeToString(hash[:]) + "\n"
		golden := filepath.Join("testdata", kind.String()+".golden")
		if *update {
			if err := errors.Join(os.MkdirAll("testdata", 0o755), os.WriteFile(golden, []byte(got), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%v (-golden +got; -update writes it):\n%s", kind, diff)
		}
	}
}

// TestCheckEmergency: what opens hosts past the relay is told from everything
// else that is signed.
func TestCheckEmergency(t *testing.T) {
	key, id := newKey(t), newKey(t)
	a := newAuthority(t, ca.Emergency, key)
	good := issue(t, a, request(ca.Emergency, key.PublicKey(), id.PublicKey()))
	opens, err := ca.CheckEmergency(good, key.PublicKey(), now)
	if want := (ca.TargetPrincipal{Login: "root", Target: "db1"}); err != nil || opens != want {
		t.Fatalf("%+v, error %v, want %+v", opens, err, want)
	}
	other := newKey(t)
	altered := *good
	altered.ValidPrincipals = []string{"root@db2"}
	for what, c := range map[string]struct {
		cert *ssh.Certificate
		now  time.Time
		want error
	}{
		"before its time":      {good, now.Add(-time.Hour), ca.ErrNotYetValid},
		"after its time":       {good, now.Add(time.Hour), ca.ErrExpired},
		"another authority":    {issue(t, newAuthority(t, ca.Emergency, other), request(ca.Emergency, other.PublicKey(), id.PublicKey())), now, ca.ErrForeign},
		"a target certificate": {issue(t, newAuthority(t, ca.Target, key), request(ca.Target, key.PublicKey(), id.PublicKey())), now, ca.ErrWrongType},
		"an altered principal": {&altered, now, ca.ErrSignature},
		"nothing":              {nil, now, ca.ErrMalformed},
		"nothing but a name":   {&ssh.Certificate{ValidPrincipals: []string{"root@db1"}}, now, ca.ErrMalformed},
		"a host certificate":   {issue(t, newAuthority(t, ca.Host, key), request(ca.Host, key.PublicKey(), id.PublicKey())), now, ca.ErrWrongType},
		"a user's certificate": {issue(t, newAuthority(t, ca.User, key), request(ca.User, key.PublicKey(), id.PublicKey())), now, ca.ErrPrincipal},
	} {
		got, err := ca.CheckEmergency(c.cert, key.PublicKey(), c.now)
		if !errors.Is(err, c.want) || got != (ca.TargetPrincipal{}) {
			t.Errorf("%s: %+v, error %v, want %v", what, got, err, c.want)
		}
	}
}
