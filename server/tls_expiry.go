package server

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"time"
)

// unfit says why clients would refuse a certificate, its issuer aside, or
// returns nil.
func unfit(leaf *x509.Certificate, host string, now time.Time) error {
	switch {
	case leaf.VerifyHostname(host) != nil:
		return fmt.Errorf("it does not cover the name %s", host)
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it is not valid before %s", inUTC(leaf.NotBefore))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it ended on %s", inUTC(leaf.NotAfter))
	}
	return nil
}

func inUTC(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// lateFor is how long before its end a certificate should have been renewed:
// two weeks, or a quarter of a shorter life. ACME renews at a third.
func lateFor(leaf *x509.Certificate) time.Duration {
	return min(14*24*time.Hour, leaf.NotAfter.Sub(leaf.NotBefore)/4)
}

const day = 24 * time.Hour

// An expiryWatch says in the log, once a day, that a certificate needs somebody.
// It belongs to one goroutine.
type expiryWatch struct {
	host string
	log  *slog.Logger
	told time.Time
	said string // what it told
}

func (w *expiryWatch) look(leaf *x509.Certificate, now time.Time) {
	if leaf == nil {
		return
	}
	say, level, why := "", slog.LevelError, unfit(leaf, w.host, now)
	switch left := leaf.NotAfter.Sub(now); {
	case why != nil:
		say = "clients refuse it: " + why.Error()
	case left < lateFor(leaf):
		say, level = "it ends soon and was not renewed", slog.LevelWarn
	}
	since := now.Sub(w.told)
	if say == "" || say == w.said && since >= 0 && since < day {
		return
	}
	w.told, w.said = now, say
	w.log.Log(context.Background(), level, "the TLS certificate needs somebody", "why", say, "ends", leaf.NotAfter.UTC().Format(time.RFC3339))
}
