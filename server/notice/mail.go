package notice

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// A MailTLS says how the mail server is spoken to.
type MailTLS string

// The ways.
const (
	// STARTTLS begins in the clear and goes on in TLS (RFC 3207), or not at all.
	STARTTLS MailTLS = "starttls"
	// ImplicitTLS begins in TLS (RFC 8314).
	ImplicitTLS MailTLS = "implicit"
	// NoneOnLoopback is for a mail server on this machine, and for no other.
	NoneOnLoopback MailTLS = "none-on-loopback"
)

const (
	// mailTimeout bounds one mail, from the connection to the answer.
	mailTimeout = time.Minute
	// quitTimeout bounds the farewell, after which nothing depends on the answer.
	quitTimeout = 5 * time.Second
	// mailAnswers bounds what a mail server may say meanwhile, in bytes.
	mailAnswers = 256 << 10
)

// A MailConfig says which mail server takes mails (RFC 5321). Every field is
// needed but Username and what belongs to it, and Roots.
type MailConfig struct {
	Host, Port string
	TLS        MailTLS
	From       store.Email
	// Server is the name of this server, for its greeting and the mails.
	Server string
	// Username and Password are for AUTH PLAIN (RFC 4616). Password is asked for
	// every mail, so that it can be changed.
	Username string
	Password func() (string, error)
	// Roots are the authorities that the mail server is recognised by; nil is the
	// system's.
	Roots *x509.CertPool
}

// A Mail sends mails. Its methods may be called concurrently.
type Mail struct {
	c    MailConfig
	quit time.Duration // quitTimeout
}

// NewMail returns a Mail.
func NewMail(c MailConfig) (*Mail, error) {
	if c.Host == "" || c.Port == "" || c.From == "" || c.Server == "" || (c.Username == "") != (c.Password == nil) {
		return nil, errors.New("mail: host, port, sender and the server's name are needed, and a password with a user name")
	}
	if c.TLS != STARTTLS && c.TLS != ImplicitTLS && c.TLS != NoneOnLoopback {
		return nil, errors.New("mail: without TLS only on loopback")
	}
	return &Mail{c: c, quit: quitTimeout}, nil
}

// Send hands a mail to the mail server, and returns nil once that has it.
func (m *Mail) Send(ctx context.Context, msg Message) error {
	data, err := msg.encode(m.c.From, m.c.Server)
	if err != nil {
		return err
	}
	return m.talk(ctx, func(c *smtp.Client) error {
		if err := c.Mail(string(m.c.From)); err != nil {
			return said("the mail server refuses the sender", err)
		}
		if err := c.Rcpt(string(msg.To)); err != nil {
			return verdict("the mail server refuses the recipient", err)
		}
		w, err := c.Data()
		if err != nil {
			return said("the mail server takes no mail", err)
		}
		if _, err := w.Write(data); err != nil {
			return fmt.Errorf("sending a mail: %w", err)
		}
		if err := w.Close(); err != nil {
			return verdict("the mail server refuses the mail", err)
		}
		return nil
	})
}

// Check signs in to the mail server and sends nothing.
func (m *Mail) Check(ctx context.Context) error {
	return m.talk(ctx, func(c *smtp.Client) error {
		if err := c.Noop(); err != nil {
			return said("the mail server does not go on", err)
		}
		return nil
	})
}

// talk opens a connection that is good for mails, and closes it after do.
func (m *Mail) talk(ctx context.Context, do func(*smtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	err := m.converse(ctx, do)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // the connection was closed for it
		err = fmt.Errorf("the mail server is too slow: %w: %w", ctx.Err(), err)
	}
	return strangerError{err}
}

func (m *Mail) converse(ctx context.Context, do func(*smtp.Client) error) error {
	conn, err := m.dial(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the mail server: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // ends whatever waits below
	c, err := smtp.NewClient(conn, m.c.Host)
	if err != nil {
		return said("the mail server does not greet", err)
	}
	defer c.Close()
	if err := m.begin(c); err != nil {
		return err
	}
	if err := do(c); err != nil {
		return err
	}
	// What it has taken it has, whatever it says to this and however late.
	_ = conn.SetDeadline(time.Now().Add(m.quit))
	_ = c.Quit()
	return nil
}

// dial connects, in TLS where that comes first.
func (m *Mail) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", net.JoinHostPort(m.c.Host, m.c.Port))
	if err != nil {
		return nil, err
	}
	if m.c.TLS == NoneOnLoopback && !onLoopback(conn.RemoteAddr()) {
		return nil, errors.Join(errors.New("it is not on this machine, and without TLS it is spoken to on loopback alone"), conn.Close())
	}
	conn = &boundedConn{Conn: conn, left: mailAnswers}
	if m.c.TLS != ImplicitTLS {
		return conn, nil
	}
	secure := tls.Client(conn, m.tls())
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}

func (m *Mail) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, ServerName: m.c.Host, RootCAs: m.c.Roots}
}

func onLoopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// begin greets, secures and signs in.
func (m *Mail) begin(c *smtp.Client) error {
	if err := c.Hello(greeting(m.c.Server)); err != nil {
		return said("the mail server does not greet", err)
	}
	if m.c.TLS == STARTTLS {
		if ok, _ := c.Extension("STARTTLS"); !ok {
			return errors.New("the mail server offers no STARTTLS, and gets no mail without it")
		}
		if err := c.StartTLS(m.tls()); err != nil {
			return said("the mail server does not go on in TLS", err)
		}
	}
	if m.c.Username == "" {
		return nil
	}
	if ok, _ := c.Extension("AUTH"); !ok {
		return errors.New("the mail server offers no sign-in")
	}
	password, err := m.c.Password()
	if err != nil {
		return fmt.Errorf("reading the mail server's password: %w", err)
	}
	if err := c.Auth(smtp.PlainAuth("", m.c.Username, password, m.c.Host)); err != nil {
		return said("the mail server does not let this server sign in", err)
	}
	return nil
}

// greeting is what EHLO says: a name, or an address literal.
func greeting(server string) string {
	a, err := netip.ParseAddr(server)
	switch {
	case err != nil:
		return server
	case a.Is4():
		return "[" + server + "]"
	}
	return "[IPv6:" + server + "]"
}

// said puts what a mail server answered into one line of bounded length: it is a
// stranger's text.
func said(what string, err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) {
		return fmt.Errorf("%s: %d %.200q", what, answer.Code, answer.Msg)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// verdict is said where an answer is about this mail alone, as all are but that of
// a server that closes (RFC 5321, section 4.2.2). One of 5yz will stay.
func verdict(what string, err error) error {
	var answer *textproto.Error
	switch {
	case !errors.As(err, &answer), answer.Code == 421:
		return said(what, err)
	case answer.Code >= 500:
		return permanentError{said(what, err)}
	}
	return aloneError{said(what, err)}
}

// A boundedConn reads so many bytes and no more: lines of answers have no length
// of their own.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errors.New("the mail server says too much")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
