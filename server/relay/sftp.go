package relay

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"
)

const (
	sftpName = "sftp"
	// maxSFTPPacket bounds a packet without its length, in bytes. OpenSSH's server
	// takes no larger one (sftp-common.h, SFTP_MAX_MSG_LENGTH).
	maxSFTPPacket = 256 << 10
	// maxSFTPAnswers bounds the answers that wait for the end of a packet.
	maxSFTPAnswers = 1 << 10
)

// Types of packets (draft-ietf-secsh-filexfer-02, section 3), those that read and
// what is answered.
const (
	sftpInit     = 1
	sftpOpen     = 3
	sftpClose    = 4
	sftpRead     = 5
	sftpLstat    = 7
	sftpFstat    = 8
	sftpOpendir  = 11
	sftpReaddir  = 12
	sftpRealpath = 16
	sftpStat     = 17
	sftpReadlink = 19
	sftpStatus   = 101
	sftpExtended = 200

	sftpVersion          = 3
	sftpOpenRead         = 1
	sftpPermissionDenied = 3
)

var errSFTP = errors.New("no packet of sftp version 3")

// A sftpGuard lets a client read by sftp and nothing else. What it does not know
// it refuses: writes have many names. It speaks version 3 alone, because in later
// ones the same bytes open a file for writing.
type sftpGuard struct {
	begun bool
	in    []byte // of the client's packet that is not whole yet

	// Of the target's stream, guarded by the channel's toClient.
	header  [4]byte
	have    int    // bytes of the header
	left    uint32 // bytes of the packet behind it
	waiting []byte // answers that wait for the packet's end
	answers int
}

// A sftpRefusal is a request that was not passed on.
type sftpRefusal struct {
	what   string // for the recording: the operation, and the path where there is one
	answer []byte // for the client
}

// take returns what of the client's bytes the target gets, and what is refused. p
// is not kept. After an error nothing more may be passed on.
func (g *sftpGuard) take(p []byte) (pass []byte, refused []sftpRefusal, err error) {
	g.in = append(g.in, p...)
	for len(g.in) >= 4 {
		n := binary.BigEndian.Uint32(g.in)
		if n < 5 || n > maxSFTPPacket {
			return pass, refused, errSFTP
		}
		if uint32(len(g.in)-4) < n {
			break
		}
		packet := g.in[:4+n]
		what, id, err := g.judge(packet[4:])
		if err != nil {
			return pass, refused, err
		}
		if what == "" {
			pass = append(pass, packet...)
		} else {
			refused = append(refused, sftpRefusal{what, sftpDenied(id)})
		}
		g.in = g.in[4+n:]
	}
	g.in = append([]byte(nil), g.in...) // what was passed on is not held
	return pass, refused, nil
}

// judge says what a packet would do that is refused, or "". The version that a
// client asks for becomes ours in place.
func (g *sftpGuard) judge(packet []byte) (what string, id uint32, err error) {
	kind, id := packet[0], binary.BigEndian.Uint32(packet[1:5])
	if !g.begun {
		if kind != sftpInit || id < sftpVersion {
			return "", 0, errSFTP
		}
		binary.BigEndian.PutUint32(packet[1:5], sftpVersion)
		g.begun = true
		return "", 0, nil
	}
	name, rest, named := sftpString(packet[5:])
	switch kind {
	case sftpInit:
		return "", 0, errSFTP
	case sftpClose, sftpRead, sftpLstat, sftpFstat, sftpOpendir, sftpReaddir, sftpRealpath, sftpStat, sftpReadlink:
		return "", id, nil
	case sftpOpen:
		if named && len(rest) >= 4 && binary.BigEndian.Uint32(rest)&^sftpOpenRead == 0 {
			return "", id, nil
		}
	case sftpExtended:
		switch name {
		case "statvfs@openssh.com", "fstatvfs@openssh.com", "limits@openssh.com", "expand-path@openssh.com",
			"home-directory", "users-groups-by-id@openssh.com":
			return "", id, nil
		}
	}
	return sftpWhat(kind, name), id, nil
}

