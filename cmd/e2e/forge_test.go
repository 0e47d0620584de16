//go:build linux

package e2e_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// A forgery is a certificate that is put together by hand. Nothing of it is
// checked here: that is what it is for.
type forgery struct {
	cert   ssh.Certificate
	ca     ssh.Signer
	nested bool // the CA's key stands in a certificate of its own
}

// doForge makes PERSON's files NAME, NAME.pub and NAME-cert.pub: a fresh key and
// a certificate for it, which says what is asked for:
//
//	ca=NAME            the server's key of that name, or "foreign"
//	principal=TEXT     may stand several times; without it there is none
//	valid=FROM,UNTIL   from now; or "forever"
//	type=host · nested=yes · serial=N · keyid=TEXT
//	option=NAME:VALUE  critical; may stand several times
func (w *world) doForge(_ *script, args []string) error {
	if len(args) < 3 {
		return errors.New("want PERSON NAME KEY=VALUE…")
	}
	a, err := w.account(args[0])
	if err != nil {
		return err
	}
	f, err := w.forgery(args[2:])
	if err != nil {
		return err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	if f.cert.Key, err = ssh.NewPublicKey(public); err != nil {
		return err
	}
	if err := f.sign(); err != nil {
		return err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return err
	}
	path := filepath.Join(a.home, args[1])
	for name, text := range map[string][]byte{
		path:               pem.EncodeToMemory(block),
		path + ".pub":      ssh.MarshalAuthorizedKey(f.cert.Key),
		path + "-cert.pub": ssh.MarshalAuthorizedKey(&f.cert),
	} {
		if err := errors.Join(os.WriteFile(name, text, 0o600), a.own(name)); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) forgery(words []string) (*forgery, error) {
	f := &forgery{cert: ssh.Certificate{
		CertType: ssh.UserCert, Serial: 7, KeyId: "forged",
		Permissions: ssh.Permissions{CriticalOptions: map[string]string{}, Extensions: map[string]string{"permit-pty": ""}},
	}}
	for _, word := range append([]string{"valid=-1m,1m"}, words...) {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, fmt.Errorf("%q: want KEY=VALUE", word)
		}
		if err := f.set(w, key, value); err != nil {
			return nil, fmt.Errorf("%s: %w", word, err)
		}
	}
	if f.ca == nil {
		return nil, errors.New("want ca=NAME")
	}
	return f, nil
}

func (f *forgery) set(w *world, key, value string) (err error) {
	switch key {
	case "ca":
		f.ca, err = w.authority(value)
	case "principal":
		f.cert.ValidPrincipals = append(f.cert.ValidPrincipals, value)
	case "valid":
		err = f.valid(value)
	case "type":
		f.cert.CertType = ssh.HostCert
	case "nested":
		f.nested = true
	case "serial":
		f.cert.Serial, err = strconv.ParseUint(value, 10, 64)
	case "keyid":
		f.cert.KeyId = value
	case "option":
		name, text, _ := strings.Cut(value, ":")
		f.cert.CriticalOptions[name] = text
	default:
		err = errors.New("unknown key")
	}
	return err
}

func (f *forgery) valid(value string) error {
	if value == "forever" {
		f.cert.ValidAfter, f.cert.ValidBefore = 0, math.MaxUint64
		return nil
	}
	from, until, _ := strings.Cut(value, ",")
	now := time.Now()
	for text, field := range map[string]*uint64{from: &f.cert.ValidAfter, until: &f.cert.ValidBefore} {
		d, err := time.ParseDuration(text)
		if err != nil {
			return err
		}
		*field = uint64(now.Add(d).Unix())
	}
	return nil
}

// authority returns one of the server's own keys, or one that nobody trusts.
func (w *world) authority(name string) (ssh.Signer, error) {
	if name == "foreign" {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return ssh.NewSignerFromKey(key)
	}
	text, err := os.ReadFile(filepath.Join(w.data(), "keys", name))
	if err != nil {
		return nil, err
	}
	return ssh.ParsePrivateKey(text)
}

// sign signs what stands in the certificate, as it stands there: SignCert would
// refuse some of it (PROTOCOL.certkeys: everything before the signature).
func (f *forgery) sign() error {
	c := &f.cert
	c.Nonce = make([]byte, 32)
	if _, err := rand.Read(c.Nonce); err != nil {
		return err
	}
	c.SignatureKey = f.ca.PublicKey()
	if f.nested {
		inner := &forgery{ca: f.ca, cert: ssh.Certificate{
			Key: f.ca.PublicKey(), CertType: ssh.UserCert, KeyId: "inner", ValidBefore: math.MaxUint64,
		}}
		if err := inner.sign(); err != nil {
			return err
		}
		c.SignatureKey = &inner.cert
	}
	c.Signature = nil
	text := c.Marshal()
	signature, err := f.ca.Sign(rand.Reader, text[:len(text)-4]) // without the empty signature's length
	c.Signature = signature
	return err
}
