package pages_test

import (
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/pages"
)

func newPages(t *testing.T) *pages.Pages {
	t.Helper()
	p, err := pages.New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, p *pages.Pages, page pages.Page) string {
	t.Helper()
	w := httptest.NewRecorder()
	if err := p.Write(w, http.StatusOK, page); err != nil {
		t.Fatal(err)
	}
	return w.Body.String()
}

// whole is a sign-in page with everything on it.
func whole() pages.SignIn {
	return pages.SignIn{
		ID: "c1", Server: siteName, Purpose: pages.ToConfirm, What: "root@db1 wants a fresh touch",
		Machine: "carols-laptop", Program: "vaultpam 1.4", Address: "192.0.2.7", Age: "20 seconds ago",
		CodeShown: "BDFG-HJKL", SSO: "Example Login",
	}
}

func TestSignInSaysWhoAsks(t *testing.T) {
	body := write(t, newPages(t), whole())
	for _, want := range []string{siteName, "root@db1 wants a fresh touch", "carols-laptop", "vaultpam 1.4", "192.0.2.7", "20 seconds ago", "BDFG-HJKL", "Sign in with Example Login", `data-ceremony="c1"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

// A page that would not say what it has to is not written at all.
func TestIncompletePagesAreRefused(t *testing.T) {
	p := newPages(t)
	less := func(change func(*pages.SignIn)) pages.SignIn {
		s := whole()
		change(&s)
		return s
	}
	for name, page := range map[string]pages.Page{
		"no page":                     nil,
		"nothing":                     pages.SignIn{},
		"enrol without a server":      pages.Enrol{},
		"device without a server":     pages.Device{},
		"sso without a server":        pages.SSO{Provider: "Example Login"},
		"sso without a provider":      pages.SSO{Server: siteName},
		"message without a text":      pages.Message{Title: "Refused"},
		"message without a title":     pages.Message{Text: "It was refused."},
		"no server":                   less(func(s *pages.SignIn) { s.Server = "" }),
		"no ceremony":                 less(func(s *pages.SignIn) { s.ID = "" }),
		"a ceremony that is a path":   less(func(s *pages.SignIn) { s.ID = "../x" }),
		"no machine":                  less(func(s *pages.SignIn) { s.Machine = "" }),
		"no address":                  less(func(s *pages.SignIn) { s.Address = "" }),
		"no age":                      less(func(s *pages.SignIn) { s.Age = "" }),
		"no purpose":                  less(func(s *pages.SignIn) { s.Purpose = "" }),
		"another purpose":             less(func(s *pages.SignIn) { s.Purpose = "delete" }),
		"to confirm nothing":          less(func(s *pages.SignIn) { s.What = "" }),
		"to sign in to something":     less(func(s *pages.SignIn) { s.Purpose = pages.ToSignIn }),
		"to add a passkey to nothing": less(func(s *pages.SignIn) { s.Purpose = pages.ToAddPasskey }),
	} {
		w := httptest.NewRecorder()
		if err := p.Write(w, http.StatusOK, page); err == nil || w.Body.Len() > 0 || len(w.Header()) > 0 {
			t.Errorf("%s: error %v, %d bytes, headers %v; want an error and nothing else", name, err, w.Body.Len(), w.Header())
		}
	}
}

func TestHeaders(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Security-Policy", "default-src 'none'") // of the API, for data
	if err := newPages(t).Write(w, http.StatusNotFound, pages.Message{Title: "Not found", Text: "There is nothing here."}); err != nil {
		t.Fatal(err)
	}
	want := http.Header{
		"Content-Type":                 {"text/html; charset=utf-8"},
		"Cache-Control":                {"no-store"},
		"X-Content-Type-Options":       {"nosniff"},
		"Referrer-Policy":              {"no-referrer"},
		"Cross-Origin-Opener-Policy":   {"same-origin"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Permissions-Policy":           {"publickey-credentials-get=(self), publickey-credentials-create=(self), clipboard-write=(self), camera=(), microphone=(), geolocation=()"},
		"Content-Security-Policy": {"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
			"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"},
	}
	if diff := cmp.Diff(want, w.Header()); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	if w.Code != http.StatusNotFound {
		t.Errorf("status %d, want 404", w.Code)
	}
}

// everything is every page, filled in.
func everything(text string) []pages.Page {
	s := whole()
	s.Machine, s.Program, s.Address, s.Age, s.What, s.CodeShown, s.SSO = text, text, text, text, text, text, text
	add := s
	add.Purpose, add.What = pages.ToAddPasskey, ""
	return []pages.Page{
		pages.Enrol{Server: text, PasskeyRefusal: text}, pages.Device{Server: text}, s, add,
		pages.SSO{Server: text, Provider: text},
		pages.Message{Server: text, Title: text, Text: text, Hint: text},
	}
}

// The policy forbids inline script and style, and files from elsewhere: here there
// is nothing to forbid.
func TestNothingInline(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|<base|\s(?:style|on[a-z]+)=|javascript:|</script>.*</script>`)
	loaded := regexp.MustCompile(`(?:src|href|action)="([^"]*)"`)
	script := regexp.MustCompile(`<script[^>]*>[^<]*`)
	for _, page := range everything("x") {
		body := write(t, newPages(t), page)
		if found := inline.FindAllString(body, -1); found != nil {
			t.Errorf("%T: %q", page, found)
		}
		for _, m := range loaded.FindAllStringSubmatch(body, -1) {
			if !strings.HasPrefix(m[1], "/static/") {
				t.Errorf("%T loads %s", page, m[0])
			}
		}
		for _, found := range script.FindAllString(body, -1) {
			if !strings.HasPrefix(found, `<script type="module" src="/static/`) || !strings.HasSuffix(found, `.js">`) {
				t.Errorf("%T has the script %q", page, found)
			}
		}
	}
}