// sftpWhat names an operation for the recording.
func sftpWhat(kind byte, name string) string {
	names := map[byte]string{
		sftpOpen: "open for writing", 6: "write", 9: "setstat", 10: "fsetstat", 13: "remove", 14: "mkdir", 15: "rmdir",
		18: "rename", 20: "symlink", 21: "link", sftpExtended: "extended request",
	}
	what, ok := names[kind]
	if !ok {
		return fmt.Sprintf("request %d", kind)
	}
	if kind == 6 || kind == 10 { // the name is a handle
		return what
	}
	return what + " " + clean(name, maxForeign)
}

// sftpString cuts a string off the beginning of b.
func sftpString(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 4 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint32(len(b)-4) < n {
		return "", nil, false
	}
	return string(b[4 : 4+n]), b[4+n:], true
}

// sftpDenied is the answer to a refused request.
func sftpDenied(id uint32) []byte {
	body := ssh.Marshal(struct {
		Type              byte
		ID, Code          uint32
		Message, Language string
	}{sftpStatus, id, sftpPermissionDenied, readOnlyWhy, ""})
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// weave returns the target's bytes with the answers that waited for the end of a
// packet put where it ends.
func (g *sftpGuard) weave(p []byte) []byte {
	end := g.advance(p)
	if end < 0 || len(g.waiting) == 0 {
		return p
	}
	woven := append(append(append([]byte(nil), p[:end]...), g.waiting...), p[end:]...)
	g.waiting, g.answers = nil, 0
	return woven
}

// advance follows the packets of p, and returns where the first of them ends, or -1.
func (g *sftpGuard) advance(p []byte) int {
	end := -1
	for i := 0; i < len(p); {
		if g.have < len(g.header) {
			g.header[g.have] = p[i]
			g.have++
			i++
			if g.have < len(g.header) {
				continue
			}
			g.left = binary.BigEndian.Uint32(g.header[:])
		}
		n := min(uint64(g.left), uint64(len(p)-i))
		g.left -= uint32(n)
		i += int(n)
		if g.left == 0 {
			g.have = 0
			if end < 0 {
				end = i
			}
		}
	}
	return end
}

// answer returns what of an answer can be sent now: all, or nothing while a packet
// of the target's is under way. It is false where too many wait.
func (g *sftpGuard) answer(a []byte) ([]byte, bool) {
	if g.have == 0 {
		return a, true
	}
	g.answers++
	g.waiting = append(g.waiting, a...)
	return nil, g.answers <= maxSFTPAnswers
}

// guarded passes the client's packets through the guard and answers those that are
// refused. It reports whether the channel goes on.
func (c *channel) guarded(p []byte) ([]byte, bool) {
	pass, refused, err := c.guard.take(p)
	for _, r := range refused {
		c.session.noteRefused("sftp.refused", r.what)
		if !c.answer(r.answer) {
			err = errSFTP
		}
	}
	if len(refused) > 0 && !c.toldReadOnly {
		c.toldReadOnly = true
		c.tell(purposeText(readOnlyWhy))
	}
	if err != nil {
		c.session.noteRefused("sftp.refused", err.Error())
		c.session.chores.Go(func() { c.revoke(sentence("this is not sftp of version 3; the channel was closed", "")) })
		return nil, false
	}
	return pass, true
}

func (c *channel) answer(a []byte) bool {
	c.toClient.Lock()
	defer c.toClient.Unlock()
	now, ok := c.guard.answer(a)
	if len(now) == 0 || c.eofSent {
		return ok
	}
	if err := c.log.Output(now); err != nil {
		c.session.recorderFailed(err)
		return false
	}
	n, err := c.client.Write(now)
	c.session.out.Add(uint64(n))
	return ok && err == nil
}
