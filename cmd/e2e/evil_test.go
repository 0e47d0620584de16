//go:build linux

package e2e_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// evilName is where somebody serves a page that people are lured to.
const evilName = "evil.test"

// evilPage tries what a page of another origin can try against a server and against
// a program that waits on a port of this machine, and lists what became of it. What
// to attack is in its query: server=ORIGIN, id=CEREMONY, port=PORT.
const evilPage = `<!doctype html><html lang="en"><meta charset="utf-8"><link rel="icon" href="data:,"><title>Nice things</title>
<h1>Nice things</h1><ul></ul><script type="module">
const q = new URLSearchParams(location.search);
const server = q.get("server"), page = server + "/signin/" + q.get("id"), call = server + "/v1/ceremonies/" + q.get("id") + "/";
const back = "http://127.0.0.1:" + q.get("port") + "/?code=AAAA&state=guess";
const tell = (text) => document.querySelector("ul").appendChild(document.createElement("li")).textContent = text;
const attempt = async (what, how) => {
  try { tell(what + ": " + await how()); } catch (e) { tell(what + ": " + e.name); }
};
const frame = document.createElement("iframe");
await attempt("frame", () => new Promise((loaded) => {
  frame.onload = () => { try { loaded(frame.contentWindow.location.href); } catch (e) { loaded(e.name + " " + frame.contentWindow.length); } };
  frame.src = page;
  document.body.append(frame);
}));
await attempt("read", async () => (await fetch(page, { credentials: "include" })).text());
await attempt("call", async () => (await fetch(call + "begin", { method: "POST", credentials: "include", headers: { "content-type": "application/json" }, body: "{}" })).text());
await attempt("blind call", async () => (await fetch(call + "deny", { method: "POST", mode: "no-cors", credentials: "include", body: "{}" })).type);
await attempt("passkey", async () => (await navigator.credentials.get({ publicKey: { challenge: new Uint8Array(32), rpId: "localhost", userVerification: "required" } })).type);
await attempt("loopback", async () => (await fetch(back)).text());
await attempt("blind loopback", async () => (await fetch(back, { mode: "no-cors" })).type);
await attempt("loopback picture", () => new Promise((loaded) => {
  const picture = new Image();
  picture.onload = () => loaded("loaded");
  picture.onerror = () => loaded("nothing");
  picture.src = back;
}));
const sent = document.createElement("iframe");
sent.name = "sent";
document.body.append(sent);
await attempt("form", () => new Promise((done) => {
  const form = document.createElement("form");
  form.action = call + "deny"; form.method = "post"; form.enctype = "text/plain"; form.target = "sent";
  form.innerHTML = '<input name="{}">';
  document.body.append(form);
  sent.onload = () => { try { done(sent.contentWindow.location.href); } catch (e) { done(e.name); } };
  form.submit();
}));
tell("That was all.");
</script></html>`

// doEvil serves evilPage until the script ends, at $evil.
func (w *world) doEvil(ts *script, args []string) error {
	if err := want(args, 0, 0); err != nil {
		return err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(w.site, "cert.pem"), filepath.Join(w.site, "key.pem"))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}}, ReadHeaderTimeout: patience,
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(rw, evilPage) // a browser that has gone is tried by nothing
		}),
	}
	go func() { _ = s.ServeTLS(l, "", "") }() // ends with the script
	ts.Defer(func() { _ = s.Close() })
	ts.Setenv("evil", "https://"+evilName+":"+strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	return nil
}

// doListens sets a variable to the port that a program of the script waits on, which
// every program of the machine can find out.
func (w *world) doListens(ts *script, args []string) error {
	p, err := w.process(args[min(1, len(args)):], 1, 1)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		port, err := listens(p.cmd.Process.Pid)
		if err != nil || port != "" {
			ts.Setenv(args[0], port)
			return err
		}
		select {
		case <-tick.C:
		case <-end:
			return errors.New("it listens nowhere")
		}
	}
}

// listens reads the kernel's table of sockets (proc_pid_net(5)) for one of the
// process's that listens, state 0A.
func listens(pid int) (string, error) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	table, err := os.ReadFile(filepath.Join(proc, "net/tcp"))
	if err != nil {
		return "", err
	}
	open, err := filepath.Glob(filepath.Join(proc, "fd/*"))
	if err != nil {
		return "", err
	}
	sockets := map[string]bool{}
	for _, fd := range open {
		if link, err := os.Readlink(fd); err == nil { // it may just have been closed
			sockets[link] = true
		}
	}
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "0A" || !sockets["socket:["+f[9]+"]"] {
			continue
		}
		_, hex, _ := strings.Cut(f[1], ":")
		port, err := strconv.ParseUint(hex, 16, 16)
		return fmt.Sprint(port), err
	}
	return "", nil
}
