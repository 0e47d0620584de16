package relay

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// A use is what somebody wants to do, as a question to what they may. Where the
// answer is no, why goes on after "refused:".
type use func(store.Purposes) (ok bool, why string)

// may asks the Gate, at this moment. It returns what the user reads of a refusal,
// or "". What is asked for has to be where narrow finds it before: then whatever is
// taken away after the answer takes it away too.
func (s *session) may(u use) string {
	ctx, cancel := context.WithTimeout(context.Background(), s.relay.limits.Stop)
	defer cancel()
	purposes, err := s.relay.gate.Purposes(ctx, s.admission)
	if err != nil {
		s.relay.log.Error("asking what a session may do", "session", s.admission.Session.String(), "error", err.Error())
		return refusalText(err)
	}
	if ok, why := u(purposes); !ok {
		return purposeText(why)
	}
	return ""
}

// has is the use of a purpose without limits.
func has(p store.Purpose, what string) use {
	return func(purposes store.Purposes) (bool, string) {
		return purposes.Has(p), fmt.Sprintf("no grant allows %s here (%s)", what, p)
	}
}

// extended is a use that the user's own certificate has to permit as well.
func (s *session) extended(extension string, u use) use {
	return func(purposes store.Purposes) (bool, string) {
		if !s.permits(extension) {
			return false, fmt.Sprintf("your certificate does not permit it (%s)", extension)
		}
		return u(purposes)
	}
}

// programUse is the use that a program makes of a session.
func (c *channel) programUse(kind recording.Kind, command string) use {
	switch {
	case kind == recording.Exec:
		return func(p store.Purposes) (bool, string) { return p.AllowsExec(command) }
	case kind == recording.Shell && c.state.pty != nil:
		return has(store.PurposeShell, "a shell on a terminal")
	case kind == recording.Shell:
		return has(store.PurposeNoTTY, "a shell without a terminal")
	case command == sftpName:
		return c.sftpUse()
	}
	return func(store.Purposes) (bool, string) {
		return false, fmt.Sprintf("the subsystem %q is none that a grant can be for", clean(command, 80))
	}
}

// sftpUse chooses how much of sftp the channel is for, and stays within that: what
// began with writing ends when only reading is left.
func (c *channel) sftpUse() use {
	var granted store.SFTPAccess
	choose := func(p store.Purposes) (bool, string) {
		granted = p.SFTP()
		return granted != "", ""
	}
	if c.session.may(choose) == "" && granted == store.SFTPReadOnly {
		c.guard = new(sftpGuard)
	}
	return func(p store.Purposes) (bool, string) {
		switch left := p.SFTP(); {
		case left == "":
			return false, "no grant allows sftp here (sftp)"
		case left == store.SFTPReadOnly && granted != store.SFTPReadOnly:
			return false, "sftp may only read here now (sftp=read-only)"
		}
		return true, ""
	}
}

// refuseProgram tells the user why a program does not run. Were the request itself
// refused, OpenSSH would end before it shows what came on standard error: so the
// program is one that says a sentence and exits as ssh does.
func (c *channel) refuseProgram(r *ssh.Request, text string) {
	c.dead = true
	_ = r.Reply(true, nil) // errors mean that the client is gone
	words := []byte(text)
	if c.state.pty != nil {
		words = terminal(text)
	}
	_, _ = c.client.Stderr().Write(words) // errors mean that the client is gone, here and below
	c.exitRefused()
	_ = c.client.Close() // gone: closed already
}

// exitRefused gives the client the exit status that ssh has for itself.
func (c *channel) exitRefused() {
	_, _ = c.client.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{255}))
}

// follow closes what is not allowed any more, as soon as the Gate says so, and
// leaves the rest. It ends with ctx, or with an error of the Gate: Watch meets
// that too, and ends the session.
func (s *session) follow(ctx context.Context) {
	var had store.Purposes
	for {
		now, err := s.relay.gate.AwaitPurposes(ctx, s.admission, had)
		if err != nil {
			return
		}
		if len(now) > 0 { // with nothing left the session ends, and says why
			s.narrow(now)
		}
		had = now
	}
}

// narrow closes what is open and not among the purposes.
func (s *session) narrow(now store.Purposes) {
	s.mu.Lock()
	lost, cut, silenced := map[*channel]string{}, map[*tunnel]string{}, map[listener]string{}
	for c := range s.channels {
		if c.use != nil {
			if ok, why := c.use(now); !ok {
				lost[c] = why
			}
		}
	}
	for t := range s.tunnels {
		if t.use != nil {
			if ok, why := t.use(now); !ok {
				cut[t] = why
			}
		}
	}
	for l, u := range s.listeners {
		if ok, why := u(now); !ok {
			silenced[l] = why
			delete(s.listeners, l)
		}
	}
	s.mu.Unlock()
	said := map[string]bool{}
	for t, why := range cut {
		t.cut()
		s.noteEnded(t.what(), why)
		said[why] = true
	}
	for l, why := range silenced {
		s.noteEnded(string(store.PurposeRemoteForward)+" "+l.where, why)
		// Nothing comes through any more; a target that does not answer is not
		// waited for here.
		s.chores.Go(func() { s.unlisten(l) })
		said[why] = true
	}
	for c, why := range lost {
		s.noteEnded("a program", why)
		s.chores.Go(func() { c.revoke(endedText(why)) })
	}
	for why := range said {
		for _, c := range s.open() {
			// Ends at the latest when the connection is closed.
			s.chores.Go(func() { c.say(endedText(why)) })
		}
	}
}

func (s *session) noteEnded(what, why string) { s.note("purpose.ended", what+": "+why) }

// revoke ends a channel that was allowed. From here on nothing passes; the user
// has a moment to read why.
func (c *channel) revoke(text string) {
	if c.revoked.Swap(true) {
		return
	}
	hangUp := func() {
		c.exitRefused()
		_ = c.target.Close() // errors mean that a side closed first, which is what is wanted
		_ = c.client.Close() // likewise: that side closed first
	}
	timer := time.AfterFunc(c.session.relay.limits.Farewell, hangUp) // for clients that do not read
	defer timer.Stop()
	c.say(text)
	hangUp()
}

// leaveNotice keeps a text until there is a program that can show it.
func (s *session) leaveNotice(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.notices) < maxNotices {
		s.notices = append(s.notices, text)
	}
}

func (s *session) takeNotices() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.notices
	s.notices = nil
	return all
}
