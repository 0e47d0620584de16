package server_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/server/api"
)

// kinds are the kinds of errors with what a client does about them.
var kinds = []struct {
	kind api.Kind
	says string
}{
	{api.KindInvalid, "the request itself is wrong and will stay wrong"},
	{api.KindUnauthenticated, "nobody is signed in, or the proof was not accepted"},
	{api.KindForbidden, "somebody is signed in and may not do this, or a web page of another origin asked"},
	{api.KindNotFound, "what the request names is not there; also the answer to an unknown path or method"},
	{api.KindConflict, "what the request wants is at odds with what is there"},
	{api.KindLimited, "too many attempts; `retry_after` and the header Retry-After say in how many seconds to try again, where waiting helps"},
	{api.KindUnavailable, "the server can't decide or can't write at the moment; nothing was done, or nobody knows"},
	{api.KindInternal, "something that the server does not explain to strangers; its log does"},
}

func reference(types map[string]string) []byte {
	var b strings.Builder
	b.WriteString(`# The HTTPS API

Written from the table of routes by ` + "`go test ./server -run TestAPIReference -update`" + `.

JSON over HTTPS (TLS 1.3), on the address that ` + "`public.https`" + ` names. Clients recognise the server by the pin in their
invitation, the SHA-256 hash of its certificate's SubjectPublicKeyInfo. The types of requests and answers, field by field, are
in [types.go](../server/api/types.go), [signin.go](../server/api/signin.go), [bot.go](../server/api/bot.go) and [review.go](../server/api/review.go).

## Who is calling

` + fmt.Sprintf("`%s: Bearer TOKEN`", api.TokenHeader) + ` with the token of a sign-in session: 32 bytes in base64url without padding. It counts in this header and
nowhere else. Holding a certificate gives no right here.

` + fmt.Sprintf("`%s: v1 KEY TIME SIGNATURE`", api.ProofHeader) + ` proves that the call was made by the client that holds the key of its sign-in session: an Ed25519 public
key and its signature in base64url without padding, and the seconds since the Unix epoch, at most ` + fmt.Sprintf("%.0f", api.ProofLife.Minutes()) + ` minutes off the server's
clock. What is signed are these lines, each with a line feed: ` + "`vaultpam-proof-v1`" + `, the method, the request target as it stands in the
request line, TIME, the SHA-256 hash of the token in hex (of nothing where there is none), and that of the body. A session's
calls are signed with the key that signed the call which opened it; a token without that key opens nothing. On a connection that was
opened with a certificate for KEY, which the server asks for where ALPN names ` + "`" + api.KeyProtocol + "`" + `, TIME and SIGNATURE are not looked at. A call for
` + "`anybody`" + ` need not be signed, but a proof that is there has to be right.

No body is read for a token that is not one of an open session. An access is held to the column "who" before anything is done,
and a command again where it is decided.

` + "`anybody` needs nothing; `signed-in` a sign-in session of a person's, or of a bot's where it says so; a role also a person who holds it." + `
Of several roles one suffices.

## Routes

| method | path | who | what | request → answer |
|---|---|---|---|---|
`)
	for _, r := range api.Routes() {
		fmt.Fprintf(&b, "| %s | `%s` | %s | %s | %s |\n", r.Method, r.Path, r.Who, strings.ReplaceAll(r.Does, "|", `\|`), types[r.Pattern()])
	}
	fmt.Fprintf(&b, `
POST takes exactly one JSON value of at most %d bytes, without unknown fields; where there is nothing to say, nothing or `+"`{}`"+`.
GET and DELETE have no body. Times are RFC 3339; bytes are base64, as encoding/json writes them.

Searches (`+"`/v1/entries`, `/v1/sessions`"+`) answer the newest first. `+"`user`"+` is a handle or an ID (`+"`u:…`"+`), `+"`target`"+` a name: both find
everybody and everything that ever bore the name. `+"`since`"+` is included, `+"`until` and `before`"+` (an index) are not. `+"`limit`"+` is 1 to 1000,
100 where it is left out. An answer's `+"`next`"+` is the `+"`before`"+` of the page after it; without one there is none.

## Errors

An answer other than 200 is `+"`application/problem+json`"+` (RFC 9457): `+"`kind`, `type` (`urn:vaultpam:error:KIND`), `title`, `status`,\n`detail`"+`, a sentence for the user, and often `+"`hint`"+`, what to do next. The kinds are a closed set; a client reads one that it does
not know as `+"`internal`"+`.

| kind | status | when |
|---|---|---|
`, api.MaxBody)
	for _, k := range kinds {
		fmt.Fprintf(&b, "| `%s` | %d %s | %s |\n", k.kind, k.kind.Status(), http.StatusText(k.kind.Status()), k.says)
	}
	b.WriteString(`
## The local socket

` + "`vaultpamd.sock`" + ` in the data directory speaks the same to whoever may open it, the administrator on the machine. Entries made
here say so.

| method | path | what |
|---|---|---|
`)
	for _, r := range []api.Route{server.RouteLocalStatus, server.RouteLocalSetup, server.RouteLocalPlaybook, server.RouteLocalSetting, server.RouteLocalSettings, server.RouteLocalClock, server.RouteLocalBackup, server.RouteLocalRecovery, server.RouteLocalRecover, server.RouteLocalRecoveryStop} {
		fmt.Fprintf(&b, "| %s | `%s` | %s |\n", r.Method, r.Path, r.Does)
	}
	return []byte(b.String())
}

