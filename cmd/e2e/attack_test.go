//go:build linux

package e2e_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// doAttack logs in with the files NAME and NAME-cert.pub of a person, by a
// client that sends any certificate: OpenSSH's own keeps some to itself. It
// reports whether it got in. What the server said is stderr, and stdout is who
// it got in as. Anything but a refused authentication is an error: a host that
// can't be reached has refused nobody.
//
//	attack PERSON NAME USER@HOST:PORT [SOURCE]
func (w *world) doAttack(ts *script, args []string) (bool, error) {
	if err := want(args, 3, 4); err != nil {
		return false, err
	}
	a, err := w.account(args[0])
	if err != nil {
		return false, err
	}
	signer, err := readForged(filepath.Join(a.home, args[1]))
	if err != nil {
		return false, err
	}
	at := strings.LastIndexByte(args[2], '@')
	if at < 0 {
		return false, fmt.Errorf("%q: want USER@HOST:PORT", args[2])
	}
	dialer := net.Dialer{Timeout: patience}
	if len(args) == 4 {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(args[3])}
	}
	said := ts.Stderr()
	conn, err := dialer.Dial("tcp", args[2][at+1:])
	if err != nil {
		return false, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	client, channels, requests, err := ssh.NewClientConn(conn, args[2][at+1:], &ssh.ClientConfig{
		User:            args[2][:at],
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(signer), ssh.KeyboardInteractive(answerNothing)},
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // an attacker does not care
		BannerCallback:  func(text string) error { _, err := io.WriteString(said, text); return err },
	})
	if err != nil {
		if refusedAuth(err) {
			return false, nil
		}
		return false, err
	}
	c := ssh.NewClient(client, channels, requests)
	defer c.Close()
	session, err := c.NewSession()
	if err != nil {
		return false, err
	}
	out, err := session.Output("id -un")
	if err != nil {
		return false, err
	}
	_, err = ts.Stdout().Write(out)
	return true, err
}

// refusedAuth reports whether the server refused every attempt. x/crypto has no
// error of its own for that; 51 is SSH_MSG_USERAUTH_FAILURE where it waited for a
// question (RFC 4256).
func refusedAuth(err error) bool {
	return strings.Contains(err.Error(), "unable to authenticate") ||
		strings.Contains(err.Error(), "unexpected message type 51 (expected 60)")
}

// answerNothing is for what a server asks when no key is left, which is where
// the relay says what is wrong with the one that was shown.
func answerNothing(_, _ string, questions []string, _ []bool) ([]string, error) {
	return make([]string, len(questions)), nil
}

// A forgedSigner signs with a key and shows a certificate that nobody parsed.
type forgedSigner struct {
	ssh.Signer
	shown blobKey
}

func (s forgedSigner) PublicKey() ssh.PublicKey { return s.shown }

// A blobKey is a public key as it goes over the wire.
type blobKey struct {
	kind string
	blob []byte
}

func (k blobKey) Type() string    { return k.kind }
func (k blobKey) Marshal() []byte { return k.blob }
func (k blobKey) Verify([]byte, *ssh.Signature) error {
	return errors.New("an attacker verifies nothing")
}

func readForged(path string) (ssh.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, err
	}
	if text, err = os.ReadFile(path + "-cert.pub"); err != nil {
		return nil, err
	}
	words := strings.Fields(string(text))
	if len(words) < 2 {
		return nil, fmt.Errorf("%s-cert.pub is no certificate", path)
	}
	blob, err := base64.StdEncoding.DecodeString(words[1])
	return forgedSigner{Signer: key, shown: blobKey{kind: words[0], blob: blob}}, err
}
