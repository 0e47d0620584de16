package api_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultpam/vaultpam/server/api"
)

// TestParseJoinLink: a join token is no invitation, and the other way round.
func TestParseJoinLink(t *testing.T) {
	for _, pin := range []int{0, 32} {
		want := api.JoinLink(invitation(pin))
		got, err := api.ParseJoinLink(want.String())
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
			t.Errorf("%s: error %v (-want +got):\n%s", want, err, diff)
		}
		if _, err := api.ParseInvitation(want.String()); !errors.Is(err, api.ErrInvitation) {
			t.Errorf("%s invites: %v", want, err)
		}
		if _, err := api.ParseJoinLink(invitation(pin).String()); !errors.Is(err, api.ErrJoinLink) {
			t.Errorf("an invitation joins: %v", err)
		}
	}
	good := api.JoinLink(invitation(32)).String()
	for _, s := range []string{"", good + "x", good[:len(good)-1], strings.Replace(good, "/join", "/join/", 1), strings.Replace(good, "https", "http", 1), good + "\n"} {
		if got, err := api.ParseJoinLink(s); !errors.Is(err, api.ErrJoinLink) || !cmp.Equal(got, api.JoinLink{}) || strings.Contains(err.Error(), "pam.example") {
			t.Errorf("%q: %+v, error %v", s, got, err)
		}
	}
}

// TestBotMessages: what is signed is written down as the documentation has it, and
// nothing that differs is signed as the same.
func TestBotMessages(t *testing.T) {
	session := [32]byte{0xab, 31: 0xcd}
	want := "vaultpam-bot-sign-in-v1\npam.example.eu\nci\n0102\nab" + strings.Repeat("00", 30) + "cd\n"
	if got := string(api.BotMessage("pam.example.eu", "ci", []byte{1, 2}, session)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	join := api.JoinMessage("pam.example.eu", [32]byte{1}, []byte("key"))
	if !bytes.HasPrefix(join, []byte("vaultpam-bot-join-v1\npam.example.eu\n")) || bytes.Count(join, []byte("\n")) != 4 {
		t.Errorf("%q", join)
	}
	for name, other := range map[string][]byte{
		"server": api.JoinMessage("pam.example.org", [32]byte{1}, []byte("key")),
		"token":  api.JoinMessage("pam.example.eu", [32]byte{2}, []byte("key")),
		"key":    api.JoinMessage("pam.example.eu", [32]byte{1}, []byte("kez")),
	} {
		if bytes.Equal(join, other) {
			t.Errorf("another %s is signed as the same", name)
		}
	}
}