func TestS28TextIsNeverMarkup(t *testing.T) {
	const hostile = `"><img src=x onerror=alert(1)></p><script>alert(1)</script>`
	for _, page := range everything(hostile) {
		body := write(t, newPages(t), page)
		if strings.Contains(body, "<img src=x") || strings.Contains(body, "<script>") {
			t.Errorf("%T holds it as markup", page)
		}
		if !strings.Contains(html.UnescapeString(body), hostile) {
			t.Errorf("%T does not show it", page)
		}
	}
}

var linked = regexp.MustCompile(`(?:href|src)="(/static/[^"]+)"`)

// Every file that a page names is there, under a name that changes with it.
func TestStatic(t *testing.T) {
	p := newPages(t)
	named := map[string]bool{}
	for _, page := range everything("x") {
		for _, m := range linked.FindAllStringSubmatch(write(t, p, page), -1) {
			named[m[1]] = true
		}
	}
	if len(named) != 6 {
		t.Errorf("the pages name %v, want a style, an icon and four scripts", named)
	}
	imported := regexp.MustCompile(`from "\./([^"]+)"`)
	for path := range named {
		w := serve(p, http.MethodGet, path)
		for _, m := range imported.FindAllStringSubmatch(w.Body.String(), -1) {
			if got := serve(p, http.MethodGet, "/static/"+m[1]); got.Code != http.StatusOK {
				t.Errorf("%s imports %s, which is %d", path, m[1], got.Code)
			}
		}
		if !regexp.MustCompile(`-[0-9a-f]{16}\.(css|js|svg)$`).MatchString(path) || w.Code != http.StatusOK ||
			w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
}

func serve(p *pages.Pages, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.Static().ServeHTTP(w, httptest.NewRequest(method, path, http.NoBody))
	return w
}

func TestStaticRefuses(t *testing.T) {
	p := newPages(t)
	style := linked.FindStringSubmatch(write(t, p, pages.Device{Server: siteName}))[1]
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/static/", http.StatusNotFound},
		{http.MethodGet, "/static/style.css", http.StatusNotFound},
		{http.MethodGet, "/static/../pages.go", http.StatusNotFound},
		{http.MethodGet, "/static/templates/layout.html", http.StatusNotFound},
		{http.MethodPost, style, http.StatusMethodNotAllowed},
		{http.MethodHead, style, http.StatusOK},
	} {
		w := serve(p, c.method, c.path)
		if w.Code != c.want {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, w.Code, c.want)
		}
		if body, err := io.ReadAll(w.Body); c.method == http.MethodHead && len(body) > 0 {
			t.Errorf("HEAD has a body (%v)", err)
		}
	}
}

func TestQR(t *testing.T) {
	rows, err := pages.QR("otpauth://totp/pam.example.test:carol?secret=JBSWY3DPEHPK3PXP")
	if err != nil || len(rows) < 21 || (len(rows)-17)%4 != 0 {
		t.Fatalf("%d rows (%v), want 17 and a multiple of 4", len(rows), err)
	}
	// The finder pattern of the first corner, ISO/IEC 18004 section 6.3.3.
	var corner []string
	for _, row := range rows[:7] {
		corner = append(corner, row[:8])
	}
	want := []string{"11111110", "10000010", "10111010", "10111010", "10111010", "10000010", "11111110"}
	if diff := cmp.Diff(want, corner); diff != "" {
		t.Errorf("first corner (-want +got):\n%s", diff)
	}
	if _, err := pages.QR(strings.Repeat("x", 4000)); err == nil {
		t.Error("a text that fits no QR code was taken")
	}
}
