package client

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"golang.org/x/crypto/ssh"
)

const botKeyFile = "bot_key"

// ErrBotKey is returned for what is no private key that a bot can sign in with.
var ErrBotKey = errors.New("not a bot's private key: want Ed25519 or ECDSA on P-256, in OpenSSH or PEM form, without a passphrase")

// A ReadableError says that others may read a private key.
type ReadableError struct{ Path string }

func (e *ReadableError) Error() string { return e.Path + " can be read by others" }

// ParseBotKey returns the private key that text holds. The variables of CI systems
// lose the last line feed or gain carriage returns, which is mended. Its errors
// repeat nothing of the text.
func ParseBotKey(text []byte) (ssh.Signer, error) {
	if len(text) > maxState {
		return nil, ErrBotKey
	}
	text = append(bytes.TrimSpace(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))), '\n')
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		return nil, ErrBotKey // its own text may hold some of the key's
	}
	if t := key.PublicKey().Type(); t != ssh.KeyAlgoED25519 && t != ssh.KeyAlgoECDSA256 {
		return nil, fmt.Errorf("%w; this is %s", ErrBotKey, t)
	}
	return key, nil
}

// ReadBotKey reads a private key from a file that nobody else may read.
func ReadBotKey(path string) (ssh.Signer, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the bot's key: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the bot's key: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("reading the bot's key: %s is not a regular file", path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return nil, &ReadableError{Path: path}
	}
	text, err := io.ReadAll(io.LimitReader(file, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("reading the bot's key: %w", err)
	}
	key, err := ParseBotKey(text)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return key, nil
}

// BotKeyFile returns where the key of a bot that joined here lies.
func (h *Home) BotKeyFile() string { return h.path(botKeyFile) }

// BotKey returns the key that is there, or makes one from random, 0600: it is on the
// disk before anybody is told of it, so that a process that dies joins with the same
// one the next time.
func (h *Home) BotKey(random io.Reader) (ssh.Signer, error) {
	key, err := ReadBotKey(h.BotKeyFile())
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return nil, fmt.Errorf("making the bot's key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, fmt.Errorf("making the bot's key: %w", err)
	}
	if err := h.write(botKeyFile, pem.EncodeToMemory(block)); err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}

// ParseBotPublicKey returns the public key of an authorized_keys line, with or
// without a comment, for an administrator who names it.
func ParseBotPublicKey(text string) (ssh.PublicKey, error) {
	text = strings.TrimSpace(text)
	key, _, options, rest, err := ssh.ParseAuthorizedKey([]byte(text))
	if err != nil || len(rest) > 0 || len(options) > 0 || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("not a public key: want one line as ssh-keygen writes it to the .pub file")
	}
	return key, nil
}
