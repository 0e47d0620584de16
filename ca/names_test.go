package ca_test

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/store"
)

// The grammars once more, written down another way than the parsers do it.
const (
	label  = `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	name   = label + `(\.` + label + `)*`
	domain = `(?i:` + name + `)`
)

var (
	userText   = regexp.MustCompile(`\Au:[a-z2-7]{25}[aeimquy4]\z`)
	targetText = regexp.MustCompile(`\A([A-Za-z0-9_][A-Za-z0-9._-]*(\$|@` + domain + `)?)@(?P<target>` + name + `)\z`)
	hostText   = regexp.MustCompile(`\A` + name + `\z`)
	numberLast = regexp.MustCompile(`(\A|\.)[0-9]+\z`)
	dottedQuad = regexp.MustCompile(`\A((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\z`)
)

func wantPrincipal(kind ca.Kind, s string) bool {
	switch kind {
	case ca.User:
		return userText.MatchString(s) && s != store.UserID{}.String()
	case ca.Target:
		m := targetText.FindStringSubmatch(s)
		return m != nil && len(m[1]) <= 64 && len(m[targetText.SubexpIndex("target")]) <= 200
	case ca.Host:
		if dottedQuad.MatchString(s) {
			return s != "0.0.0.0" && !multicast.MatchString(s)
		}
		return hostText.MatchString(s) && len(s) <= 253 && !numberLast.MatchString(s)
	}
	return false
}

var multicast = regexp.MustCompile(`\A2(2[4-9]|3\d)\.`)

// principals draws strings that are good, nearly good, or noise.
func principals(r *rand.Rand) string {
	good := []string{
		carol.String(), "root@db1", "deploy@db1.prod", "carol@corp.example@db1", "svc$@web", "_x@a", "UPPER@db1",
		"db1.pam", "pam.example.eu", "10.0.0.7", "db-1.prod.pam", "a@b@c",
	}
	nasty := []string{
		",", " ", "\n", "\x00", "\t", "*", "?", "%u", "@", "@@", ":", "-", "..", ".", "$", "!", "é", "\u202e", "/", "\\", "'", "`id`", "u:", "root", "A",
		"0", strings.Repeat("a", 63), strings.Repeat("b", 64), strings.Repeat("c.", 100), "\x7f", "[", "]", "|", "\"", "db1", "root@db1",
	}
	s := good[r.IntN(len(good))]
	for range r.IntN(4) {
		at := r.IntN(len(s) + 1)
		switch r.IntN(4) {
		case 0:
			s = s[:at] + nasty[r.IntN(len(nasty))] + s[at:]
		case 1:
			s = s[:at]
		case 2:
			s = s[at:]
		case 3:
			s = s[:at] + string([]byte{byte(r.UintN(256))}) + s[min(at+1, len(s)):]
		}
	}
	return s
}

// The CA signs for a principal exactly if it is of the authority's grammar.
func TestS1Principals(t *testing.T) {
	n := rounds(10_000, 1_000_000)
	r := rand.New(rand.NewPCG(1, 2))
	authority, subject := newKey(t).PublicKey(), newKey(t).PublicKey()
	var accepted [3]int
	for range n {
		s := principals(r)
		for i, kind := range []ca.Kind{ca.User, ca.Target, ca.Host} {
			req := request(kind, authority, subject)
			req.Principal = s
			if kind == ca.Host {
				req.KeyID = ca.HostKeyID(ca.HostName(s))
			}
			_, err := ca.Build(req)
			if want := wantPrincipal(kind, s); (err == nil) != want {
				t.Fatalf("%v principal %q: error %v, grammar says %v", kind, s, err, want)
			}
			if err == nil {
				accepted[i]++
			} else if !errors.Is(err, ca.ErrPrincipal) && !errors.Is(err, ca.ErrKeyID) {
				t.Fatalf("%v principal %q: %v is no refusal of a principal", kind, s, err)
			}
		}
	}
	t.Logf("%d strings for 3 authorities; accepted: user %d, target %d, host %d", n, accepted[0], accepted[1], accepted[2])
	for i, some := range accepted {
		if some == 0 {
			t.Errorf("authority %d never accepted anything: the test shows nothing", i)
		}
	}
}

func TestS1HostNames(t *testing.T) {
	for s, want := range map[string]bool{
		"db1.pam": true, "pam.example.eu": true, "192.0.2.7": true, "2001:db8::1": true, "a": true, "7.pam": true,
		"": false, "*": false, "*.pam": false, "DB1.pam": false, "db1.pam.": false, ".pam": false, "db1..pam": false, "-db1": false,
		"db1,db2": false, "db1 db2": false, "10.0.0.300": false, "010.0.0.1": false, "1": false, "db.1": false, "::ffff:192.0.2.7": false,
		"2001:DB8::1": false, "2001:db8:0:0::1": false, "fe80::1%eth0": false, "[2001:db8::1]": false, "192.0.2.7:22": false,
		"0.0.0.0": false, "::": false, "224.0.0.1": false, "under_score": false, "db1\n": false,
		strings.Repeat("a.", 126) + "a": true, strings.Repeat("a.", 127) + "a": false, strings.Repeat("a", 64): false,
	} {
		got, err := ca.ParseHostName(s)
		if (err == nil) != want || err == nil && string(got) != s {
			t.Errorf("ParseHostName(%q) = %q, %v; want accepted: %v", s, got, err, want)
		}
	}
}

func FuzzParseTargetPrincipal(f *testing.F) {
	for _, s := range []string{"root@db1", "carol@corp.example@db1", "svc$@web", "@", "a@b,c", "root@*", "-x@db1", "root@DB1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ca.ParseTargetPrincipal(s)
		if err != nil {
			if diff := cmp.Diff(ca.TargetPrincipal{}, p); diff != "" {
				t.Fatalf("refused %q, yet returned (-want +got):\n%s", s, diff)
			}
			return
		}
		if p.String() != s {
			t.Fatalf("%q parses to %+v, which is %q", s, p, p.String())
		}
		if strings.ContainsAny(s, ", \t\r\n\x00*?!%:/") || strings.HasPrefix(s, "-") {
			t.Fatalf("accepted %q", s)
		}
	})
}

func keyIDs() []ca.KeyID {
	return []ca.KeyID{
		ca.UserKeyID("carol", 4711), ca.UserKeyID("carol@corp.example", 1<<52-1), ca.TargetKeyID("carol", session),
		ca.ErrandKeyID(session), ca.BotKeyID("ci", 4711), ca.BotKeyID("bot", 7),
		ca.DirectKeyID("carol", 4711), ca.DirectKeyID("direct", 7),
		ca.HostKeyID("db1.pam"), ca.HostKeyID("2001:db8::1"), ca.EmergencyKeyID("db1"),
	}
}

func FuzzParseKeyID(f *testing.F) {
	for _, id := range keyIDs() {
		f.Add(id.String())
	}
	for _, s := range []string{"", "vaultpam:", "vaultpam:user:carol:01", "vaultpam:user:a:b:1", "vaultpam:root:x", "carol serial 7", "vaultpam:user:-:7", "vaultpam:bot:-:7", "vaultpam:bot:ci:" + session.String(), "vaultpam:target::x",
		"vaultpam:direct:-:7", "vaultpam:direct:carol:0", "vaultpam:direct:carol:" + session.String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ca.ParseKeyID(s)
		if err != nil {
			if id != (ca.KeyID{}) || !errors.Is(err, ca.ErrKeyID) {
				t.Fatalf("%q: %+v, %v", s, id, err)
			}
			return
		}
		if id.String() != s {
			t.Fatalf("%q parses to %+v, which is %q", s, id, id.String())
		}
		if strings.ContainsAny(s, ", \t\r\n\x00\"'") {
			t.Fatalf("accepted %q", s)
		}
	})
}

func TestS11KeyIDRoundTrip(t *testing.T) {
	for _, id := range keyIDs() {
		got, err := ca.ParseKeyID(id.String())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(id, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", id, diff)
		}
	}
}

// Whatever stands in a KeyID's fields, Build signs it only if parsing its text
// gives the same fields back: nobody's name can imitate another field.
func TestS11KeyIDSpoofing(t *testing.T) {
	n := rounds(10_000, 1_000_000)
	r := rand.New(rand.NewPCG(3, 4))
	authority, subject := newKey(t).PublicKey(), newKey(t).PublicKey()
	parts := []string{"carol", ":", "7", "vaultpam", "user", "bot", "target", "direct", session.String(), "db1", "@", " ", "\n", "serial", "-", "root", "$", "."}
	accepted := 0
	for range n {
		var handle string
		for range 1 + r.IntN(3) {
			handle += parts[r.IntN(len(parts))]
		}
		for _, kind := range []ca.Kind{ca.User, ca.Target} {
			req := request(kind, authority, subject)
			req.KeyID.Handle = store.Handle(handle)
			req.KeyID.Bot = kind == ca.User && r.IntN(2) == 0
			if kind == ca.Target && r.IntN(2) == 0 {
				req.KeyID = ca.DirectKeyID(store.Handle(handle), 7)
			}
			_, err := ca.Build(req)
			_, handleErr := store.ParseHandle(handle)
			if (err == nil) != (handleErr == nil) {
				t.Fatalf("handle %q: Build says %v, its grammar %v", handle, err, handleErr)
			}
			if err == nil {
				accepted++
			}
		}
	}
	t.Logf("%d handles for 2 authorities, accepted %d", n, accepted)
	if accepted == 0 {
		t.Error("no handle was ever accepted: the test shows nothing")
	}
}

func TestS11KeyIDRefusals(t *testing.T) {
	authority, subject := newKey(t).PublicKey(), newKey(t).PublicKey()
	for what, spoil := range map[string]func(*ca.Request){
		"zero":                 func(r *ca.Request) { r.KeyID = ca.KeyID{} },
		"kind only":            func(r *ca.Request) { r.KeyID = ca.KeyID{Kind: ca.User} },
		"a bot of a target":    func(r *ca.Request) { r.KeyID = ca.TargetKeyID("ci", session); r.KeyID.Bot = true },
		"direct of a user":     func(r *ca.Request) { r.KeyID.Direct = true },
		"direct of nobody":     func(r *ca.Request) { r.KeyID = ca.DirectKeyID("", 7) },
		"direct of no sign-in": func(r *ca.Request) { r.KeyID = ca.DirectKeyID("carol", 0) },
		"direct of a session":  func(r *ca.Request) { r.KeyID = ca.DirectKeyID("carol", 7); r.KeyID.Session = session },
		"direct of a bot":      func(r *ca.Request) { r.KeyID = ca.DirectKeyID("ci", 7); r.KeyID.Bot = true },
		"a bot of a session":   func(r *ca.Request) { r.KeyID.Bot, r.KeyID.Session = true, session },
		"no sign-in":           func(r *ca.Request) { r.KeyID.SignIn = 0 },
		"another kind":         func(r *ca.Request) { r.KeyID = ca.TargetKeyID("carol", session) },
		"unknown kind":         func(r *ca.Request) { r.KeyID.Kind = 9 },
		"fields left over":     func(r *ca.Request) { r.KeyID.Target = "db1" },
		"handle with a colon":  func(r *ca.Request) { r.KeyID.Handle = "carol:9" },
		"sign-in out of range": func(r *ca.Request) { r.KeyID.SignIn = store.Index(store.EmergencySerial) },
	} {
		req := request(ca.User, authority, subject)
		spoil(&req)
		if _, err := ca.Build(req); !errors.Is(err, ca.ErrKeyID) {
			t.Errorf("%s: %v, want ErrKeyID", what, err)
		}
	}
	for kind, id := range map[ca.Kind]ca.KeyID{ca.Host: ca.HostKeyID("db2.pam"), ca.Emergency: ca.EmergencyKeyID("b1")} {
		req := request(kind, authority, subject)
		req.KeyID = id
		if _, err := ca.Build(req); !errors.Is(err, ca.ErrKeyID) {
			t.Errorf("%v: key ID and principal contradict each other: %v, want ErrKeyID", kind, err)
		}
	}
	// TargetPrincipal's text stays unambiguous where logins hold an @.
	if p, err := ca.ParseTargetPrincipal("a@b@c"); err != nil || p.Login != "a@b" || p.Target != "c" {
		t.Errorf("a@b@c = %+v, %v", p, err)
	}
}
