package relay

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// A requestState is what the client has asked for on a channel so far.
type requestState struct {
	pty     *ptyRequest
	env     int
	agent   bool     // auth-agent-req@openssh.com was passed on
	running bool     // a shell, exec or subsystem was asked for; there is one a channel
	notices []string // for the user, once there is a terminal to read them
}

// serveClient passes the client's requests on, in their order. What it does not
// know it refuses.
func (c *channel) serveClient(requests <-chan *ssh.Request) {
	for request := range requests {
		switch request.Type {
		case "shell", "exec", "subsystem":
			c.serveProgram(request)
		default:
			// An error means that the client is gone, and the loop ends.
			_ = request.Reply(c.clientRequest(request), nil)
		}
	}
}

// serveProgram lets data flow when the client has been told that its program
// runs, in the order that sshd keeps. What is to be said of earlier requests
// comes before all data.
func (c *channel) serveProgram(r *ssh.Request) {
	c.asking.Lock()
	defer c.asking.Unlock()
	ok, refused := c.askProgram(r)
	if refused != "" {
		c.refuseProgram(r, refused)
		return
	}
	_ = r.Reply(ok, nil) // an error means that the client is gone
	if !ok {
		return
	}
	for _, text := range append(c.session.takeNotices(), c.state.notices...) {
		c.tell(text)
	}
	close(c.started)
}

func (c *channel) clientRequest(r *ssh.Request) bool {
	switch r.Type {
	case "pty-req":
		return c.askPty(r)
	case "env":
		return c.askEnv(r)
	case "window-change":
		return c.askWindow(r)
	case "signal":
		if _, err := parseSignal(r.Payload); err != nil || !c.state.running {
			return false
		}
		return c.forward(r)
	case "break", "eow@openssh.com":
		return c.state.running && len(r.Payload) <= 4 && c.forward(r)
	case "auth-agent-req@openssh.com":
		return c.askAgent(r)
	case "x11-req":
		c.refuseRequest(r, forwardingText("X11 forwarding", "ssh -x, or ForwardX11 no, does not ask for it"))
	default:
		c.session.noteRefused("request.refused", r.Type)
	}
	return false
}

// refuseRequest notes a refusal; whoever then sits at a terminal reads it.
// Without one it would only disturb programs that read standard error.
func (c *channel) refuseRequest(r *ssh.Request, text string) {
	c.session.noteRefused("request.refused", r.Type)
	if c.state.pty != nil && !c.state.running && len(c.state.notices) < maxNotices {
		c.state.notices = append(c.state.notices, text)
	}
}

// forward passes a request on as it is and returns the target's answer.
func (c *channel) forward(r *ssh.Request) bool {
	ok, err := c.target.SendRequest(r.Type, r.WantReply, r.Payload)
	return err == nil && (ok || !r.WantReply)
}

func (c *channel) askPty(r *ssh.Request) bool {
	pty, err := parsePty(r.Payload)
	if err != nil || c.state.pty != nil || c.state.running {
		c.session.noteRefused("request.refused", r.Type)
		return false
	}
	u := func(p store.Purposes) (bool, string) {
		return p.Has(store.PurposeShell) || p.Has(store.PurposeExec), "no grant allows a terminal here (shell, exec)"
	}
	if c.session.may(c.session.extended("permit-pty", u)) != "" {
		c.session.noteRefused("request.refused", r.Type)
		return false
	}
	// The channel's label hangs on the answer, so it is always asked for.
	ok, err := c.target.SendRequest(r.Type, true, r.Payload)
	if err != nil || !ok {
		return false
	}
	c.state.pty = &pty
	return true
}

func (c *channel) askEnv(r *ssh.Request) bool {
	env, err := parseEnv(r.Payload)
	if err != nil || c.state.running || c.state.env >= maxEnv {
		c.session.noteRefused("env.refused", clean(env.Name, maxEnvName))
		return false
	}
	c.state.env++
	return c.session.note("env.sent", env.Name+"="+env.Value) && c.forward(r)
}

