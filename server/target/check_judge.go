package target

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// maxText is the most bytes that a door may have of one text (store.Door).
const maxText = 256

// A finding is a door, without the account that it leads into.
type finding struct {
	kind   store.DoorKind
	detail string
}

// A judge tells doors from what is none. What it is unsure of is a door, or
// unread.
type judge struct {
	setup  Setup
	facts  *facts
	found  map[finding]map[string]bool // to the accounts
	unread []string
	// everyone is every account that is spoken of, first the one without a name.
	everyone []account
	// allClose says that sshd would do for everyone what it does on a closed host.
	allClose bool
}

func newJudge(s Setup, f *facts) *judge {
	j := &judge{setup: s, facts: f, found: map[finding]map[string]bool{}, everyone: f.everyone(), allClose: true}
	for _, a := range j.everyone {
		j.allClose = j.allClose && j.closes(a.name)
	}
	return j
}

func (j *judge) door(kind store.DoorKind, account, detail string) {
	f := finding{kind, cleanText(detail)}
	if j.found[f] == nil {
		j.found[f] = map[string]bool{}
	}
	j.found[f][cleanText(account)] = true
}

func (j *judge) notRead(format string, args ...any) {
	j.unread = append(j.unread, cleanText(fmt.Sprintf(format, args...)))
}

// missing says which facts the answer does not hold.
func (j *judge) missing() {
	for _, text := range j.facts.unread {
		j.notRead("%s", text)
	}
	for _, section := range []string{"configuration", "accounts", "passwords", "programs"} {
		if !j.facts.done[section] {
			j.notRead("all of the %s", section)
		}
	}
	if j.facts.settings[""] == nil {
		j.notRead("sshd's settings")
	}
	if len(j.facts.accounts) < 2 {
		j.notRead("the accounts")
	}
	// Other sources of accounts need not list theirs. That matters where an
	// account could have a door that nobody saw.
	local := []string{"files", "compat", "systemd", "db", "mymachines"}
	for source := range strings.FieldsSeq(j.facts.sources) {
		if !slices.Contains(local, source) && !strings.HasPrefix(source, "[") && !strings.HasSuffix(source, "]") && !j.closes("") {
			j.notRead("accounts of %s that getent does not list", source)
		}
	}
}

func (j *judge) accounts() {
	keys := map[string][]keyLine{}
	for _, k := range j.facts.keys {
		keys[k.account] = append(keys[k.account], k)
	}
	for _, a := range j.everyone {
		settings := j.facts.settings[a.name]
		if settings == nil {
			if a.name != "" {
				j.notRead("sshd's settings for the account %s", a.name)
			}
			j.authorizedKeys(a.name, keys[a.name])
			continue
		}
		uid, err := strconv.ParseUint(a.uid, 10, 64)
		root := err == nil && uid == 0 && a.name != ""
		if root && settings["permitrootlogin"] == "no" {
			continue
		}
		if settings["pubkeyauthentication"] != "no" {
			j.authorizedKeys(a.name, keys[a.name])
			j.keysCommand(a.name, settings)
			j.authorities(a.name, settings)
		}
		j.otherMethods(a, settings, root)
	}
}

func isNone(value string) bool { return value == "" || strings.EqualFold(value, "none") }

// noKeys are the values of AuthorizedKeysCommand that lead to no keys, the last
// two of which are the set-up script's.
func noKeys(value string) bool {
	return isNone(value) || value == "/usr/bin/echo -n" || value == "/bin/echo -n"
}

func (j *judge) keysCommand(account string, settings map[string]string) {
	if command := settings["authorizedkeyscommand"]; !noKeys(command) {
		j.door(store.DoorKeysCommand, account, "AuthorizedKeysCommand "+command)
	}
}

// authorities judges what TrustedUserCAKeys leads to: keys that are not ours, and
// ours under other names than LOGIN@TARGET.
func (j *judge) authorities(account string, settings map[string]string) {
	file := settings["trustedusercakeys"]
	if isNone(file) {
		return
	}
	ours := false
	for _, line := range j.facts.authorities[file] {
		key, ok := parseKeyLine(line)
		switch {
		case !ok:
			j.notRead("a line of %s that is no key", file)
		case slices.ContainsFunc(append([]ssh.PublicKey{j.setup.EmergencyCA}, j.setup.TargetCAs...), key.is):
			ours = true
		default:
			j.door(store.DoorAuthority, account, key.fingerprint()+" in "+file)
		}
	}
	if ours && !j.ownNames(settings) {
		j.door(store.DoorPrincipals, account, foreignNames(settings))
	}
}

