package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/vaultpam/vaultpam/client"
)

// dir returns the absolute path of the directory with what this machine knows.
func (a *app) dir() (string, error) {
	if a.homeDir == "" {
		return client.DefaultDir(a.env)
	}
	dir, err := filepath.Abs(a.homeDir)
	if err != nil {
		return "", fmt.Errorf("directory %q: %w", a.homeDir, err)
	}
	return dir, nil
}

func dirOf(path string) string { return filepath.Dir(path) }

// shellQuote writes a path as one word of a command that its user may paste.
func shellQuote(path string) string {
	plain := func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("/._-+:@", r))
	}
	if path != "" && !strings.ContainsFunc(path, plain) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
