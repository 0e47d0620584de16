//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

type script = testscript.TestScript

// commands are what the scripts are written in, beside testscript's own:
//
//	init | serve | terminate | crash        the server
//	dump                               ends it as a panic would; its output is stdout
//	log                                what the server wrote, as stdout
//	certify FOLDER                     an authority of the company's (ca.pem), and a
//	                                   certificate of it for localhost (cert.pem, key.pem)
//	site                               the same for everybody in the script, before init
//	company                            init, serve, and ada, dana and carol enrolled
//	join PERSON ROLE                   ada adds a person, who enrols
//	person PERSON                      a person appears, with $PERSON as home
//	[!] enrol PERSON INVITATION        a person enrols
//	code PERSON FILE                   a person's next TOTP code
//	host NAME                          a private sshd that was set up for VaultPAM
//	setup HOST NAME                    sets a host up anew, as a target of another name
//	barehost NAME                      a private sshd that trusts nobody yet (root)
//	ownhost NAME                       one with accounts and an /etc/ssh of its own (root)
//	[!] inhost NAME PROGRAM…           runs a program on it as root
//	reloads NAME NUMBER                waits until it has read its configuration so often
//	hostdown NAME                      ends a host
//	register NAME                      ada registers a host with its keys
//	hostlog NAME REGEXP                waits until sshd has logged it
//	[!] as WHO PROGRAM… [<FILE]        runs a program; the operator runs the server
//	exits CODE WHO PROGRAM… [<FILE]    the same, and its exit code
//	took DURATION                      what the last program took at most
//	capture VAR [REGEXP]               stdout, or the first group in it, as variable
//	bg NAME WHO PROGRAM…               runs a program beside the script
//	send NAME TEXT…                    types a line
//	keys NAME TEXT                     types keys; \r is Enter
//	sendcode NAME PERSON [SECRET]      types a person's next TOTP code
//	sees NAME REGEXP                   waits until it was written; stdout so far
//	over NAME CODE [DURATION]          waits for the end; its output is stdout
//	overby TIME DURATION               the last over was then, or at most that later
//	entry TYPE [FIELD=REGEXP…]         waits for an entry that dana can see
//	forge PERSON NAME KEY=VALUE…       a certificate by hand
//	[!] attack PERSON NAME WHERE…      logs in with it, by a client that checks nothing
//	window PERSON                      a window of Chromium, with an authenticator that
//	                                   answers at once; the person's $BROWSER leads to it
//	member PERSON ROLE                 ada adds a person, who enrols a passkey in a window
//	                                   and signs in with it
//	web PERSON opens URL | follows     an address; the one that a program opens next
//	web PERSON clicks NAME             the control that a screen reader calls so
//	web PERSON fills NAME TEXT         a field
//	web PERSON codes NAME [SECRET]     with the person's next TOTP code
//	web PERSON sees TEXT…              waits for all of them; new views are held to axe-core
//	web PERSON text                    what the page shows becomes stdout
//	web PERSON insists                 clicks warnings about certificates away
//	web PERSON plugs KIND              another authenticator in place of the first
//	web PERSON doubts | knows          it does not recognise its user, and does again
//	web PERSON waits | touches         it waits for a touch, which then comes
//	web PERSON steals PERSON [cookies] copies somebody's passkeys, or their cookies
//	web PERSON complains REGEXP        the browser did; otherwise that fails the script
//	web PERSON pictures NAME           docs/images/NAME.png, which -update takes anew
//	provider PERSON…                   the company's OpenID provider, at $issuer, with an
//	                                   account each; after init and before serve
//	account PERSON factor              it asks them for a second factor from now on
//	account PERSON asks                it asks before it sends them back, and shows where
//	account PERSON called NAME         their account has another name from now on
//	signsout PERSON                    it tells the server that they signed out there
//	evil                               a page of another origin, at $evil
//	listens VAR NAME                   the port of 127.0.0.1 that a program waits on
//	smalldisk SIZE [FOLDER]            a disk for the server's directory (root)
//	fill [FOLDER] | empty [FOLDER]     to its last byte, and not any more
func commands() map[string]func(*script, bool, []string) {
	all := map[string]func(*script, bool, []string){}
	for name, f := range map[string]func(*world, *script, []string) error{
		"init": (*world).doInit, "serve": (*world).doServe, "terminate": (*world).doTerminate, "crash": (*world).doCrash,
		"dump":    (*world).doDump,
		"certify": (*world).doCertify, "site": (*world).doSite, "window": (*world).doWindow, "web": (*world).doWeb,
		"member": (*world).doMember, "evil": (*world).doEvil, "listens": (*world).doListens,
		"provider": (*world).doProvider, "account": (*world).doAccount, "signsout": (*world).doSignsOut,
		"log": (*world).doLog, "company": (*world).doCompany, "join": (*world).doJoin, "person": (*world).doPerson,
		"code": (*world).doCode, "host": (*world).doHost, "barehost": (*world).doBareHost,
		"ownhost": (*world).doOwnHost, "setup": (*world).doSetUp, "reloads": (*world).doReloads, "hostdown": (*world).doHostDown,
		"register": (*world).doRegister, "hostlog": (*world).doHostLog, "exits": (*world).doExits,
		"took": (*world).doTook, "capture": (*world).doCapture, "bg": (*world).doBg, "send": (*world).doSend,
		"keys": (*world).doKeys, "sendcode": (*world).doSendCode,
		"sees": (*world).doSees, "over": (*world).doOver, "overby": (*world).doOverBy, "entry": (*world).doEntry,
		"forge": (*world).doForge, "smalldisk": (*world).doSmallDisk, "fill": (*world).doFill, "empty": (*world).doEmpty,
	} {
		all[name] = func(ts *script, neg bool, args []string) {
			err := f(worldOf(ts), ts, args)
			if neg {
				err = errors.New("can't be negated")
			}
			if err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	for name, f := range map[string]func(*world, *script, []string) (bool, error){
		"as": (*world).doAs, "inhost": (*world).doInHost, "enrol": (*world).doEnrol, "attack": (*world).doAttack,
	} {
		all[name] = func(ts *script, neg bool, args []string) {
			good, err := f(worldOf(ts), ts, args)
			if err == nil && good == neg {
				err = fmt.Errorf("succeeded: %v", good)
			}
			if err != nil {
				ts.Fatalf("%s: %v", name, err)
			}
		}
	}
	return all
}

func worldOf(ts *script) *world { return ts.Value(worldKey{}).(*world) }

func want(args []string, least, most int) error {
	if len(args) < least || len(args) > most {
		return fmt.Errorf("%d arguments, want %d to %d", len(args), least, most)
	}
	return nil
}

// doAs runs a program and reports whether it succeeded.
func (w *world) doAs(ts *script, args []string) (bool, error) {
	if len(args) < 2 {
		return false, errors.New("want WHO PROGRAM…")
	}
	code, err := w.runAs(ts, args[0], args[1:])
	return code == 0, err
}

func (w *world) doExits(ts *script, args []string) error {
	if len(args) < 3 {
		return errors.New("want CODE WHO PROGRAM…")
	}
	wanted, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	code, err := w.runAs(ts, args[1], args[2:])
	if err == nil && code != wanted {
		err = fmt.Errorf("exit code %d, want %d", code, wanted)
	}
	return err
}

// runAs runs a program to its end; what it writes is what stdout and stderr
// look at next.
func (w *world) runAs(ts *script, who string, words []string) (int, error) {
	var input []byte
	if file, ok := strings.CutPrefix(words[len(words)-1], "<"); ok {
		words = words[:len(words)-1]
		input = []byte(ts.ReadFile(file))
	}
	cmd, err := w.command(who, words)
	if err != nil {
		return 0, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), ts.Stdout(), ts.Stderr()
	cmd.WaitDelay = time.Second
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	stuck := time.AfterFunc(patience, func() { killSession(cmd) })
	err = cmd.Wait()
	w.last = time.Since(begin)
	if !stuck.Stop() {
		return 0, fmt.Errorf("still ran after %s", patience)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return 0, err
	}
	return cmd.ProcessState.ExitCode(), nil
}

func (w *world) doTook(_ *script, args []string) error {
	if err := want(args, 1, 1); err != nil {
		return err
	}
	limit, err := time.ParseDuration(args[0])
	if err == nil && w.last > limit {
		err = fmt.Errorf("the last program took %s, want at most %s", w.last, limit)
	}
	return err
}

func (w *world) doCapture(ts *script, args []string) error {
	if err := want(args, 1, 2); err != nil {
		return err
	}
	text := strings.TrimSpace(ts.ReadFile("stdout"))
	if len(args) == 2 {
		pattern, err := regexp.Compile("(?m)" + args[1])
		if err != nil {
			return err
		}
		found := pattern.FindStringSubmatch(text)
		if len(found) != 2 {
			return fmt.Errorf("%q matches nothing, or has not one group", pattern)
		}
		text = found[1]
	}
	ts.Setenv(args[0], text)
	return nil
}
