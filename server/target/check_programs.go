package target

import (
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// defaultConfig is what sshd reads when nobody tells it otherwise.
const defaultConfig = "/etc/ssh/sshd_config"

// programs judges the other programs of the host that let people in. sshd that
// reads the configuration which was judged is none of them.
func (j *judge) programs() {
	conf := defaultConfig
	for _, row := range j.facts.config {
		if row.tag == "enter" {
			conf = row.text
			break
		}
	}
	for _, p := range j.facts.programs {
		switch {
		case strings.HasPrefix(p.command, "sshd"):
			for _, detail := range sshdDoors(p.arguments, conf) {
				j.door(store.DoorDaemon, "", detail)
			}
		case strings.HasPrefix(p.command, "busybox"):
			for word := range strings.FieldsSeq(p.arguments) {
				if strings.Contains(word, "telnetd") || strings.Contains(word, "rlogind") {
					j.door(store.DoorDaemon, "", "busybox "+word)
				}
			}
		default:
			j.door(store.DoorDaemon, "", p.command)
		}
	}
}

// sshdDoors says what makes a running sshd another door than the one that was
// judged: another configuration, or an option that outdoes it. The processes of
// single connections, which sshd names after them, are none.
func sshdDoors(arguments, conf string) []string {
	line := strings.TrimSpace(arguments)
	title, named := strings.CutPrefix(line, "sshd: ")
	if named {
		var listens bool
		if line, _, listens = strings.Cut(title, " [listener]"); !listens {
			return nil
		}
	}
	word := strings.Fields(line)
	if len(word) == 0 || isSession(word[0]) {
		return nil
	}
	var doors []string
	configuration := defaultConfig
	for i := 1; i < len(word); i++ {
		flag := word[i]
		if len(flag) < 2 || flag[0] != '-' {
			continue
		}
		// A flag's value may follow it in the same word or in the next.
		at := strings.IndexAny(flag, "foCEbcghkpuG")
		if at < 0 {
			continue
		}
		value := flag[at+1:]
		if value == "" && i+1 < len(word) {
			i++
			value = word[i]
		}
		switch {
		case flag[at] == 'f':
			configuration = value
		case flag[at] == 'o' && decides(value):
			doors = append(doors, "sshd with the option "+value)
		}
	}
	if configuration != conf {
		doors = append(doors, "sshd with the configuration "+configuration)
	}
	return doors
}

// isSession says whether a program is one that sshd starts for a connection,
// since OpenSSH 9.8.
func isSession(program string) bool {
	name := program[strings.LastIndexByte(program, '/')+1:]
	return name == "sshd-session" || name == "sshd-auth" || name == "sshd-session:" || name == "sshd-auth:"
}

// decides says whether an option of the command line has to do with who gets in.
func decides(option string) bool {
	keyword := parseSetting(option).keyword
	for _, known := range append(settingKeywords(), "include", "match", "skeyauthentication", "dsaauthentication") {
		if keyword == known && keyword != "usepam" {
			return true
		}
	}
	return false
}
