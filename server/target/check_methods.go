package target

import (
	"slices"
	"strings"

	"github.com/vaultpam/vaultpam/store"
)

// otherMethods judges every method of authentication but keys.
func (j *judge) otherMethods(a account, settings map[string]string, root bool) {
	enabled := enabledMethods(settings, root)
	for _, method := range sufficient(enabled, settings["authenticationmethods"]) {
		switch method {
		case "password", "keyboard-interactive":
			j.password(a, method, settings)
		case "hostbased":
			j.door(store.DoorHostBased, a.name, "HostbasedAuthentication yes")
		case "gssapi-with-mic", "gssapi-keyex":
			j.door(store.DoorGSSAPI, a.name, method)
		}
	}
}

// enabledMethods are those that sshd offers beside keys. What it does not say
// about the main ones counts as yes.
func enabledMethods(settings map[string]string, root bool) []string {
	var methods []string
	// The kinds of PermitRootLogin below yes allow root no password.
	if !root || settings["permitrootlogin"] == "yes" || settings["permitrootlogin"] == "" {
		if settings["passwordauthentication"] != "no" {
			methods = append(methods, "password")
		}
		// Up to OpenSSH 8.6 these were two settings, and it took both.
		if settings["kbdinteractiveauthentication"] != "no" && settings["challengeresponseauthentication"] != "no" {
			methods = append(methods, "keyboard-interactive")
		}
	}
	if settings["hostbasedauthentication"] != "no" {
		methods = append(methods, "hostbased")
	}
	// Not every sshd knows GSSAPI.
	if settings["gssapiauthentication"] == "yes" {
		methods = append(methods, "gssapi-with-mic")
	}
	if settings["gssapikeyexchange"] == "yes" {
		methods = append(methods, "gssapi-keyex")
	}
	return methods
}

// sufficient are those of the methods that AuthenticationMethods (sshd_config(5))
// lets in by themselves or together, without a key.
func sufficient(enabled []string, lists string) []string {
	if lists == "" || lists == "any" {
		return enabled
	}
	var all []string
	for list := range strings.FieldsSeq(lists) {
		var methods []string
		complete := true
		for method := range strings.SplitSeq(list, ",") {
			method, _, _ = strings.Cut(method, ":") // a device of keyboard-interactive
			complete = complete && slices.Contains(enabled, method)
			methods = append(methods, method)
		}
		if complete {
			all = append(all, methods...)
		}
	}
	return all
}

// state is what is known about an account's password: set, locked, empty, or ""
// where nothing is.
func (j *judge) state(a account) string {
	if a.hash != "shadow" {
		return a.hash
	}
	return j.facts.passwords[a.name]
}

func (j *judge) password(a account, method string, settings map[string]string) {
	// Which modules PAM asks is not looked at: they may know other passwords than
	// the host's own file.
	if settings["usepam"] != "no" {
		j.door(store.DoorPassword, "", method+": PAM may know passwords that are not in the shadow file")
	}
	if settings["kerberosauthentication"] == "yes" && method == "password" {
		j.door(store.DoorPassword, a.name, "password: KerberosAuthentication yes")
	}
	if a.name == "" {
		return
	}
	switch j.state(a) {
	case "locked":
	case "empty":
		if settings["permitemptypasswords"] != "no" {
			j.door(store.DoorNone, a.name, "PermitEmptyPasswords yes, and the password is empty")
		}
	case "set":
		j.door(store.DoorPassword, a.name, method+": a password is set")
	default:
		j.door(store.DoorPassword, a.name, method+": whether a password is set could not be read")
	}
}
