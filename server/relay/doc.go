// Package relay is the recording SSH relay: it terminates the user's SSH, has
// the Gate decide, connects onward with a certificate made for the one session,
// passes channels on both ways, and records them.
//
// Its promise: nobody reaches a target through it whose user certificate, with
// proof of its key, the Gate did not admit in the same authentication attempt;
// session.started is in the ledger before the target is dialled, and every
// session that started ends in the ledger exactly once, unless the process dies;
// every byte that a user sees was in the recording before, or its channel is a
// line of it that says how little is known; whatever is neither
// recorded nor known is refused; and nothing that a stranger sends holds more
// than a bounded amount of memory, or a connection beyond its deadline.
//
// Three ways lead to one pipeline:
//
//  1. a line "VAULTPAM/1 NAME" before the SSH handshake (vaultpam proxy);
//  2. stock ProxyJump: on a connection to the relay's own name, direct-tcpip to
//     NAME.SUFFIX port 22 is answered by the relay as that target;
//  3. the user name LOGIN+NAME on a connection to the relay's own name.
//
// Every channel and request that does something is asked of the Gate at its
// moment: shells, commands, sftp (reading alone, where that is the limit),
// connections onward from the target, listening on it, the user's agent. What the
// Gate takes back while the session runs is closed, and the rest goes on. All
// else is refused: X11, tunnels, other subsystems. Of what is forwarded and of
// sftp bytes are counted; their content is not recorded. Environment variables pass and are noted in the recording;
// which of them mean something is for the host's AcceptEnv to say, but those
// that make a loader or a shell run other code than the command that was
// recorded are refused here.
//
// The server itself reaches targets by the same path, without a certificate of
// its own: Relay.Run runs one command for it (an errand), in a session that
// starts, is recorded and ends as any other.
//
// It does not decide who may do what, issues no certificate, holds no CA key,
// and can't reach what a user leaves running on a target after the session.
// An ssh-agent key that is bound to hosts (ssh-add -h) does not sign through it.
package relay