func TestAPIReference(t *testing.T) {
	var have []string
	for _, k := range kinds {
		have = append(have, string(k.kind))
	}
	if diff := cmp.Diff(words(t, filepath.Join("api", "error.go"), "Kind"), have); diff != "" {
		t.Errorf("kinds of errors (-) and those of the page (+):\n%s", diff)
	}
	golden(t, filepath.Join("..", "docs", "api.md"), reference(routeTypes(t)))
}

// Every setting, every variable and every file of a data directory has its line.
func TestConfigurationReference(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	rows := map[string]string{} // the first cell of each row
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows[strings.Trim(strings.TrimSpace(cells[1]), "`")] = line
		}
	}
	for name, v := range variables(reflect.TypeFor[server.Config](), nil, "") {
		if row := rows[v.field]; !strings.Contains(row, "`"+name+"`") {
			t.Errorf("no row with %s and %s: %q", v.field, name, row)
		}
	}
	c, err := server.ParseConfig([]byte("name: pam.example.eu\npublic: {https: 'pam.example.eu:443', ssh: 'pam.example.eu:2222'}\n"), noEnv)
	if err != nil {
		t.Fatal(err)
	}
	for field, value := range map[string]string{"suffix": c.Suffix, "listen.https": c.Listen.HTTPS, "listen.ssh": c.Listen.SSH, "log.level": c.Log.Level, "check_targets": c.CheckTargets, "tls.mode": string(c.TLS.Mode), "tls.accept_terms": strconv.FormatBool(c.TLS.AcceptTerms)} {
		if row := rows[field]; !strings.Contains(row, "| `"+value+"` |") {
			t.Errorf("the default of %s is %s: %q", field, value, row)
		}
	}
	for _, name := range []string{"VAULTPAMD_DIR", "VAULTPAM_HOME", "VAULTPAM_KEYRING", "SSH_AUTH_SOCK"} {
		if rows[name] == "" {
			t.Errorf("no row for %s", name)
		}
	}
	s := newSite(t).run()
	for name, mode := range s.modes() {
		if row := rows[name]; !strings.Contains(row, fmt.Sprintf("| %04o |", mode)) {
			t.Errorf("no row for %s with mode %04o: %q", name, mode, row)
		}
	}
}