// askProgram launches what the client wants, or what the user's certificate
// forces, or says why that is refused.
func (c *channel) askProgram(r *ssh.Request) (ok bool, refused string) {
	if c.state.running || c.dead || c.session.isOver() {
		return false, ""
	}
	kind, command := recording.Kind(r.Type), ""
	if kind != recording.Shell {
		var err error
		if command, err = parseText(r.Payload); err != nil {
			return false, ""
		}
	} else if len(r.Payload) > 0 {
		return false, ""
	}
	program := &ssh.Request{Type: r.Type, WantReply: r.WantReply, Payload: r.Payload}
	if forced, ok := c.session.forced(); ok {
		if !c.session.note("command.replaced", string(kind)+" "+command) {
			return false, ""
		}
		kind, command = recording.Exec, forced
		program.Type, program.Payload = "exec", execPayload(forced)
	}
	u := c.programUse(kind, command)
	c.session.mu.Lock()
	c.use = u
	c.session.mu.Unlock()
	if refused = c.session.may(u); refused != "" {
		c.session.noteRefused("program.refused", fmt.Sprintf("%s %s: %s", kind, command, whyOf(refused)))
		return false, refused
	}
	c.state.running = true
	info := recording.ChannelInfo{Kind: kind, Command: recording.Text(command)}
	if pty := c.state.pty; pty != nil {
		c.tty = true
		info.TTY, info.Term, info.Cols, info.Rows = true, recording.Text(pty.Term), int(pty.Cols), int(pty.Rows)
	}
	return c.launch(info, program), ""
}

// launch begins the channel's record and then has the target start the program.
func (c *channel) launch(info recording.ChannelInfo, program *ssh.Request) bool {
	log, err := c.session.recording.Channel(info)
	if err != nil {
		c.session.recorderFailed(err)
		return false
	}
	c.log = log
	return c.forward(program)
}

// askWindow records the new size before the target draws for it.
func (c *channel) askWindow(r *ssh.Request) bool {
	w, err := parseWindow(r.Payload)
	if err != nil || c.state.pty == nil {
		return false
	}
	if w.Cols == c.state.pty.Cols && w.Rows == c.state.pty.Rows && c.log != nil {
		return c.forward(r) // nothing to record: only pixels changed
	}
	c.state.pty.Cols, c.state.pty.Rows = w.Cols, w.Rows
	if c.log != nil {
		if err := c.log.Resize(int(w.Cols), int(w.Rows)); err != nil {
			c.session.recorderFailed(err)
			return false
		}
	}
	return c.forward(r)
}

// serveTarget passes on what the target says of its program.
func (c *channel) serveTarget(requests <-chan *ssh.Request) {
	ended := false
	for request := range requests {
		ok := false
		switch request.Type {
		case "exit-status", "exit-signal":
			if !ended {
				ended = true
				c.passExit(request)
			}
		case "eow@openssh.com", "xon-xoff":
			if len(request.Payload) <= 1 {
				_, _ = c.client.SendRequest(request.Type, false, request.Payload)
			}
		case "keepalive@openssh.com":
			ok = true
		}
		_ = request.Reply(ok, nil) // an error means that the target is gone
	}
}

// passExit passes on how the program ended, but for one that was revoked: its user
// was given the status of that, and how it took its end would replace it.
func (c *channel) passExit(r *ssh.Request) {
	parse := parseExitStatus
	if r.Type == "exit-signal" {
		parse = parseExitSignal
	}
	exit, err := parse(r.Payload)
	if err != nil {
		return
	}
	c.exit = exit
	if !c.revoked.Load() {
		_, _ = c.client.SendRequest(r.Type, false, r.Payload) // the client may be gone
	}
	close(c.exited)
}

// globals answers the client's global requests. To listen on the target is among
// them; OpenSSH says that it failed, and the first program says why.
func (s *session) globals(requests <-chan *ssh.Request) {
	for r := range requests {
		switch r.Type {
		case "keepalive@openssh.com":
			_ = r.Reply(true, nil)
			continue
		case "no-more-sessions@openssh.com":
			s.mu.Lock()
			s.noMore = true
			s.mu.Unlock()
			_ = r.Reply(true, nil)
			continue
		case "tcpip-forward", "streamlocal-forward@openssh.com":
			ok, answer := s.listen(r)
			_ = r.Reply(ok, answer)
			continue
		case "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com":
			_ = r.Reply(s.unlistenFor(r), nil)
			continue
		}
		s.noteRefused("request.refused", r.Type)
		_ = r.Reply(false, nil)
	}
}

// targetGlobals answers the target's. What it announces (its host keys, above
// all) is for the relay, which has them pinned, and not for the user.
func targetGlobals(requests <-chan *ssh.Request) {
	for r := range requests {
		_ = r.Reply(r.Type == "keepalive@openssh.com", nil)
	}
}

func (s *session) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// permits reports whether the user's own certificate has an extension.
func (s *session) permits(extension string) bool {
	_, ok := s.admission.Identity.Cert.Extensions[extension]
	return ok
}

// forced returns the command that the user's own certificate forces.
func (s *session) forced() (string, bool) {
	command, ok := s.admission.Identity.Cert.CriticalOptions["force-command"]
	return command, ok
}
