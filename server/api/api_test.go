package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestParsePreamble(t *testing.T) {
	for _, tc := range []struct {
		line, want string
	}{
		{"VAULTPAM/1 db1\n", "db1"},
		{"VAULTPAM/1 db1.prod", "db1.prod"},
		{"VAULTPAM/1 " + strings.Repeat("a", 200) + "\n", strings.Repeat("a", 200)},
		{"", ""},
		{"\n", ""},
		{"SSH-2.0-OpenSSH_9.2\r\n", ""},
		{"VAULTPAM/1 \n", ""},
		{"VAULTPAM/1\n", ""},
		{"VAULTPAM/2 db1\n", ""},
		{"vaultpam/1 db1\n", ""},
		{" VAULTPAM/1 db1\n", ""},
		{"VAULTPAM/1  db1\n", ""},
		{"VAULTPAM/1 db1 \n", ""},
		{"VAULTPAM/1 db1 root\n", ""},
		{"VAULTPAM/1 db1\r\n", ""},
		{"VAULTPAM/1 db1\n\n", ""},
		{"VAULTPAM/1 db1\nSSH-2.0-x\n", ""},
		{"VAULTPAM/1 db1\x00\n", ""},
		{"VAULTPAM/1\tdb1\n", ""},
		{"VAULTPAM/1 " + strings.Repeat("a", api.MaxPreamble) + "\n", ""},
	} {
		got, err := api.ParsePreamble(tc.line)
		if got != tc.want || (err == nil) != (tc.want != "") || err != nil && !errors.Is(err, api.ErrPreamble) {
			t.Errorf("%.40q: %q, error %v, want %q", tc.line, got, err, tc.want)
		}
	}
}

// FuzzParsePreamble: what is accepted is one line, and written again it is the
// same.
func FuzzParsePreamble(f *testing.F) {
	f.Add("VAULTPAM/1 db1\n")
	f.Add("VAULTPAM/1 db1.prod")
	f.Add("SSH-2.0-Go")
	f.Fuzz(func(t *testing.T, line string) {
		name, err := api.ParsePreamble(line)
		if err != nil {
			return
		}
		if name == "" || len(line) > api.MaxPreamble || api.FormatPreamble(name) != strings.TrimSuffix(line, "\n")+"\n" {
			t.Errorf("%q is the preamble of %q", line, name)
		}
		if again, err := api.ParsePreamble(strings.TrimSuffix(api.FormatPreamble(name), "\n")); err != nil || again != name {
			t.Errorf("%q again: %q, error %v", name, again, err)
		}
	})
}

func TestCheckHost(t *testing.T) {
	for _, s := range []string{
		"pam.example.eu", "pam.example.eu:8443", "localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:443",
		"[2001:db8::1]:22", "a", "1host", "xn--bcher-kva.example", strings.Repeat("a", 63) + ".example",
	} {
		if err := api.CheckHost(s); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{
		"", ":", ":443", "host:", "host:0", "host:65536", "host:0443", "host:+443", "host:https", "host: 443", "host:443:443",
		"::1", "2001:db8::1", "::1:443", "[::1", "::1]", "[::1]:", "[::1]443", "[]", "[]:443", "[127.0.0.1]", "[127.0.0.1]:443", "[host]", "[host]:443",
		"[fe80::1%eth0]", "fe80::1%eth0", "-oProxyCommand=sh", "-host:443", ".host", "host name", "host\n", "host/path", "user@host", "host#x", "host?x",
		"hóst", "h\x00st", "a,b", "$(id)", "*.example", strings.Repeat("a", 254),
	} {
		if err := api.CheckHost(s); err == nil {
			t.Errorf("%q is accepted", s)
		}
	}
}

// FuzzCheckHost: what is accepted means nothing else on a command line, in a
// URL or in a file of many lines.
func FuzzCheckHost(f *testing.F) {
	for _, s := range []string{"pam.example.eu:8443", "[::1]:443", "127.0.0.1", "::1", "[host]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if api.CheckHost(s) != nil {
			return
		}
		if s == "" || s[0] == '-' || strings.ContainsFunc(s, func(r rune) bool {
			return r > '~' || !strings.ContainsRune("[]:.-", r) && (r < '0' || r > '9') && (r|32 < 'a' || r|32 > 'z')
		}) {
			t.Errorf("%q is accepted", s)
		}
		if strings.Count(s, ":") > 1 && s[0] != '[' {
			t.Errorf("%q: where does the port begin?", s)
		}
		i := api.Invitation{Host: s}
		if got, err := api.ParseInvitation(i.String()); err != nil || got.Host != s {
			t.Errorf("an invitation to %q: %+v, error %v", s, got, err)
		}
	})
}

