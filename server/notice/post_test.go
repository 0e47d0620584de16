package notice_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/mail"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/vaultpam/vaultpam/server/notice"
	"github.com/vaultpam/vaultpam/store"
)

const (
	mailUser     = "vaultpam"
	mailPassword = "correct horse"
	mailFrom     = "vaultpam@example.eu"
)

// certify makes a certificate for an address, which is its own authority.
func certify(t testing.TB, ip net.IP) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses: []net.IP{ip},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, roots
}

// A post is a real mail server on loopback, and what it got.
type post struct {
	t       testing.TB
	log     *scroll // what who sends says, where there is one
	address net.Addr
	roots   *x509.CertPool
	mails   chan letter
	signIns chan string // user names that were right, "!" for a wrong try

	mu     sync.Mutex // guards refuse
	refuse func(step, what string) error
}

type letter struct {
	from, to string
	secure   bool
	user     string
	data     []byte
}

// A postKind says what the mail server offers.
type postKind int

const (
	withSTARTTLS postKind = iota
	inTLS
	inTheClear
)

func newPost(t testing.TB, kind postKind) *post {
	t.Helper()
	return newPostFor(t, kind, net.IPv4(127, 0, 0, 1))
}

// newPostFor has a certificate for an address.
func newPostFor(t testing.TB, kind postKind, ip net.IP) *post {
	t.Helper()
	cert, roots := certify(t, ip)
	p := &post{t: t, roots: roots, mails: make(chan letter, 4096), signIns: make(chan string, 4096)}
	s := smtp.NewServer(smtp.BackendFunc(p.session))
	s.Domain, s.AllowInsecureAuth = "mail.example.eu", kind == inTheClear
	s.ErrorLog = log.New(io.Discard, "", 0)
	s.ReadTimeout, s.WriteTimeout = patience, patience
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr()
	switch kind {
	case withSTARTTLS:
		s.TLSConfig = config
	case inTLS:
		l = tls.NewListener(l, config)
	case inTheClear:
	}
	var ended sync.WaitGroup
	ended.Go(func() { _ = s.Serve(l) }) // ended by Close
	t.Cleanup(func() {
		_ = s.Close()
		_ = l.Close() // Serve may not have begun with it yet
		ended.Wait()
	})
	return p
}

// answers has the mail server answer a step ("sign-in", "from", "to", "data") with
// an error.
func (p *post) answers(refuse func(step, what string) error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

func (p *post) judge(step, what string) error {
	p.mu.Lock()
	refuse := p.refuse
	p.mu.Unlock()
	if refuse == nil {
		return nil
	}
	return refuse(step, what)
}

func (p *post) session(c *smtp.Conn) (smtp.Session, error) {
	_, secure := c.TLSConnectionState()
	return &postSession{post: p, conn: c, secure: secure}, nil
}

// A postSession is a client's.
type postSession struct {
	post     *post
	conn     *smtp.Conn
	secure   bool
	user     string
	from, to string
}

var _ smtp.AuthSession = (*postSession)(nil)

func (s *postSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *postSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if err := s.post.judge("sign-in", user); err != nil {
			return err
		}
		if user != mailUser || password != mailPassword {
			s.post.signIns <- "!"
			return smtp.ErrAuthFailed
		}
		s.user = user
		s.post.signIns <- user
		return nil
	}), nil
}

func (s *postSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return s.post.judge("from", from)
}

func (s *postSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.post.judge("to", to)
}

func (s *postSession) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.post.judge("data", s.to); err != nil {
		return err
	}
	_, secure := s.conn.TLSConnectionState()
	s.post.mails <- letter{s.from, s.to, secure, s.user, data}
	return nil
}

func (s *postSession) Reset()        { s.from, s.to = "", "" }
func (s *postSession) Logout() error { return nil }

// config is what a Mail needs to reach the mail server.
func (p *post) config(kind notice.MailTLS) notice.MailConfig {
	host, port, err := net.SplitHostPort(p.address.String())
	if err != nil {
		p.t.Fatal(err)
	}
	return notice.MailConfig{
		Host: host, Port: port, TLS: kind, From: mailFrom, Server: serverName, Roots: p.roots,
		Username: mailUser, Password: func() (string, error) { return mailPassword, nil },
	}
}

func newMail(t testing.TB, c notice.MailConfig) *notice.Mail {
	t.Helper()
	m, err := notice.NewMail(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// next waits for a mail.
func (p *post) next() letter {
	p.t.Helper()
	select {
	case l := <-p.mails:
		return l
	case <-time.After(patience):
		p.t.Fatalf("no mail came; the log says:\n%s", p.log)
		return letter{}
	}
}

// nothing reports what came and should not have.
func (p *post) nothing() {
	p.t.Helper()
	select {
	case l := <-p.mails:
		p.t.Errorf("a mail to %s came:\n%s", l.to, l.data)
	default:
	}
}

// A read letter is one as its reader sees it.
type readLetter struct {
	mail.Header
	body string
}

var errRefused = errors.New("refused")

func aMessage(to store.Email) notice.Message {
	return notice.Message{ID: "msg_abc", To: to, Date: time.Date(2026, 11, 2, 12, 0, 5, 0, time.UTC), Subject: "A word", Paragraphs: []string{"One.", "Two."}}
}
