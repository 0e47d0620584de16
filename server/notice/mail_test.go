package notice_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/notice"
)

// read parses a mail as its reader's program does.
func read(t testing.TB, data []byte) readLetter {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(string(data)))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, data)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return readLetter{m.Header, strings.ReplaceAll(string(body), "\r\n", "\n")}
}

func (l readLetter) subject(t testing.TB) string {
	t.Helper()
	s, err := new(mime.WordDecoder).DecodeHeader(l.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestMail: each way to speak to a mail server, to a real one.
func TestMail(t *testing.T) {
	for _, tc := range []struct {
		kind postKind
		tls  notice.MailTLS
	}{{withSTARTTLS, notice.STARTTLS}, {inTLS, notice.ImplicitTLS}, {inTheClear, notice.NoneOnLoopback}} {
		t.Run(string(tc.tls), func(t *testing.T) {
			p := newPost(t, tc.kind)
			m := newMail(t, p.config(tc.tls))
			if err := m.Check(t.Context()); err != nil {
				t.Errorf("checking: %v", err)
			}
			p.nothing()
			if err := m.Send(t.Context(), aMessage("carol@example.eu")); err != nil {
				t.Fatal(err)
			}
			got := p.next()
			if got.from != mailFrom || got.to != "carol@example.eu" || got.user != mailUser || got.secure != (tc.tls != notice.NoneOnLoopback) {
				t.Errorf("%+v", got)
			}
			l := read(t, got.data)
			want := map[string]string{
				"From": `"VaultPAM at pam.example.eu" <vaultpam@example.eu>`, "To": "<carol@example.eu>", "Subject": "A word",
				"Date": "Mon, 02 Nov 2026 12:00:05 +0000", "Message-Id": "<msg_abc@example.eu>", "Auto-Submitted": "auto-generated",
			}
			for name, value := range want {
				if l.Get(name) != value {
					t.Errorf("%s is %q, want %q", name, l.Get(name), value)
				}
			}
			if l.body != "One.\n\nTwo.\n" {
				t.Errorf("body %q", l.body)
			}
		})
	}
}

// TestMailWithoutTLS: where there is no TLS, or not the right one, the server
// hears neither a password nor a mail.
func TestMailWithoutTLS(t *testing.T) {
	plain, secure, other := newPost(t, inTheClear), newPost(t, withSTARTTLS), newPostFor(t, withSTARTTLS, net.IPv4(192, 0, 2, 1))
	strange := secure.config(notice.STARTTLS)
	strange.Roots = x509.NewCertPool()
	for name, tc := range map[string]struct {
		config notice.MailConfig
		want   string
	}{
		"no STARTTLS":       {plain.config(notice.STARTTLS), "offers no STARTTLS"},
		"no TLS":            {plain.config(notice.ImplicitTLS), "connecting to the mail server"},
		"unknown authority": {strange, "certificate signed by unknown authority"},
		"another name":      {other.config(notice.STARTTLS), "certificate is valid for 192.0.2.1"},
	} {
		err := newMail(t, tc.config).Send(t.Context(), aMessage("carol@example.eu"))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, p := range []*post{plain, secure, other} {
		p.nothing()
		if len(p.signIns) != 0 {
			t.Error("somebody signed in")
		}
	}
	// In the clear is for this machine: the address counts that is connected to.
	c := plain.config(notice.NoneOnLoopback)
	c.Host = outside(t)
	if c.Host == "" {
		return
	}
	if err := newMail(t, c).Send(t.Context(), aMessage("carol@example.eu")); err == nil {
		t.Error("a mail in the clear to an address that is not loopback")
	}
}

// outside is an address of this machine that is not loopback, where it has one;
// nothing is sent to it.
func outside(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			return n.IP.String()
		}
	}
	return ""
}

// TestMailRefused: what a mail server says is kept to a line, and a refusal that
// stays is told from one that does not.
func TestMailRefused(t *testing.T) {
	p := newPost(t, withSTARTTLS)
	hostile := "no\x1b[31m " + strings.Repeat("x", 5000)
	for _, tc := range []struct {
		step string
		code int
	}{{"sign-in", 535}, {"from", 550}, {"to", 450}, {"to", 550}, {"data", 451}, {"data", 554}} {
		p.answers(func(step, _ string) error {
			if step == tc.step {
				return &smtp.SMTPError{Code: tc.code, EnhancedCode: smtp.NoEnhancedCode, Message: hostile}
			}
			return nil
		})
		err := newMail(t, p.config(notice.STARTTLS)).Send(t.Context(), aMessage("carol@example.eu"))
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint(tc.code)) || len(err.Error()) > 500 || strings.ContainsAny(err.Error(), "\x1b\r\n") {
			t.Errorf("%s %d: %q", tc.step, tc.code, err)
		}
	}
	p.answers(nil)
	wrong := p.config(notice.STARTTLS)
	wrong.Password = func() (string, error) { return "wrong", nil }
	if err := newMail(t, wrong).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "does not let this server sign in") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong password: %v", err)
	}
	unread := p.config(notice.STARTTLS)
	unread.Password = func() (string, error) { return "", errRefused }
	if err := newMail(t, unread).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "reading the mail server's password") {
		t.Errorf("no password: %v", err)
	}
	p.nothing()
}

