package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"vaultpam": main})
}

// The scripts run the program as a process of its own, on a real terminal where
// they ask for one, against a server that the test plays.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			s := newFakeServer(e.T().(testing.TB))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("VAULTPAM_KEYRING", "off")
			e.Setenv("SSH_AUTH_SOCK", "")
			e.Setenv("INVITATION", s.invitation())
			e.Setenv("SERVER", s.Listener.Addr().String())
			return nil
		},
	})
}