func invitation(pin int) api.Invitation {
	i := api.Invitation{Host: "pam.example.eu:8443"}
	for n := range i.Token {
		i.Token[n] = byte(250 + n)
	}
	for n := range pin {
		i.Pin = append(i.Pin, byte(n))
	}
	return i
}

func TestParseInvitation(t *testing.T) {
	for _, pin := range []int{0, 32} {
		want := invitation(pin)
		got, err := api.ParseInvitation(want.String())
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", want, err, diff)
		}
	}
	plain, pinned := invitation(0).String(), invitation(32).String()
	token := plain[strings.Index(plain, "#")+1:]
	for name, s := range map[string]string{
		"empty":                  "",
		"http":                   strings.Replace(plain, "https", "http", 1),
		"upper case scheme":      strings.Replace(plain, "https", "HTTPS", 1),
		"no host":                "https:///enroll#" + token,
		"a user":                 strings.Replace(plain, "pam.", "me@pam.", 1),
		"a password":             strings.Replace(plain, "pam.", "me:x@pam.", 1),
		"another path":           strings.Replace(plain, "/enroll", "/enrol", 1),
		"a path that is escaped": strings.Replace(plain, "/enroll", "/%65nroll", 1),
		"a slash more":           strings.Replace(plain, "/enroll", "/enroll/", 1),
		"a query":                strings.Replace(plain, "#", "?x=y#", 1),
		"an empty query":         strings.Replace(plain, "#", "?#", 1),
		"no token":               strings.TrimSuffix(plain, token),
		"no fragment":            strings.TrimSuffix(plain, "#"+token),
		"a short token":          plain[:len(plain)-1],
		"a long token":           plain + "A",
		"padding":                plain + "=",
		"bits that don't count":  plain[:len(plain)-1] + "B",
		"another alphabet":       strings.Replace(plain, token[:1], "+", 1),
		"escaped":                strings.Replace(plain, "#"+token[:1], fmt.Sprintf("#%%%02X", token[0]), 1),
		"an empty pin":           plain + ".",
		"a short pin":            pinned[:len(pinned)-1],
		"a long pin":             pinned + "A",
		"two pins":               pinned + "." + token,
		"a space":                plain + " ",
		"a newline":              plain + "\n",
		"a port of 0":            strings.Replace(plain, "8443", "0", 1),
		"a bare IPv6 address":    strings.Replace(plain, "pam.example.eu:8443", "2001:db8::1", 1),
		"an option":              strings.Replace(plain, "pam.example.eu:8443", "-oProxyCommand", 1),
		"long":                   plain + strings.Repeat("A", 1000),
	} {
		if got, err := api.ParseInvitation(s); !errors.Is(err, api.ErrInvitation) || !cmp.Equal(got, api.Invitation{}) {
			t.Errorf("%s: %+v, error %v, want ErrInvitation", name, got, err)
		}
	}
}

// FuzzParseInvitation: what is accepted is the one text form of what it says.
func FuzzParseInvitation(f *testing.F) {
	f.Add(invitation(0).String())
	f.Add(invitation(32).String())
	f.Add("https://[::1]:8443/enroll#" + strings.Repeat("A", 43))
	f.Add(api.JoinLink(invitation(32)).String())
	f.Fuzz(func(t *testing.T, s string) {
		if j, err := api.ParseJoinLink(s); err == nil && (j.String() != s || api.CheckHost(j.Host) != nil || len(j.Pin) != 0 && len(j.Pin) != 32) {
			t.Errorf("%q is the join token %+v, which is %q", s, j, j)
		}
		i, err := api.ParseInvitation(s)
		if err != nil {
			return
		}
		if i.String() != s || api.CheckHost(i.Host) != nil || len(i.Pin) != 0 && len(i.Pin) != 32 {
			t.Errorf("%q is %+v, which is %q", s, i, i)
		}
	})
}

