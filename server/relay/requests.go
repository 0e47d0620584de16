package relay

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store/recording"
)

// Bounds of what a client may ask for. A terminal's modes are at most 159
// opcodes of five bytes (RFC 4254, section 8).
const (
	maxEnv      = 64
	maxEnvName  = 128
	maxEnvValue = 4 << 10
	maxTerm     = 64
	maxModes    = 1 << 10
	maxSignal   = 32
	maxNotices  = 4
	maxCells    = math.MaxUint16 // what a kernel's winsize holds
)

var errPayload = errors.New("malformed request")

// A ptyRequest is the payload of pty-req (RFC 4254, section 6.2).
type ptyRequest struct {
	Term          string
	Cols, Rows    uint32
	Width, Height uint32
	Modes         string
}

func parsePty(payload []byte) (ptyRequest, error) {
	var p ptyRequest
	if err := ssh.Unmarshal(payload, &p); err != nil {
		return p, errPayload
	}
	if len(p.Term) > maxTerm || strings.ContainsFunc(p.Term, notTerm) || len(p.Modes) > maxModes ||
		p.Cols > maxCells || p.Rows > maxCells {
		return p, fmt.Errorf("%w: terminal type, modes or size out of bounds", errPayload)
	}
	return p, nil
}

// notTerm reports whether r has no place in a terminal type: hosts put it into
// paths and logs.
func notTerm(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-+._", r)
}

// A windowChange is the payload of window-change (RFC 4254, section 6.7).
type windowChange struct{ Cols, Rows, Width, Height uint32 }

func parseWindow(payload []byte) (windowChange, error) {
	var w windowChange
	if err := ssh.Unmarshal(payload, &w); err != nil || w.Cols > maxCells || w.Rows > maxCells {
		return w, errPayload
	}
	return w, nil
}

// An envRequest is the payload of env (RFC 4254, section 6.4).
type envRequest struct{ Name, Value string }

func parseEnv(payload []byte) (envRequest, error) {
	var e envRequest
	if err := ssh.Unmarshal(payload, &e); err != nil {
		return e, errPayload
	}
	if e.Name == "" || len(e.Name) > maxEnvName || len(e.Value) > maxEnvValue ||
		strings.ContainsAny(e.Name, "=\x00\r\n") || strings.Contains(e.Value, "\x00") {
		return e, fmt.Errorf("%w: name or value out of bounds", errPayload)
	}
	if changesCode(e.Name) {
		return e, fmt.Errorf("%w: the variable makes another program run than the one that is recorded", errPayload)
	}
	return e, nil
}

// changesCode reports whether a variable makes the dynamic loader or a shell run
// code of its own before the command.
func changesCode(name string) bool {
	switch name {
	case "BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS", "PS4", "PROMPT_COMMAND", "IFS", "GCONV_PATH", "ZDOTDIR":
		return true
	}
	for _, prefix := range []string{"LD_", "DYLD_", "BASH_FUNC_"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// parseText is the payload of exec and subsystem (RFC 4254, section 6.5).
func parseText(payload []byte) (string, error) {
	var t struct{ Text string }
	if err := ssh.Unmarshal(payload, &t); err != nil || strings.Contains(t.Text, "\x00") {
		return "", errPayload
	}
	return t.Text, nil
}

// execPayload is what parseText reads.
func execPayload(command string) []byte {
	return ssh.Marshal(struct{ Command string }{command})
}

// parseSignal is the payload of signal (RFC 4254, section 6.9).
func parseSignal(payload []byte) (string, error) {
	name, err := parseText(payload)
	if err != nil || name == "" || len(name) > maxSignal || strings.ContainsFunc(name, notTerm) && !strings.Contains(name, "@") {
		return "", errPayload
	}
	return name, nil
}

// parseExitStatus and parseExitSignal read how a program ended (RFC 4254,
// section 6.10).
func parseExitStatus(payload []byte) (recording.Exit, error) {
	var e struct{ Status uint32 }
	if err := ssh.Unmarshal(payload, &e); err != nil {
		return recording.Exit{}, errPayload
	}
	status := int(e.Status)
	return recording.Exit{Status: &status}, nil
}

func parseExitSignal(payload []byte) (recording.Exit, error) {
	var e struct {
		Signal     string
		CoreDumped bool
		Message    string
		Language   string
	}
	if err := ssh.Unmarshal(payload, &e); err != nil || len(e.Signal) > maxSignal {
		return recording.Exit{}, errPayload
	}
	return recording.Exit{Signal: recording.Text(e.Signal)}, nil
}

// refusedChannelText is what a client is told of a channel that it may not open.
func refusedChannelText(kind string) string {
	what := "this kind of channel"
	switch kind {
	case "direct-streamlocal@openssh.com":
		what = "forwarding to a socket"
	case "tun@openssh.com":
		what = "a network tunnel"
	case "x11":
		what = "X11 forwarding"
	}
	return "vaultpam: " + what + " is not allowed through the relay"
}
