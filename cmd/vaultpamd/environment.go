package main

import (
	"crypto/rand"
	"log/slog"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/server"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/bolt"
)

// environment is the server's outside: bbolt, the clock and the system's
// randomness. It is the one place that links a back end.
func (p *program) environment() server.Environment {
	return server.Environment{
		CreateBackend: func(path string) (store.Backend, error) { return bolt.Create(path) },
		OpenBackend:   func(path string) (store.Backend, error) { return bolt.Open(path) },
		Getenv:        p.getenv,
		Now:           time.Now,
		Uptime:        uptime,
		Random:        rand.Reader,
	}
}

// log writes one event a line to standard error.
func (p *program) log(level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(strings.ToUpper(level))); err != nil {
		l = slog.LevelInfo // the configuration's check has the last word
	}
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: l}))
}