// TestRoutes walks the table of who may do what.
func TestRoutes(t *testing.T) {
	routes := api.Routes()
	mux := http.NewServeMux() // panics on patterns that are malformed or collide
	seen := map[string]bool{}
	for _, r := range routes {
		if seen[r.Pattern()] {
			t.Errorf("%s twice", r.Pattern())
			continue
		}
		seen[r.Pattern()] = true
		mux.Handle(r.Pattern(), http.NotFoundHandler())
		if !slices.Contains([]string{"GET", "POST", "DELETE"}, r.Method) || !strings.HasPrefix(r.Path, "/v1/") || r.Does == "" {
			t.Errorf("%+v", r)
		}
		if !slices.Contains([]api.Who{api.WhoAnybody, api.WhoSignedIn, api.WhoAlsoBots, api.WhoAdministrator, api.WhoAuditor, api.WhoAnswerer, api.WhoReader}, r.Who) {
			t.Errorf("%s is for %q", r.Pattern(), r.Who)
		}
		if strings.HasPrefix(r.Path, "/v1/admin/") && r.Method != "GET" && r.Who != api.WhoAdministrator {
			t.Errorf("%s is for %s", r.Pattern(), r.Who)
		}
		if strings.HasPrefix(r.Path, "/v1/admin/") && r.Who != api.WhoAdministrator && r.Who != api.WhoReader {
			t.Errorf("%s is for %s", r.Pattern(), r.Who)
		}
	}
	var open []string
	for _, r := range routes {
		if r.Who == api.WhoAnybody {
			open = append(open, r.Pattern())
		}
	}
	var bots []string
	for _, r := range routes {
		if r.Who == api.WhoAlsoBots {
			bots = append(bots, r.Pattern())
		}
	}
	if diff := cmp.Diff([]string{"POST /v1/signout", "GET /v1/status", "POST /v1/certificate", "POST /v1/certificate/direct", "GET /v1/targets", "GET /v1/explain"}, bots); diff != "" {
		t.Errorf("routes for bots (-want +got):\n%s", diff)
	}
	// Another open door is a decision, not an oversight.
	want := []string{"GET /v1/info", "POST /v1/enroll/begin", "POST /v1/enroll/finish", "POST /v1/signin", "GET /v1/checkpoint",
		// Sign-in by a browser, and what its pages ask.
		"POST /v1/signin/browser", "POST /v1/signin/redeem", "POST /v1/enroll/passkey", "POST /v1/ceremonies/{id}/begin",
		"POST /v1/ceremonies/{id}/finish", "POST /v1/ceremonies/{id}/register", "POST /v1/ceremonies/{id}/deny", "POST /v1/device/find",
		"POST /v1/ceremonies/{id}/sso", "POST /v1/sso/finish", "POST /v1/ceremonies/{id}/code",
		// A bot has nobody to open a browser.
		"POST /v1/bots/challenge", "POST /v1/bots/signin", "POST /v1/bots/join",
	}
	if diff := cmp.Diff(want, open); diff != "" {
		t.Errorf("routes for anybody (-want +got):\n%s", diff)
	}
}

// TestErrors: every kind has a status of its own, and a stranger's kind is an
// error inside.
func TestErrors(t *testing.T) {
	seen := map[int]api.Kind{}
	for _, k := range []api.Kind{
		api.KindInvalid, api.KindUnauthenticated, api.KindForbidden, api.KindNotFound,
		api.KindConflict, api.KindLimited, api.KindUnavailable, api.KindInternal,
	} {
		e := api.NewError(k, "vaultpam login", "no %s here", "db1")
		if e.Error() != "no db1 here" || e.Hint != "vaultpam login" || e.Type != "urn:vaultpam:error:"+string(k) || e.Title == "" || e.Status < 400 {
			t.Errorf("%+v", e)
		}
		if other, ok := seen[e.Status]; ok {
			t.Errorf("%s and %s share the status %d", k, other, e.Status)
		}
		seen[e.Status] = k
	}
	if got := api.Kind("teapot").Status(); got != http.StatusInternalServerError {
		t.Errorf("an unknown kind has the status %d", got)
	}
}
