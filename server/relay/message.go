package relay

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// Everything that the relay says to a user is put together here. A sentence
// begins with the program's name, because the user can't see otherwise who of
// the three machines on the way speaks; a hint says what to do next.

// maxForeign bounds what is passed on of a text that a target or client chose.
const maxForeign = 4 << 10

func sentence(text, hint string) string {
	s := "vaultpam: " + text + "\n"
	if hint != "" {
		s += "hint: " + hint + "\n"
	}
	return s
}

// divide is the inverse of sentence, for callers that say it in their own way.
func divide(text string) (message, hint string) {
	message, hint, _ = strings.Cut(strings.TrimPrefix(text, "vaultpam: "), "\nhint: ")
	return strings.TrimSuffix(message, "\n"), strings.TrimSuffix(hint, "\n")
}

// refusalText is what the user reads of a Gate's error. Internal text stays in
// the log.
func refusalText(err error) string {
	if r, ok := errors.AsType[*access.Refusal](err); ok {
		return sentence(r.Message, r.Hint)
	}
	if errors.Is(err, store.ErrFull) {
		return sentence("the server has no room left to write the ledger, so nothing was started",
			"tell an administrator to make room on the server's disk")
	}
	return sentence("the server can't decide at the moment, so nothing was started",
		"try again; tell your administrator if it stays like this")
}

// touchText leads to the page where a passkey is touched.
func touchText(r StartRequest, page string, patience time.Duration) string {
	return sentence(fmt.Sprintf("%s on %s wants a touch of your passkey: %s", r.Login, r.Target, clean(page, 512)),
		fmt.Sprintf("open the page in your browser; this connection waits for %s and then goes on by itself", waitText(patience)))
}

func waitText(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.Round(time.Second).String()
}

func noCertificateText() string {
	return sentence("no VaultPAM certificate was offered", "vaultpam login")
}

func notOursText() string {
	return sentence("the certificate that was offered is not a VaultPAM user certificate", "vaultpam login")
}

func relayItselfText(suffix string) string {
	return sentence("this is the relay itself, not a target",
		fmt.Sprintf("type: ssh LOGIN@TARGET.%s, or ssh LOGIN+TARGET@RELAY", suffix))
}

func badDestinationText(err error) string {
	return sentence(err.Error(), "vaultpam targets")
}

func notAWayInText(host string, port uint32, suffix string) string {
	return sentence(fmt.Sprintf("%q port %d can't be reached through the relay", clean(host, 80), port),
		fmt.Sprintf("it leads to port 22 of TARGET.%s and nowhere else", suffix))
}

func recorderText(err error) string {
	return sentence(fmt.Sprintf("the recording can't go on (%s); the session was ended", recorderCause(err)),
		"tell your administrator; no session starts without a recording")
}

func recorderCause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	if errors.Is(err, recording.ErrRecorder) {
		return "the recorder stopped"
	}
	return "the recorder refused"
}

func unreachableText(a *Admission, err error) string {
	cause := "no answer in time"
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		cause = "its name can't be resolved"
	} else if errno, ok := errors.AsType[syscall.Errno](err); ok {
		cause = errno.Error()
	}
	return sentence(fmt.Sprintf("%s (%s) can't be reached: %s", a.Target, clean(a.Address, 300), cause),
		"is the host up, and does a firewall let the relay through?")
}

func noHandshakeText(a *Admission) string {
	return sentence(fmt.Sprintf("%s (%s) answers but no SSH connection came about", a.Target, clean(a.Address, 300)),
		"is it an OpenSSH server of 6.5 or later that listens there?")
}

func hostKeyText(a *Admission, shown ssh.PublicKey) string {
	pinned := make([]string, 0, len(a.HostKeys))
	for _, key := range a.HostKeys {
		pinned = append(pinned, ssh.FingerprintSHA256(key))
	}
	return sentence(fmt.Sprintf("%s shows a host key that is not the pinned one (%s pinned, %s shown); nothing was sent",
		a.Target, strings.Join(pinned, ", "), ssh.FingerprintSHA256(shown)),
		"if the host was set up anew, an administrator registers it again; otherwise somebody stands in its place")
}

func otherHostKeysText(a *Admission) string {
	return sentence(fmt.Sprintf("%s has no host key of a pinned kind; nothing was sent", a.Target),
		"if the host was set up anew, an administrator registers it again; otherwise somebody stands in its place")
}

