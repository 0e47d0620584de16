package browser_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
)

// pages are what the servers of these tests show.
var pages = map[string]string{
	"/":       `<p>Hello`,
	"/throws": `<script>throw new Error("on purpose")</script>`,
	"/logs":   `<script>console.error("said", 7); console.log("not a fault")</script>`,
	"/lacks":  `<img src="/missing.png" alt="">`,
	"/twins":  `<button>Go</button><button>Go</button>`,
	"/form": `<form onsubmit="event.preventDefault(); document.title = 'sent ' + word.value; said.textContent = document.title">
		<label for="word">Word</label><input id="word" value="old"> <button>Send</button>
		<button type="button" disabled>Never</button><button type="button" hidden>Unseen</button> <p id="said"></p></form>`,
	"/asks":  `<script>fetch("/v1/x", {method: "POST"}).then((r) => document.body.append("answer " + r.status))</script>`,
	"/later": `<script>setTimeout(() => { document.body.innerHTML = "<button onclick=\"document.body.append('clicked')\">Late</button>" }, 200)</script>`,
	"/wide":  `<p style="width: 500px">wide</p>`,
}

func site(w http.ResponseWriter, r *http.Request) {
	page, ok := pages[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, `<!doctype html><html lang="en"><title>t</title><link rel="icon" href="data:,"><body>`+page)
}

// open starts a browser and a server that it reaches at the URL.
func open(t *testing.T) (b *browser.Browser, url string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(site))
	t.Cleanup(s.Close)
	return browser.Open(t, browser.Options{}), s.URL
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestComplaints(t *testing.T) {
	b, url := open(t)
	for path, want := range map[string][]string{
		"/":       nil,
		"/throws": {"on purpose"},
		"/logs":   {"said 7"},
		"/lacks":  {"/missing.png"},
	} {
		ok(t, b.Goto(url+path))
		got := b.Complaints()
		if len(got) != len(want) || len(want) == 1 && !strings.Contains(got[0], want[0]) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	// What the API refuses is for the page to say.
	ok(t, b.Goto(url+"/asks"))
	ok(t, b.See("answer 404"))
	if got := b.Complaints(); got != nil {
		t.Errorf("a refusal of the API is a fault: %q", got)
	}
	if again := b.Complaints(); again != nil {
		t.Errorf("complaints are told twice: %q", again)
	}
}

func TestCloseTellsComplaints(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(site))
	t.Cleanup(s.Close)
	b, err := browser.Start(t.Context(), browser.Options{Dir: t.TempDir()})
	ok(t, err)
	ok(t, b.Goto(s.URL+"/throws"))
	if err := b.Close(); err == nil || !strings.Contains(err.Error(), "on purpose") {
		t.Errorf("closing says %v, want the page's exception", err)
	}
}

// No process outlives Close.
func TestCloseEndsEverything(t *testing.T) {
	dir := t.TempDir()
	b, err := browser.Start(t.Context(), browser.Options{Dir: dir})
	ok(t, err)
	if n := running(t, dir); n == 0 {
		t.Error("no process has the profile: this test sees nothing")
	}
	ok(t, b.Close())
	if n := running(t, dir); n != 0 {
		t.Errorf("%d processes are left", n)
	}
}

// running counts Chromium's processes whose profile is below a directory.
func running(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir("/proc")
	ok(t, err)
	n := 0
	for _, p := range all {
		line, _ := os.ReadFile("/proc/" + p.Name() + "/cmdline") // it may just have ended
		if strings.Contains(string(line), "--user-data-dir="+dir) {
			n++
		}
	}
	return n
}

