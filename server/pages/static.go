package pages

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// prefix is where Static is mounted.
const prefix = "/static/"

// sources are the files under static in the order in which they can be named: a
// script after those that it imports.
var sources = []string{"style.css", "icon.svg", "base.js", "passkey.js", "enrol.js", "signin.js", "device.js", "sso.js"}

var kinds = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// An asset is a file as it is served. Its name holds the hash of its content, so
// that a browser may keep it for ever.
type asset struct {
	name string // NAME-HASH.EXT
	kind string
	body []byte
}

// assets are found by the names of their sources.
type assets map[string]asset

func loadAssets(files fs.FS) (assets, error) {
	found := assets{}
	for _, source := range sources {
		body, err := fs.ReadFile(files, path.Join("static", source))
		if err != nil {
			return nil, err
		}
		ext := path.Ext(source)
		if ext == ".js" {
			if body, err = found.link(body); err != nil {
				return nil, fmt.Errorf("%s: %w", source, err)
			}
		}
		sum := sha256.Sum256(body)
		name := strings.TrimSuffix(source, ext) + "-" + hex.EncodeToString(sum[:8]) + ext
		found[source] = asset{name: name, kind: kinds[ext], body: body}
	}
	return found, nil
}

// link replaces what a script imports, `from "./base.js"`, by the name under which
// that is served. So a change of one changes the names of all that build on it.
func (a assets) link(script []byte) ([]byte, error) {
	for source, file := range a {
		script = bytes.ReplaceAll(script, []byte(`from "./`+source+`"`), []byte(`from "./`+file.name+`"`))
	}
	for _, source := range sources {
		if bytes.Contains(script, []byte(`from "./`+source+`"`)) {
			return nil, fmt.Errorf("imports %s, which is named after it", source)
		}
	}
	return script, nil
}

// path is where a template finds a file.
func (a assets) path(source string) (string, error) {
	file, ok := a[source]
	if !ok {
		return "", fmt.Errorf("no file %q", source)
	}
	return prefix + file.name, nil
}

// Static serves the files of the pages, at /static/. A name that is not of this
// version is not found.
func (p *Pages) Static() http.Handler {
	served := map[string]asset{}
	for _, file := range p.static {
		served[prefix+file.name] = file
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, ok := served[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD are answered here", http.StatusMethodNotAllowed)
			return
		}
		h := w.Header()
		h.Set("Content-Type", file.kind)
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		http.ServeContent(w, r, file.name, time.Time{}, bytes.NewReader(file.body))
	})
}
