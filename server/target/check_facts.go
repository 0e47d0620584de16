package target

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// facts are an answer's rows, sorted out and not yet believed: each is a text of
// the host's.
type facts struct {
	// settings are what sshd would do, by account and keyword in lower case; the
	// account "" is one that nobody listed.
	settings  map[string]map[string]string
	accounts  []account
	passwords map[string]string // account to set, locked or empty
	keys      []keyLine
	// authorities are the lines of TrustedUserCAKeys files, by file.
	authorities map[string][]string
	config      []configRow
	programs    []program
	unread      []string
	sources     string // of accounts, as in nsswitch.conf
	setup       string // the first line of our file of authorities
	closed      bool
	done        map[string]bool
}

type account struct{ name, uid, hash string }

type keyLine struct{ account, file, text string }

// A configRow is a line of the configuration in reading order, or the beginning
// or end of a file.
type configRow struct{ tag, text string }

type program struct{ command, arguments string }

var errCut = errors.New("the host's answer was cut: its last line is missing")

// parseFacts reads the rows of an answer, whose fields are separated by tabs:
//
//	vaultpam-check 1 TARGET       the first row; a shell's greeting may precede it
//	unread TEXT                   what could not be read
//	setup LINE | closed           the set-up script's marks
//	enter FILE | line TEXT | leave FILE
//	sources TEXT                  of accounts
//	account NAME UID HASH SHELL   HASH is shadow, set, locked or empty
//	setting ACCOUNT KEYWORD VALUE
//	authority FILE LINE
//	key ACCOUNT FILE LINE
//	password ACCOUNT STATE        set, locked or empty
//	program COMMAND ARGUMENTS
//	done SECTION
//	end                           the last row
func parseFacts(output []byte, target store.TargetName) (*facts, error) {
	if len(output) > maxAnswer {
		return nil, fmt.Errorf("the host's answer has %d bytes, want at most %d", len(output), maxAnswer)
	}
	text := "\n" + string(output)
	_, text, found := strings.Cut(text, "\nvaultpam-check\t")
	if !found {
		return nil, errors.New("the host did not answer as the check's script does")
	}
	head, text, _ := strings.Cut(text, "\n")
	if head != "1\t"+string(target) {
		return nil, fmt.Errorf("the host's answer is %s, want version 1 for the target %s", cleanText(head), target)
	}
	text, found = strings.CutSuffix("\n"+text, "\nend\n")
	if !found {
		return nil, errCut
	}
	f := &facts{settings: map[string]map[string]string{}, passwords: map[string]string{}, authorities: map[string][]string{}, done: map[string]bool{}}
	for line := range strings.SplitSeq(strings.TrimPrefix(text, "\n"), "\n") {
		if err := f.row(line); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *facts) row(line string) error {
	tag, rest, _ := strings.Cut(line, "\t")
	field := strings.SplitN(rest, "\t", 3)
	for len(field) < 3 {
		field = append(field, "")
	}
	switch tag {
	case "":
	case "unread":
		f.unread = append(f.unread, rest)
	case "setup":
		f.setup = rest
	case "closed":
		f.closed = true
	case "enter", "line", "leave":
		f.config = append(f.config, configRow{tag, rest})
	case "sources":
		f.sources = rest
	case "account":
		hash, _, _ := strings.Cut(field[2], "\t")
		f.accounts = append(f.accounts, account{field[0], field[1], hash})
	case "setting":
		if f.settings[field[0]] == nil {
			f.settings[field[0]] = map[string]string{}
		}
		f.settings[field[0]][field[1]] = strings.TrimSpace(field[2])
	case "authority":
		f.authorities[field[0]] = append(f.authorities[field[0]], strings.TrimPrefix(rest, field[0]+"\t"))
	case "key":
		f.keys = append(f.keys, keyLine{field[0], field[1], field[2]})
	case "password":
		f.passwords[field[0]] = field[1]
	case "program":
		f.programs = append(f.programs, program{field[0], strings.TrimPrefix(rest, field[0]+"\t")})
	case "done":
		f.done[rest] = true
	default:
		return fmt.Errorf("the host's answer holds a row that means nothing: %s", cleanText(line))
	}
	return nil
}

// everyone lists every account that a row speaks of, once, and first the one
// without a name.
func (f *facts) everyone() []account {
	all := []account{{}}
	known := map[string]bool{"": true}
	add := func(a account) {
		if !known[a.name] {
			known[a.name] = true
			all = append(all, a)
		}
	}
	for _, a := range f.accounts {
		add(a)
	}
	for name := range f.settings {
		add(account{name: name})
	}
	for _, k := range f.keys {
		add(account{name: k.account})
	}
	return all
}
