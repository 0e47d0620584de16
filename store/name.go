package store

import (
	"fmt"
	"strings"
)

// The grammars of names. Each has this one parser. None admits a comma, a
// space, a control character, a byte outside ASCII or a leading "-": such names
// reach principal lists, command lines and ssh configuration files, where those
// mean something else (CVE-2023-51385, CVE-2026-35414).

// A Handle is the name that a person is known by: "carol". It follows the
// grammar of a Login without upper case, so that two handles never differ by
// case alone. It is personal data and stands in no entry.
type Handle string

// A Login is an account name on a target: "root", "deploy". Hosts know more
// than POSIX asks for, so upper case, leading digits, a trailing "$" and the
// form user@domain are accepted. At most 64 bytes.
type Login string

// A TargetName is a host name without the suffix that users type after it:
// "db1", "db1.prod". Lower-case LDH labels (RFC 1123, section 2.1), at most 200
// bytes, so that a principal or a host name made from it stays in bounds.
type TargetName string

const (
	maxLogin      = 64
	maxTargetName = 200
)

// ParseHandle returns s as a Handle, or an error that says what a handle is.
func ParseHandle(s string) (Handle, error) {
	if !isLogin(s) || s != strings.ToLower(s) || strings.HasSuffix(s, "$") {
		return "", fmt.Errorf("handle %q: want 1 to %d of a-z 0-9 . _ -, beginning with a letter, digit or _, optionally @domain", clip(s), maxLogin)
	}
	return Handle(s), nil
}

// ParseLogin returns s as a Login, or an error that says what a login is.
func ParseLogin(s string) (Login, error) {
	if !isLogin(s) {
		return "", fmt.Errorf("login %q: want 1 to %d of A-Z a-z 0-9 . _ -, beginning with a letter, digit or _, optionally @domain or a last $", clip(s), maxLogin)
	}
	return Login(s), nil
}

func isLogin(s string) bool {
	if len(s) == 0 || len(s) > maxLogin {
		return false
	}
	account, domain, hasDomain := strings.Cut(s, "@")
	if hasDomain {
		// Lower case is taken of ASCII alone: strings.ToLower turns "İ" into "i".
		if !isASCII(domain) || !isTargetName(strings.ToLower(domain)) {
			return false
		}
	} else {
		account = strings.TrimSuffix(account, "$")
	}
	if account == "" || !isWord(account[0]) {
		return false
	}
	for i := range len(account) {
		if c := account[i]; !isWord(c) && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// ParseTargetName returns s as a TargetName, or an error that says what one is.
func ParseTargetName(s string) (TargetName, error) {
	if !isTargetName(s) {
		return "", fmt.Errorf("target name %q: want host name labels of a-z 0-9 -, joined by dots, at most %d bytes", clip(s), maxTargetName)
	}
	return TargetName(s), nil
}

func isTargetName(s string) bool {
	if len(s) == 0 || len(s) > maxTargetName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
				return false
			}
		}
	}
	return true
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// clip bounds what an error message repeats of its input.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
