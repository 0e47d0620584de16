package pages_test

import (
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/cmd/e2e/browser"
	"github.com/vaultpam/vaultpam/server/pages"
)

// TestS28HostileTextIsText: a handle, a machine and a refusal are shown, and are
// nothing else.
func TestS28HostileTextIsText(t *testing.T) {
	const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
	v := newVisitor(t)
	v.authenticator(browser.Platform)
	evil := newPerson(hostile)
	evil.codes = []string{hostile}
	_, token := v.desk.invite(evil)
	v.opens("/enroll#" + token)
	v.sees("Welcome, " + hostile)
	v.clicks("Make a passkey")
	v.sees(hostile, "Keep your recovery codes")
	c := asked(pages.ToConfirm)
	c.page.Machine, c.page.Program, c.page.Address, c.page.What, c.page.SSO = hostile, hostile, hostile, hostile, hostile
	v.desk.add(c)
	v.opens("/signin/" + c.page.ID)
	shown, err := v.Text()
	if n := strings.Count(shown, hostile); err != nil || n != 5 {
		t.Errorf("the text is shown %d times, want 5 (%v): %s", n, err, shown)
	}
	v.clicks("Confirm with a passkey")
	v.sees("<img src=x", "is signed in on <img src=x")
	for _, script := range []string{`document.querySelectorAll("img:not(.brand img), main script").length`, `Number(document.title === "owned")`} {
		if n, err := browser.Evaluate[int](v.Browser, script); err != nil || n != 0 {
			t.Errorf("%s is %d (%v)", script, n, err)
		}
	}
}

// TestPolicyBites shows that the browser holds the policy and that the harness
// hears of it, so that the silence of the other tests says something.
func TestPolicyBites(t *testing.T) {
	const elsewhere = "https://" + otherName
	v := newVisitor(t)
	for _, c := range []struct{ script, directive string }{
		{`document.body.appendChild(document.createElement("script")).textContent = "document.title = 'owned'"`, "require-trusted-types-for"},
		{`document.body.innerHTML = "<p>owned</p>"`, "require-trusted-types-for"},
		{`document.body.appendChild(document.createElement("script")).src = "` + elsewhere + `/x.js"`, "require-trusted-types-for"},
		{`trustedTypes.createPolicy("default", {})`, "trusted-types"},
		{`document.body.appendChild(document.createElement("button")).setAttribute("onclick", "0")`, "require-trusted-types-for"},
		{`document.body.appendChild(document.createElement("style")).textContent = "p { color: red }"`, "style-src-elem"},
		{`document.body.setAttribute("style", "color: red")`, "style-src-attr"},
		{`document.body.appendChild(new Image()).src = "` + elsewhere + `/x.png"`, "img-src"},
		{`fetch("` + elsewhere + `/v1/x").catch(() => {})`, "connect-src"},
		{`document.body.appendChild(document.createElement("form")).submit()`, "form-action"},
		{`document.head.appendChild(document.createElement("base")).href = "` + elsewhere + `/"`, "base-uri"},
		{`document.body.appendChild(document.createElement("iframe")).src = "` + origin + `/device"`, "frame-src"},
	} {
		v.opens("/device")
		got, err := browser.Evaluate[string](v.Browser, `new Promise((violated) => {
			document.addEventListener("securitypolicyviolation", (e) => violated(e.effectiveDirective));
			try { `+c.script+` } catch {}
		})`)
		if err != nil || got != c.directive {
			t.Errorf("%s violates %q (%v), want %q", c.script, got, err, c.directive)
		}
		if len(v.Complaints()) == 0 {
			t.Errorf("%s: the harness heard nothing", c.script)
		}
	}
}

// TestSmall holds what a page and everything it loads cost.
func TestSmall(t *testing.T) {
	const limit = 32 << 10
	v := newVisitor(t)
	_, token := v.desk.invite(newPerson("carol"))
	v.opens("/enroll#" + token)
	v.sees("Welcome, carol")
	v.desk.mu.Lock()
	defer v.desk.mu.Unlock()
	if v.desk.transferred == 0 || v.desk.transferred > limit {
		t.Errorf("the largest page takes %d bytes, want at most %d", v.desk.transferred, limit)
	}
	t.Logf("%d bytes in %d requests", v.desk.transferred, len(v.desk.seen))
}
