package notice_test

import (
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

func passkey() access.NewFactor {
	return access.NewFactor{Passkey: &store.Passkey{Credential: random(16), PublicKey: random(77)}, Salt: random32()}
}

// TestSourceOfAFactor: the address is that of whoever enrolled, or is said to be
// not known. An earlier address of the person's would lull them.
func TestSourceOfAFactor(t *testing.T) {
	h, p, r := both(t)
	carol := h.employ("carol", "carol@example.eu")
	signIn := h.index() - 1
	h.run()
	h.do(access.AddFactor{SignIn: signIn, Factor: passkey()})
	if n := hear(t, p, r, 1); !strings.Contains(n.mail, "kind passkey") || !strings.Contains(n.mail, "from 192.0.2.7.") {
		t.Errorf("added in a session:\n%s", n.mail)
	}
	// By an invitation, on a page that signs nobody in.
	invite := access.Invite{Token: random32()}
	h.do(access.InviteUser{By: local, Handle: carol.handle, Invite: invite})
	hear(t, p, r, 1)
	h.do(access.Enroll{Invitation: invite.Token, Codes: random32(), Factor: passkey()})
	if n := hear(t, p, r, 1); !strings.Contains(n.mail, "from an address that is not known.") {
		t.Errorf("by an invitation:\n%s", n.mail)
	}
}