func TestNewMailRefuses(t *testing.T) {
	good := notice.MailConfig{Host: "mail", Port: "25", TLS: notice.STARTTLS, From: mailFrom, Server: serverName}
	if _, err := notice.NewMail(good); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*notice.MailConfig){
		"nothing":     func(c *notice.MailConfig) { *c = notice.MailConfig{} },
		"no host":     func(c *notice.MailConfig) { c.Host = "" },
		"no port":     func(c *notice.MailConfig) { c.Port = "" },
		"no sender":   func(c *notice.MailConfig) { c.From = "" },
		"no name":     func(c *notice.MailConfig) { c.Server = "" },
		"no TLS":      func(c *notice.MailConfig) { c.TLS = "" },
		"strange TLS": func(c *notice.MailConfig) { c.TLS = "none" },
		"no password": func(c *notice.MailConfig) { c.Username = "x" },
	} {
		c := good
		spoil(&c)
		if _, err := notice.NewMail(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// FuzzMessage: whatever stands in subject and text, the headers are the ones that
// the package wrote, and the text is the one that was meant.
func FuzzMessage(f *testing.F) {
	f.Add("A word", "One.", "Two.")
	f.Add("x\r\nBcc: eve@example.eu", ".\r\n.\r\nQUIT\r\n", "é \x00=3D")
	f.Add("\u2028", "", strings.Repeat("x", 3000))
	f.Fuzz(func(t *testing.T, subject, one, two string) {
		m := aMessage("carol@example.eu")
		m.Subject, m.Paragraphs = subject, []string{one, two}
		data, err := m.Encoded()
		if err != nil {
			t.Fatal(err)
		}
		head, body, ok := strings.Cut(string(data), "\r\n\r\n")
		if !ok {
			t.Fatalf("no end of the headers in %q", data)
		}
		var names []string
		for line := range strings.SplitSeq(head, "\r\n") {
			name, value, ok := strings.Cut(line, ": ")
			if strings.HasPrefix(line, " ") { // a header goes on
				continue
			}
			if !ok || strings.ContainsAny(value, "\r\n\x00") {
				t.Fatalf("header %q", line)
			}
			names = append(names, name)
		}
		if diff := cmp.Diff([]string{"From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}, names); diff != "" {
			t.Fatalf("headers (-want +got):\n%s", diff)
		}
		for line := range strings.SplitSeq(body, "\r\n") {
			if len(line) > 76 || strings.ContainsAny(line, "\r\n\x00") {
				t.Fatalf("line %q", line)
			}
		}
		got := read(t, data).body
		plain := func(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n") }
		if want := plain(one) + "\n\n" + plain(two) + "\n"; plain(got) != want {
			t.Fatalf("the text %q reads as %q", want, got)
		}
	})
}
