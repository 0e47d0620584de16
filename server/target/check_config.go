package target

import (
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// A scope is where a line of sshd_config stands. Its text is empty outside of
// Match blocks.
type scope struct {
	text string
	// all says that the block matches everybody.
	all bool
	// tried says that sshd -T was asked for whom the block matches.
	tried bool
}

// conditions judges the Match blocks whose conditions nobody can try out from
// here: addresses, names and the like. Of the blocks that match, the first that
// holds a keyword wins, so that one which matches everybody settles the keyword
// for those that come after.
func (j *judge) conditions() {
	settled := map[string]bool{}
	enclosing := []scope{{}}
	here := scope{}
	var open []setting
	for _, row := range j.facts.config {
		switch row.tag {
		case "enter":
			// The lines of an included file belong to the block that includes it.
			enclosing = append(enclosing, here)
			continue
		case "leave":
			if len(enclosing) > 1 {
				here = enclosing[len(enclosing)-1]
				enclosing = enclosing[:len(enclosing)-1]
			}
			continue
		}
		s := parseSetting(row.text)
		if s.keyword == "match" {
			here = enclosing[len(enclosing)-1].within(s.value)
			continue
		}
		j.quotes(s)
		// Releases that take the last of two AuthorizedPrincipalsCommand take none
		// after an AuthorizedKeysCommand.
		outdone := settled[s.keyword] && (s.keyword != "authorizedprincipalscommand" || settled["authorizedkeyscommand"])
		if here.text == "" || outdone {
			continue
		}
		s.scope = here
		open = append(open, s)
		settled[s.keyword] = settled[s.keyword] || here.all
	}
	j.judgeBlocks(open)
}

// judgeBlocks judges settings of Match blocks that no other block outdoes.
func (j *judge) judgeBlocks(open []setting) {
	harmful := slices.DeleteFunc(slices.Clone(open), func(s setting) bool {
		return s.scope.tried || j.harmless(s)
	})
	// Where nothing but keys counts, whatever block may match, the other methods
	// can be what they want. And where only our authorities' keys are left, root
	// may log in by those.
	keysOnly := j.allClose && !slices.ContainsFunc(harmful, func(s setting) bool {
		return s.keyword == "authenticationmethods" || strings.HasPrefix(s.keyword, "authorizedkeys")
	})
	for _, s := range harmful {
		if !keysOnly || !onlyWithoutKeys(s.keyword) {
			j.door(store.DoorCondition, "", "Match "+s.scope.text+": "+s.written)
		}
	}
	for _, s := range open {
		// sshd clears the word none outside of Match blocks alone.
		if s.keyword == "authorizedprincipalsfile" && strings.EqualFold(s.value, "none") {
			j.door(store.DoorPrincipals, "", "AuthorizedPrincipalsFile none inside a Match block, which sshd takes for ~/none")
		}
	}
}

// onlyWithoutKeys says whether a keyword of judged ones means nothing where
// AuthenticationMethods is publickey and no file or command holds keys.
func onlyWithoutKeys(keyword string) bool {
	switch keyword {
	case "trustedusercakeys", "authorizedprincipalsfile", "authorizedprincipalscommand", "authenticationmethods", "authorizedkeysfile", "authorizedkeyscommand":
		return false
	}
	return true
}

// quotes says what of a line neither sshd -T nor the script can bring over: a
// file name with blanks.
func (j *judge) quotes(s setting) {
	blank := strings.ContainsAny(s.written, `'\`)
	for i, part := range strings.Split(s.written, `"`) {
		blank = blank || i%2 == 1 && strings.Contains(part, " ")
	}
	switch s.keyword {
	case "include":
	case "authorizedkeysfile":
		blank = blank && !j.allClose
	default:
		return
	}
	if blank {
		j.notRead("file names with blanks in %s", s.written)
	}
}

// harmless says that a setting of a Match block opens nothing.
func (j *judge) harmless(s setting) bool {
	value := strings.ToLower(s.value)
	switch s.keyword {
	case "passwordauthentication", "kbdinteractiveauthentication", "challengeresponseauthentication", "skeyauthentication",
		"hostbasedauthentication", "gssapiauthentication", "kerberosauthentication", "permitemptypasswords",
		"permitrootlogin", "pubkeyauthentication", "dsaauthentication":
		return value == "no"
	case "authenticationmethods":
		return value == "publickey"
	case "authorizedkeysfile":
		return value == "none"
	case "authorizedkeyscommand":
		return noKeys(value)
	case "trustedusercakeys":
		return value == "none" || s.value == j.facts.settings[""]["trustedusercakeys"]
	case "authorizedprincipalsfile":
		return noPrincipals(value) // none is judged by itself
	case "authorizedprincipalscommand":
		return j.ownNames(map[string]string{s.keyword: s.value})
	}
	return true // it has nothing to do with who gets in
}

// A setting is a line of sshd_config.
type setting struct {
	keyword string // in lower case
	value   string // without quotes
	written string // the line, its blanks made one each
	scope   scope
}

func parseSetting(line string) setting {
	end := strings.IndexFunc(line, func(r rune) bool { return r == ' ' || r == '\t' || r == '=' || r == '"' })
	if end < 0 {
		end = len(line)
	}
	value := strings.TrimSpace(strings.TrimLeft(line[end:], " \t="))
	if len(value) > 1 && value[0] == '"' && strings.IndexByte(value[1:], '"') == len(value)-2 {
		value = value[1 : len(value)-1]
	}
	return setting{
		keyword: strings.ToLower(strings.TrimSpace(line[:end])),
		value:   value,
		written: strings.Join(strings.Fields(line), " "),
	}
}

// within returns the scope of a Match block inside of s.
func (s scope) within(criteria string) scope {
	criteria, _, _ = strings.Cut(criteria, " #")
	inner := scope{text: strings.Join(strings.Fields(criteria), " ")}
	word := strings.Fields(strings.ToLower(strings.ReplaceAll(criteria, "=", " ")))
	switch {
	case len(word) == 1 && word[0] == "all":
		inner.all, inner.tried = true, true
	case len(word) > 0 && len(word)%2 == 0:
		inner.tried = true
		for i := 0; i < len(word); i += 2 {
			inner.tried = inner.tried && (word[i] == "user" || word[i] == "group")
		}
	}
	if s.text == "" || s.all {
		return inner
	}
	return scope{text: s.text + ", Match " + inner.text, tried: s.tried && inner.tried}
}
