package store

import (
	"fmt"
	"slices"
)

// These functions are asked by whoever lets something happen, so that a limit has
// one meaning everywhere. Where the answer is no, why is the rest of a sentence
// that begins with "refused:", for the person who asked. What they wrote is in it
// quoted and cut.

func (ps Purposes) use(p Purpose) (Use, bool) {
	i := slices.IndexFunc(ps, func(u Use) bool { return u.Purpose == p })
	if i < 0 {
		return Use{}, false
	}
	return ps[i], true
}

// Has reports whether a purpose is among them, within whatever limits.
func (ps Purposes) Has(p Purpose) bool {
	_, ok := ps.use(p)
	return ok
}

// AllowsExec reports whether a command may run: without patterns any, otherwise
// one of plain words alone that fits a pattern.
func (ps Purposes) AllowsExec(command string) (ok bool, why string) {
	u, ok := ps.use(PurposeExec)
	switch {
	case !ok:
		return false, "no grant allows commands here (exec)"
	case len(u.Limits) == 0:
		return true, ""
	}
	words, err := plainWords(command)
	if err != nil {
		return false, err.Error() + "; where a grant names its commands, they are plain words"
	}
	for _, pattern := range u.Limits {
		if fitsPattern(words, pattern) {
			return true, ""
		}
	}
	return false, fmt.Sprintf("the command %q is none of those that are allowed here", clip(command))
}

// SFTP returns what may be done by sftp, "" for nothing.
func (ps Purposes) SFTP() SFTPAccess {
	u, ok := ps.use(PurposeSFTP)
	if !ok || len(u.Limits) != 1 {
		return ""
	}
	return SFTPAccess(u.Limits[0])
}

// AllowsForward reports whether the target may connect onward to a host and port,
// as they stand in a direct-tcpip channel (RFC 4254, section 7.2). The host is
// compared as it is written. A name is never resolved, so it fits no address and
// no network; who may reach it by name needs a limit with the name.
func (ps Purposes) AllowsForward(host string, port uint32) (ok bool, why string) {
	d, err := parseDestination(host)
	if err != nil {
		return false, err.Error()
	}
	return ps.forwards(PurposeLocalForward, fmt.Sprintf("%s port %d", d, port), func(r forward) bool { return r.reaches(d, port) })
}

// AllowsSocket reports whether the target may connect to a unix socket
// (direct-streamlocal@openssh.com).
func (ps Purposes) AllowsSocket(path string) (ok bool, why string) {
	return ps.forwards(PurposeLocalForward, fmt.Sprintf("socket %q", clip(path)), func(r forward) bool { return r.isSocket(path) })
}

// AllowsListen reports whether the target may listen on an address and port, as
// they stand in a tcpip-forward request (RFC 4254, section 7.1). Every address of
// the host ("", "*", 0.0.0.0, ::) fits the limit * alone, port 0, where the host
// chooses, all ports alone, and the limit localhost what is heard on the host
// alone: localhost, 127.0.0.1 and ::1.
func (ps Purposes) AllowsListen(address string, port uint32) (ok bool, why string) {
	d, err := parseListen(address)
	if err != nil {
		return false, err.Error()
	}
	return ps.forwards(PurposeRemoteForward, fmt.Sprintf("%s port %d", d, port), func(r forward) bool { return r.listens(d, port) })
}

// AllowsListenSocket reports whether the target may listen on a unix socket
// (streamlocal-forward@openssh.com).
func (ps Purposes) AllowsListenSocket(path string) (ok bool, why string) {
	return ps.forwards(PurposeRemoteForward, fmt.Sprintf("socket %q", clip(path)), func(r forward) bool { return r.isSocket(path) })
}

func (ps Purposes) forwards(p Purpose, what string, fits func(forward) bool) (ok bool, why string) {
	u, ok := ps.use(p)
	if !ok {
		return false, fmt.Sprintf("no grant allows forwarding here (%s)", p)
	}
	for _, limit := range u.Limits {
		if rule, err := parseForward(limit); err == nil && fits(rule) {
			return true, ""
		}
	}
	return false, fmt.Sprintf("%s is none of what %s is allowed for here", what, p)
}

// Without returns what is left of a grant's purposes where a guardrail forbids
// some.
func (ps Purposes) Without(forbidden Purposes) Purposes {
	var left Purposes
	for _, u := range ps {
		f, ok := forbidden.use(u.Purpose)
		switch {
		case !ok:
			left = append(left, u)
		case len(f.Limits) > 0 && u.Purpose == PurposeSFTP:
			left = append(left, Use{Purpose: PurposeSFTP, Limits: []string{string(SFTPReadOnly)}})
		}
	}
	return left
}
