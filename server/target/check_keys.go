package target

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// authorizedKeys judges the lines of an account's files. A restricted key is a
// door too.
func (j *judge) authorizedKeys(account string, lines []keyLine) {
	for _, line := range lines {
		key, ok := parseKeyLine(line.text)
		if !ok {
			j.notRead("a line of %s that is no key, account %s", line.file, account)
			continue
		}
		kind, detail := store.DoorKey, key.fingerprint()+" in "+line.file
		if key.has("cert-authority") {
			kind = store.DoorAuthority
		}
		if key.has("command") {
			detail += "; runs only a fixed command"
		}
		if key.has("from") {
			detail += "; from some addresses only"
		}
		j.door(kind, account, detail)
	}
}

// An authorizedKey is a line of authorized_keys or of a file of authorities
// (sshd(8), AUTHORIZED_KEYS FILE FORMAT), without its comment.
type authorizedKey struct {
	options []string // lower-case names
	blob    []byte
}

// parseKeyLine reads a line as sshd does, but knows no types of keys: one that
// is new to us lets in too.
func parseKeyLine(line string) (authorizedKey, bool) {
	line = strings.Trim(line, " \t\r")
	if blob, ok := keyBlob(line); ok {
		return authorizedKey{blob: blob}, true
	}
	options, rest := cutOptions(line)
	blob, ok := keyBlob(rest)
	return authorizedKey{options: options, blob: blob}, ok
}

// keyBlob reads TYPE BASE64 at the beginning of a text. The blob begins with the
// name of its type (RFC 4253, section 6.6), which need not be TYPE.
func keyBlob(text string) ([]byte, bool) {
	field := strings.Fields(text)
	if len(field) < 2 {
		return nil, false
	}
	encoding := base64.RawStdEncoding
	blob, err := encoding.DecodeString(strings.TrimRight(field[1], "="))
	if err != nil || len(blob) < 8 {
		return nil, false
	}
	size := int(blob[0])<<24 | int(blob[1])<<16 | int(blob[2])<<8 | int(blob[3])
	return blob, 0 < size && size < len(blob)-4
}

// cutOptions cuts the options off, which end at the first blank outside quotes.
func cutOptions(line string) (names []string, rest string) {
	quoted := false
	start := 0
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line) && line[i+1] == '"':
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ',' || c == ' ' || c == '\t'):
			name, _, _ := strings.Cut(line[start:i], "=")
			names = append(names, strings.ToLower(name))
			start = i + 1
			if c != ',' {
				return names, line[i:]
			}
		}
	}
	return nil, ""
}

func (k authorizedKey) has(option string) bool {
	for _, name := range k.options {
		if name == option {
			return true
		}
	}
	return false
}

// fingerprint is in the form of ssh-keygen -l.
func (k authorizedKey) fingerprint() string {
	sum := sha256.Sum256(k.blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

func (k authorizedKey) is(key ssh.PublicKey) bool { return bytes.Equal(k.blob, key.Marshal()) }
