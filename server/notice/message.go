package notice

import (
	"bytes"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/vaultpam/vaultpam/store"
)

// A Message is a notice as a mail.
type Message struct {
	ID         string // letters, digits and _
	To         store.Email
	Date       time.Time
	Subject    string
	Paragraphs []string
}

// encode returns the message's bytes (RFC 5322), plain text in UTF-8 and
// quoted-printable (RFC 2045). It says that it was made by a program (RFC 3834),
// so that nobody's holiday answers it.
func (m Message) encode(from store.Email, server string) ([]byte, error) {
	var b bytes.Buffer
	for _, h := range [][2]string{
		{"From", (&mail.Address{Name: "VaultPAM at " + server, Address: string(from)}).String()},
		{"To", "<" + string(m.To) + ">"},
		{"Subject", mime.QEncoding.Encode("utf-8", oneLine(m.Subject))},
		{"Date", m.Date.UTC().Format(time.RFC1123Z)},
		{"Message-ID", "<" + m.ID + "@" + messageHost(from) + ">"},
		{"Auto-Submitted", "auto-generated"},
		{"MIME-Version", "1.0"},
		{"Content-Type", "text/plain; charset=utf-8"},
		{"Content-Transfer-Encoding", "quoted-printable"},
	} {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	b.WriteString("\r\n")
	w := quotedprintable.NewWriter(&b)
	for i, p := range m.Paragraphs {
		if p = lineEnds.Replace(p) + "\n"; i > 0 {
			p = "\n" + p
		}
		if _, err := w.Write([]byte(p)); err != nil {
			return nil, fmt.Errorf("encoding a mail: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("encoding a mail: %w", err)
	}
	return b.Bytes(), nil
}

// lineEnds makes them all \n, of which quotedprintable makes CRLF: of a \r, a byte
// that it escapes and a \n it loses the last.
var lineEnds = strings.NewReplacer("\r\n", "\n", "\r", "\n")

func messageHost(from store.Email) string {
	_, host, _ := strings.Cut(string(from), "@")
	return host
}

// oneLine takes out what could end a header.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}

// maxSaid bounds, in bytes, what is repeated of a stranger's words.
const maxSaid = 400

// A strangerError says on one line of bounded length what a stranger had a part
// in: names in a certificate and broken answers are as long as they like.
type strangerError struct{ error }

func (e strangerError) Error() string {
	s := oneLine(strings.ToValidUTF8(e.error.Error(), "?"))
	if len(s) > maxSaid {
		s = strings.ToValidUTF8(s[:maxSaid], "") + " …"
	}
	return s
}

func (e strangerError) Unwrap() error { return e.error }