func TestControls(t *testing.T) {
	b, url := open(t)
	ok(t, b.Goto(url+"/form"))
	ok(t, b.Fill("Word", "new"))
	ok(t, b.Click("Send"))
	ok(t, b.See("sent new"))
	if on, err := b.Focused(); err != nil || on != "Send" {
		t.Errorf("the focus is on %q (%v), want Send", on, err)
	}
	ok(t, b.Goto(url+"/form"))
	ok(t, b.Press(browser.Tab, "x", "y", browser.Enter))
	ok(t, b.See("sent xy"))
	// What is not there yet is waited for.
	ok(t, b.Goto(url+"/later"))
	ok(t, b.Click("Late"))
	ok(t, b.See("clicked"))
	ok(t, b.Goto(url+"/twins"))
	if err := b.Click("Go"); err == nil || !strings.Contains(err.Error(), `2 controls are named "Go"`) {
		t.Errorf("clicking on one of two: %v", err)
	}
}

// What a person can't use can't be used here.
func TestControlsThatAreNone(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(site))
	t.Cleanup(s.Close)
	b := browser.Open(t, browser.Options{Patience: time.Second})
	ok(t, b.Goto(s.URL+"/form"))
	for _, name := range []string{"Never", "Unseen", "Word or so"} {
		if err := b.Click(name); err == nil || !strings.Contains(err.Error(), `but textbox "Word", button "Send"`) {
			t.Errorf("clicking on %q: %v, want what there is instead", name, err)
		}
	}
	if err := b.See("nothing of the kind"); err == nil || !strings.Contains(err.Error(), `there is no "nothing of the kind"`) {
		t.Errorf("seeing what is not there: %v", err)
	}
}

func TestScreen(t *testing.T) {
	b, url := open(t)
	ok(t, b.Screen(320, 640, browser.Dark))
	ok(t, b.Goto(url+"/wide"))
	if over, err := b.Overflow(); err != nil || over < 100 {
		t.Errorf("500 pixels are %d too wide for 320 (%v)", over, err)
	}
	if dark, err := browser.Evaluate[bool](b, `matchMedia("(prefers-color-scheme: dark)").matches`); err != nil || !dark {
		t.Errorf("the scheme is not dark (%v)", err)
	}
}

// The rules are really looked at: a picture without words breaks one.
func TestAxe(t *testing.T) {
	script, err := browser.AxeScript()
	ok(t, err)
	b, url := open(t)
	ok(t, b.Goto(url+"/"))
	_, err = browser.Evaluate[any](b, `void document.body.appendChild(new Image())`)
	ok(t, err)
	broken, _, err := b.Axe(script)
	ok(t, err)
	var rules []string
	for _, f := range broken {
		rules = append(rules, f.Rule)
	}
	slices.Sort(rules)
	if diff := cmp.Diff([]string{"image-alt", "landmark-one-main", "page-has-heading-one", "region"}, slices.Compact(rules)); diff != "" {
		t.Errorf("rules that are broken (-want +got):\n%s", diff)
	}
}

// The browser reaches what it was given, believes what was pinned, and nothing else.
func TestReach(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(site))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	address := s.Listener.Addr().String()
	o := browser.Options{Map: map[string]string{"pam.example.test": address}}
	unpinned := browser.Open(t, o)
	if err := unpinned.Goto("https://pam.example.test/"); err == nil || !strings.Contains(err.Error(), "ERR_CERT") {
		t.Errorf("a certificate that nobody pinned: %v", err)
	}
	o.SPKI = []string{browser.Pin(s.Certificate())}
	b := browser.Open(t, o)
	ok(t, b.Goto("https://pam.example.test/"))
	ok(t, b.See("Hello"))
	for _, url := range []string{"https://example.test/", "http://localhost:8080/"} {
		if err := b.Goto(url); err == nil || !strings.Contains(err.Error(), "ERR_NAME_NOT_RESOLVED") {
			t.Errorf("%s: %v, want that there is no such name", url, err)
		}
	}
	for _, b := range []*browser.Browser{b, unpinned} {
		for _, c := range b.Complaints() {
			if !strings.Contains(c, "Failed to load resource") {
				t.Error(c)
			}
		}
	}
}
