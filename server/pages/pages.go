package pages

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
)

//go:embed templates static
var files embed.FS

// policy is the content security policy of every page. Trusted Types are required
// and none are made, so that a script that writes markup fails (W3C CSP 3, Trusted
// Types).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Pages renders pages and serves what they load. It may be used concurrently.
type Pages struct {
	templates map[string]*template.Template
	static    assets
}

// New reads the templates and names the files by their content.
func New() (*Pages, error) {
	static, err := loadAssets(files)
	if err != nil {
		return nil, fmt.Errorf("reading the pages' files: %w", err)
	}
	p := &Pages{templates: map[string]*template.Template{}, static: static}
	for _, page := range []Page{Enrol{}, SignIn{}, Device{}, SSO{}, Message{}} {
		name := page.template()
		t, err := template.New("layout.html").Option("missingkey=error").
			Funcs(template.FuncMap{"static": static.path}).
			ParseFS(files, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, fmt.Errorf("reading the page %s: %w", name, err)
		}
		p.templates[name] = t
	}
	return p, nil
}

// Write renders a page. It writes nothing where its error is not nil and the page
// itself is wrong: then the caller can still answer something else.
func (p *Pages) Write(w http.ResponseWriter, status int, page Page) error {
	if page == nil {
		return errors.New("no page to write")
	}
	if err := page.check(); err != nil {
		return err
	}
	var body bytes.Buffer
	if err := p.templates[page.template()].Execute(&body, page); err != nil {
		return fmt.Errorf("rendering the page %s: %w", page.template(), err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	// What a page shows is for one person, once.
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	// Passkeys for this origin alone, and nothing else that a browser could ask for.
	h.Set("Permissions-Policy", "publickey-credentials-get=(self), publickey-credentials-create=(self), "+
		"clipboard-write=(self), camera=(), microphone=(), geolocation=()")
	// Whoever opened this window keeps no handle to it.
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	w.WriteHeader(status)
	_, err := w.Write(body.Bytes())
	return err
}
