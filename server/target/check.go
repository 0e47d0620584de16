package target

import (
	_ "embed"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

const (
	// maxAnswer bounds the answer that is read, in bytes.
	maxAnswer = 16 << 20
	// maxAccounts and maxLines bound what a host sends: accounts, and lines of
	// one file. What is beyond them it calls unread.
	maxAccounts = 1000
	maxLines    = 2000
)

//go:embed check.sh.tmpl
var checkTemplate string

// A Check is what a host says about the ways into it. It is the word of whoever
// is root there.
type Check struct {
	// Report lists every way in but the certificates of s, and what could not be
	// read. Its Text succeeds.
	Report store.DoorReport
	// SetUp says that the host trusts the authorities of s, under the name of s,
	// for whoever has no Match block of their own.
	SetUp bool
	// Closed says that the set-up script closed the host, and that this has its
	// effect for every account that was seen.
	Closed bool
}

// CheckScript returns a POSIX shell script to be run as root on the host (see
// RunAsRoot), whose standard output ParseCheck reads. It changes nothing. It
// holds names alone, no key and no secret.
func CheckScript(s Setup) (string, error) {
	values, err := s.values()
	if err != nil {
		return "", err
	}
	values["MaxAccounts"] = maxAccounts
	values["MaxLines"] = maxLines
	values["Keywords"] = strings.Join(settingKeywords(), "|")
	return render("check script", checkTemplate, values)
}

// settingKeywords are those of sshd -T that the judge asks for.
func settingKeywords() []string {
	return []string{
		"authenticationmethods", "pubkeyauthentication", "passwordauthentication", "kbdinteractiveauthentication",
		"challengeresponseauthentication", "hostbasedauthentication", "gssapiauthentication", "gssapikeyexchange",
		"kerberosauthentication", "permitemptypasswords", "permitrootlogin", "usepam", "authorizedkeysfile",
		"authorizedkeyscommand", "trustedusercakeys", "authorizedprincipalsfile", "authorizedprincipalscommand",
	}
}

// ParseCheck judges the answer of the check's script. An answer that was cut,
// that is for another target, or that is no answer is an error; a fact that is
// missing from it is unread, so that a report without doors says something only
// where it is empty.
func ParseCheck(output []byte, s Setup) (Check, error) {
	if _, err := s.values(); err != nil {
		return Check{}, err
	}
	facts, err := parseFacts(output, s.Target)
	if err != nil {
		return Check{}, err
	}
	j := newJudge(s, facts)
	j.missing()
	j.accounts()
	j.conditions()
	j.programs()
	return Check{Report: j.report(), SetUp: j.isSetUp(), Closed: j.isClosed()}, nil
}
