//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestOpenBrowser: the program that the environment names gets the address as one
// argument, and no shell reads it.
func TestOpenBrowser(t *testing.T) {
	dir := t.TempDir()
	told, program := filepath.Join(dir, "told"), filepath.Join(dir, "browser")
	if err := syscall.Mkfifo(told, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nprintf '%s|' \"$#\" \"$@\" > " + told + "\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	const page = "https://pam.example.eu/$(id);`id`"
	if err := openBrowser([]string{"PATH=" + os.Getenv("PATH"), "BROWSER=" + program})(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(told) // until the program closes it
	if err != nil || string(got) != "1|"+page+"|" {
		t.Errorf("it was told %q, error %v", got, err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := openBrowser([]string{"BROWSER=no-such-program"})(t.Context(), page); !errors.Is(err, errNoBrowser) {
		t.Errorf("error %v", err)
	}
}