// noPrincipals are the values of AuthorizedPrincipalsFile that name no file; the
// second is the set-up script's in a Match block.
func noPrincipals(value string) bool { return isNone(value) || value == "/proc/vaultpam/none" }

func (j *judge) ownNames(settings map[string]string) bool {
	command := settings["authorizedprincipalscommand"]
	own := " %u@" + string(j.setup.Target)
	return noPrincipals(settings["authorizedprincipalsfile"]) && (command == "/usr/bin/echo"+own || command == "/bin/echo"+own)
}

func foreignNames(settings map[string]string) string {
	if file := settings["authorizedprincipalsfile"]; !noPrincipals(file) {
		return "AuthorizedPrincipalsFile " + file
	}
	if command := settings["authorizedprincipalscommand"]; !isNone(command) {
		return "AuthorizedPrincipalsCommand " + command
	}
	return "the account's own name as a principal"
}

func (j *judge) isSetUp() bool {
	settings := j.facts.settings[""]
	var target, emergency bool
	for _, line := range j.facts.authorities[settings["trustedusercakeys"]] {
		if key, ok := parseKeyLine(line); ok {
			target = target || slices.ContainsFunc(j.setup.TargetCAs, key.is)
			emergency = emergency || key.is(j.setup.EmergencyCA)
		}
	}
	return target && emergency && j.ownNames(settings) &&
		strings.HasPrefix(j.facts.setup, "# VaultPAM at "+j.setup.ServerName+": ")
}

// closes says whether the settings for an account are those of a closed host.
func (j *judge) closes(account string) bool {
	settings := j.facts.settings[account]
	if settings == nil {
		return false
	}
	for _, line := range closingDirectives("") {
		keyword, want, _ := strings.Cut(strings.ToLower(line), " ")
		if !strings.HasPrefix(keyword, "authorizedkeyscommand") && settings[keyword] != want {
			return false
		}
	}
	return noKeys(settings["authorizedkeyscommand"])
}

func (j *judge) isClosed() bool {
	return j.facts.closed && j.allClose && j.isSetUp()
}

// report brings the findings into their one order. A door that an account has
// which nobody listed leads into any: it stands there once.
func (j *judge) report() store.DoorReport {
	var r store.DoorReport
	for f, accounts := range j.found {
		if accounts[""] {
			accounts = map[string]bool{"": true}
		}
		for account := range accounts {
			r.Doors = append(r.Doors, store.Door{Kind: f.kind, Account: account, Detail: f.detail})
		}
	}
	slices.SortFunc(r.Doors, func(a, b store.Door) int {
		return strings.Compare(string(a.Kind)+"\t"+a.Account+"\t"+a.Detail, string(b.Kind)+"\t"+b.Account+"\t"+b.Detail)
	})
	slices.Sort(j.unread)
	r.Unread = slices.Compact(j.unread)
	// Doors first: one that is seen matters more than one that may be there.
	room := store.MaxDoors - 1
	rest := 0
	if len(r.Doors) > room {
		rest, r.Doors = len(r.Doors)-room, r.Doors[:room]
	}
	if over := len(r.Doors) + len(r.Unread) - room; over > 0 {
		rest, r.Unread = rest+over, r.Unread[:len(r.Unread)-over]
	}
	if rest > 0 {
		r.Unread = append(r.Unread, fmt.Sprintf("too many for one report: %d more", rest))
	}
	return r
}

// cleanText makes printable UTF-8 of at most maxText bytes of what a host says.
// What is cut ends in a digest of the whole, so that different texts stay
// different.
func cleanText(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == utf8.RuneError, !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		if b.Len() > maxText {
			sum := sha256.Sum256([]byte(s))
			cut := strings.ToValidUTF8(b.String()[:maxText-20], "")
			return cut + "… " + hex.EncodeToString(sum[:8])
		}
	}
	return b.String()
}
