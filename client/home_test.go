package client_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/client"
	"github.com/vaultpam/vaultpam/server/api"
)

func TestSettingsRoundTrip(t *testing.T) {
	f := newFake(t)
	h := newHome(t, nil)
	if _, err := h.Settings(); !errors.Is(err, client.ErrNoServer) {
		t.Errorf("an empty home: got %v, want ErrNoServer", err)
	}
	want := f.settings(t)
	if err := h.SaveSettings(want); err != nil {
		t.Fatal(err)
	}
	got, err := h.Settings()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	checkPrivate(t, h.Dir())
}

// checkPrivate: nothing in a home is for others, and no temporary file stays.
func checkPrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v", path, info.Mode().Perm())
		}
		if strings.Contains(d.Name(), ".tmp-") {
			t.Errorf("%s was left behind", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// S35: what a server says of itself reaches files and command lines.
func TestS35InfoIsHeldToItsGrammar(t *testing.T) {
	f := newFake(t)
	for name, spoil := range map[string]func(*api.Info){
		"name with a space":     func(i *api.Info) { i.Name = "pam example" },
		"name with an escape":   func(i *api.Info) { i.Name = "pam\x1b]0;x\x07" },
		"another origin":        func(i *api.Info) { i.Origin = "other/ledger" },
		"short log key":         func(i *api.Info) { i.LogKey = i.LogKey[:31] },
		"no log key":            func(i *api.Info) { i.LogKey = nil },
		"suffix with a newline": func(i *api.Info) { i.Suffix = "pam\nProxyCommand sh" },
		"empty suffix":          func(i *api.Info) { i.Suffix = "" },
		"wildcard suffix":       func(i *api.Info) { i.Suffix = "*" },
		"relay as an option":    func(i *api.Info) { i.Relay = "-oProxyCommand=sh:22" },
		"relay without a port":  func(i *api.Info) { i.Relay = "relay.example.eu" },
		"relay with a command":  func(i *api.Info) { i.Relay = "$(sh):22" },
		"host CA with options":  func(i *api.Info) { i.HostCA = `command="sh" ` + i.HostCA },
		"two host CAs":          func(i *api.Info) { i.HostCA += i.HostCA },
		"no host CA":            func(i *api.Info) { i.HostCA = "" },
	} {
		info := f.info()
		spoil(&info)
		if _, err := client.NewSettings("pam.example.eu", nil, "carol", info); !errors.Is(err, client.ErrAnswer) {
			t.Errorf("%s: got %v, want ErrAnswer", name, err)
		} else if client.Clean(err.Error()) != err.Error() {
			t.Errorf("%s: the message acts on terminals: %q", name, err)
		}
	}
}

func TestHomesOfOthersAreRefused(t *testing.T) {
	h := newHome(t, nil)
	f := newFake(t)
	if err := h.SaveSettings(f.settings(t)); err != nil {
		t.Fatal(err)
	}
	var exposed *client.ExposedError
	config := filepath.Join(h.Dir(), "config.json")
	if err := os.Chmod(config, 0o620); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Settings(); !errors.As(err, &exposed) || exposed.Path != config {
		t.Errorf("a file that others may write: got %v", err)
	}
	if err := os.Chmod(h.Dir(), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := client.OpenHome(h.Dir(), nil); !errors.As(err, &exposed) || exposed.Path != h.Dir() {
		t.Errorf("a directory that others may write: got %v", err)
	}
	if _, err := client.OpenHome("relative", nil); err == nil {
		t.Error("a relative path was accepted")
	}
	if _, err := client.OpenHome(config, nil); err == nil {
		t.Error("a file was accepted")
	}
}

func TestDamagedSettingsAreRefused(t *testing.T) {
	f := newFake(t)
	for name, data := range map[string]string{
		"empty":     "",
		"cut":       `{"server":"pam.exam`,
		"no fields": `{}`,
		"twice":     `{}{}`,
		"large":     strings.Repeat(" ", 100<<10),
	} {
		h := newHome(t, nil)
		if err := h.SaveSettings(f.settings(t)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.Dir(), "config.json"), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Settings(); err == nil || errors.Is(err, client.ErrNoServer) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func TestDefaultDir(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"VAULTPAM_HOME": "/v", "XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/v"},
		{map[string]string{"XDG_CONFIG_HOME": "/x", "HOME": "/h"}, "/x/vaultpam"},
		{map[string]string{"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, "/h/.config/vaultpam"},
		{map[string]string{"HOME": "/h"}, "/h/.config/vaultpam"},
		{map[string]string{}, ""},
	} {
		got, err := client.DefaultDir(func(name string) string { return tt.env[name] })
		if got != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%v: got %q (%v), want %q", tt.env, got, err, tt.want)
		}
	}
}

// A disk that takes no more leaves what was there, and nothing half-done.
func TestFailedWritesLeaveWhatWasThere(t *testing.T) {
	f := newFake(t)
	h := newHome(t, nil)
	if err := h.SaveSettings(f.settings(t)); err != nil {
		t.Fatal(err)
	}
	// A directory in the way of the file makes the last step fail, for root too.
	session := filepath.Join(h.Dir(), "session")
	if err := os.MkdirAll(filepath.Join(session, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SaveSession(t.Context(), testSession()); err == nil {
		t.Error("the session was saved over a directory")
	}
	checkPrivate(t, h.Dir())
	if _, err := h.Settings(); err != nil {
		t.Errorf("the settings are gone: %v", err)
	}
}