func noHostKeyText(a *Admission) string {
	return sentence(fmt.Sprintf("no usable host key is pinned for %s", a.Target), "an administrator registers the target again")
}

// refusedByTargetText prints both addresses, because a source address that the
// host sees differently is the most common cause and can't be seen from either
// machine alone.
func refusedByTargetText(a *Admission, local, allowed string) string {
	if local != "" && !covers(allowed, local) {
		return sentence(fmt.Sprintf("%s refused the certificate for %s: the relay came from %s, the certificate was issued for %s",
			a.Target, a.Login, local, allowed), "an administrator sets the target's egress address")
	}
	return sentence(fmt.Sprintf("%s refused the certificate for %s (the relay came from %s, the certificate was issued for %s)",
		a.Target, a.Login, local, allowed),
		fmt.Sprintf("does the account exist there, and was the host set up? an administrator runs: vaultpamd target setup %s", a.Target))
}

// verdictText is what the user reads when a Gate ended the session, in its own
// words where it has any.
func verdictText(a *Admission, reason store.EndReason, said error) string {
	if r, ok := errors.AsType[*access.Refusal](said); ok {
		return sentence(r.Message+"; the session was closed", r.Hint)
	}
	return endText(a, reason)
}

// endText is what the user reads when a session ends that nobody closed.
func endText(a *Admission, reason store.EndReason) string {
	switch reason {
	case store.EndedByGrant:
		if a.Identity.Cert == nil { // an errand
			return sentence(fmt.Sprintf("the server itself may not be on %s as %s any more; the session was closed", a.Target, a.Login),
				"was the target removed? vaultpam targets")
		}
		return sentence(fmt.Sprintf("the grant for %s@%s ended; the session was closed", a.Login, a.Target),
			"ask for a new grant if you still need it")
	case store.EndedByLock:
		return sentence(fmt.Sprintf("an administrator locked %s, the session itself or what it came from; it was closed", a.Target), "ask an administrator")
	case store.EndedByShutdown:
		return sentence("the relay is being stopped; the session was closed", "connect again in a minute")
	case store.EndedByTarget:
		return sentence(fmt.Sprintf("%s closed the connection", a.Target), "")
	}
	return sentence("the relay can't know any more whether this session may go on; it was closed", "connect again")
}

func tooMuchText(a *Admission, limit int) string {
	return sentence(fmt.Sprintf("the command on %s wrote more than %d bytes; the session was closed", a.Target, limit),
		fmt.Sprintf("look at what it wrote: vaultpam play %s", a.Session))
}

func tooLateText(a *Admission) string {
	return sentence(fmt.Sprintf("the command on %s did not end in time; the session was closed", a.Target),
		fmt.Sprintf("look at what it wrote: vaultpam play %s", a.Session))
}

func noExitText(a *Admission) string {
	return sentence(fmt.Sprintf("%s did not say how the command ended", a.Target), "try again")
}

func noCommandText(a *Admission, said string) string {
	text := fmt.Sprintf("%s let %s in and ran no command", a.Target, a.Login)
	if said != "" {
		text += ": " + said
	}
	return sentence(text, "does its sshd_config allow sessions? (MaxSessions)")
}

// readOnlyWhy is why a request of sftp is refused.
const readOnlyWhy = "sftp may only read here (sftp=read-only)"

// purposeText is what the user reads when no grant is for what they want to do.
func purposeText(why string) string {
	return sentence("refused: "+clean(why, maxForeign), "ask an administrator for a grant that is for it")
}

// endedText is what they read when one was.
func endedText(why string) string {
	return sentence("it may not go on and was closed: "+clean(why, maxForeign), "ask an administrator for a grant that is for it")
}

func forwardingText(what, hint string) string {
	return sentence(what+" is not allowed through the relay", hint)
}

func crowdedText() string {
	return sentence("too many connections are signing in from your address", "try again in a moment")
}

// clean makes foreign text safe to print: no control character survives but
// line feed and tab, and no more than limit bytes.
func clean(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == '\r':
			return -1
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
}

// terminal is text as a terminal in raw mode wants it.
func terminal(text string) []byte {
	return []byte("\r\n" + strings.ReplaceAll(text, "\n", "\r\n"))
}

// until returns how long it is from now to end.
func until(now, end time.Time) time.Duration { return max(0, end.Sub(now)) }
