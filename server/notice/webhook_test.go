package notice_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/server/notice"
)

func aBody() notice.HookBody {
	return notice.HookBody{Type: notice.FactorEnrolled, Timestamp: time.Unix(1_800_000_000, 0).UTC(), Data: notice.HookData{Server: serverName, Entry: 7}}
}

// TestHookSignature is the example that Standard Webhooks' own libraries test
// with.
func TestHookSignature(t *testing.T) {
	secrets, err := notice.ParseHookSecrets([]byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := notice.Sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestHook(t *testing.T) {
	r := newReceiver(t)
	h := newHook(t, r.config())
	if err := h.Send(t.Context(), "msg_a", aBody()); err != nil {
		t.Fatal(err)
	}
	if got := r.next(); got.id != "msg_a" || got.body != aBody() || time.Since(got.at) > patience {
		t.Errorf("%+v", got)
	}
	stranger := newHook(t, notice.HookConfig{URL: r.server.URL, Now: time.Now, Secrets: r.config().Secrets})
	if err := stranger.Send(t.Context(), "msg_b", aBody()); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("to a receiver of an unknown authority: %v", err)
	}
	lost := r.config()
	lost.Secrets = func() ([][]byte, error) { return nil, errRefused }
	if err := newHook(t, lost).Send(t.Context(), "msg_c", aBody()); err == nil || !strings.Contains(err.Error(), "reading the webhook's secret") {
		t.Errorf("without a secret: %v", err)
	}
	if len(r.calls) != 0 {
		t.Error("a call that should not have been")
	}
}

// TestHookAnswers: none but 2xx is taken for a yes, and the URL, which may hold a
// secret of the receiver's, is in no error.
func TestHookAnswers(t *testing.T) {
	r := newReceiver(t)
	for _, code := range []int{200, 201, 202, 204, 301, 302, 303, 307, 308, 400, 401, 403, 404, 408, 410, 413, 429, 500, 502, 503, 504} {
		r.answers(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
		err := newHook(t, r.config()).Send(t.Context(), "msg_a", aBody())
		if (err == nil) != (code < 300) || err != nil && strings.Contains(err.Error(), "from=vaultpam") {
			t.Errorf("%d: %v", code, err)
		}
		r.next()
	}
	r.server.Close()
	if err := newHook(t, r.config()).Send(t.Context(), "msg_a", aBody()); err == nil || strings.Contains(err.Error(), "from=vaultpam") {
		t.Errorf("nobody there: %v", err)
	}
}

// TestHookIsNotLed: a redirect leads a call nowhere, whatever its code.
func TestHookIsNotLed(t *testing.T) {
	r := newReceiver(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a call was led here") }))
	defer elsewhere.Close()
	for _, code := range []int{301, 302, 303, 307, 308} {
		r.answers(func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, elsewhere.URL, code) })
		if err := newHook(t, r.config()).Send(t.Context(), "msg_a", aBody()); err == nil || !strings.Contains(err.Error(), "not followed") {
			t.Errorf("%d: %v", code, err)
		}
		r.next()
	}
}

// TestS32SlowReceiver: one that does not answer, and one that does not stop.
func TestS32SlowReceiver(t *testing.T) {
	r := newReceiver(t)
	h := newHook(t, r.config())
	h.Impatient(200 * time.Millisecond)
	r.answers(func(_ http.ResponseWriter, q *http.Request) {
		<-q.Context().Done()
		panic(http.ErrAbortHandler) // or 200 would be on its way when the caller goes
	})
	if err := h.Send(t.Context(), "msg_a", aBody()); err == nil {
		t.Error("an answer that never came")
	}
	r.answers(func(w http.ResponseWriter, q *http.Request) {
		for q.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 1<<16)); err != nil {
				return
			}
		}
	})
	if err := newHook(t, r.config()).Send(t.Context(), "msg_b", aBody()); err != nil {
		t.Errorf("an answer without an end says 200: %v", err)
	}
}

func TestHookSecrets(t *testing.T) {
	secret := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(random(n)) }
	for text, want := range map[string]int{
		secret(24): 1, secret(64) + "\n": 1, "\n " + secret(32) + "\r\n" + secret(32) + "\n\n": 2,
		secret(24) + "\n" + secret(24) + "\n" + secret(24) + "\n" + secret(24): 4,
	} {
		if got, err := notice.ParseHookSecrets([]byte(text)); err != nil || len(got) != want {
			t.Errorf("%q: %d secrets, error %v", text, len(got), err)
		}
	}
	for _, text := range []string{
		"", "\n", secret(23), secret(65), "whsec_", "whsec_!", strings.TrimPrefix(secret(24), "whsec_"), secret(24) + "\nx", secret(24) + " " + secret(24),
		strings.Repeat(secret(24)+"\n", 5),
	} {
		if got, err := notice.ParseHookSecrets([]byte(text)); err == nil || got != nil {
			t.Errorf("%q: %d secrets", text, len(got))
		} else if text != "" && len(text) > 10 && strings.Contains(err.Error(), text[6:16]) {
			t.Errorf("the error repeats the secret: %v", err)
		}
	}
}

func TestHookURLs(t *testing.T) {
	for _, good := range []string{"https://hook.example.eu", "https://hook.example.eu:8443/a?b=c", "http://127.0.0.1:80/x", "http://[::1]:9/"} {
		if err := notice.CheckHookURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "hook.example.eu", "http://hook.example.eu", "http://localhost/", "http://127.0.0.1.example.eu/", "http://10.0.0.1/", "https://", "ftp://a/",
		"https://a:b@hook.example.eu", "https://hook.example.eu/#x", "file:///etc/passwd", "https://hook.example.eu/\n", "HTTP://hook.example.eu",
	} {
		if err := notice.CheckHookURL(bad); err == nil {
			t.Errorf("%q: accepted", bad)
		}
		if _, err := notice.NewHook(notice.HookConfig{URL: bad, Now: time.Now, Secrets: func() ([][]byte, error) { return nil, nil }}); err == nil {
			t.Errorf("%q: a hook", bad)
		}
	}
	for name, c := range map[string]notice.HookConfig{
		"nothing": {}, "no secrets": {URL: "https://a", Now: time.Now}, "no clock": {URL: "https://a", Secrets: func() ([][]byte, error) { return nil, nil }},
	} {
		if _, err := notice.NewHook(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
