package server

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vaultpam/vaultpam/store"
)

// A Verdict is what Doctor thinks of what it looked at.
type Verdict string

// The verdicts.
const (
	Well Verdict = "well"
	Ill  Verdict = "ill"
	// Untold: it could not be looked at now, and Says says why.
	Untold Verdict = "untold"
)

// An Observation is one thing that Doctor looked at. Do says what to do about
// what is ill.
type Observation struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Says    string  `json:"says"`
	Do      string  `json:"do,omitempty"`
}

func (o Observation) String() string {
	if o.Do == "" {
		return o.Name + ": " + o.Says
	}
	return o.Name + ": " + o.Says + ": " + o.Do
}

// A DoctorRequest says what to look at.
type DoctorRequest struct {
	Dir Dir
	// Roots are the authorities that browsers are taken to know; nil is the
	// system's.
	Roots *x509.CertPool
}

// Doctor looks whether a server does what its users need, beside a running one or
// without, and calls found with each thing in turn. It changes nothing, and speaks
// to the addresses of the server's own configuration alone. Its error means that
// it could not look.
func Doctor(ctx context.Context, env Environment, r DoctorRequest, found func(Observation)) error {
	if err := env.check(); err != nil {
		return err
	}
	if found == nil {
		return errors.New("looking at the server: nobody to tell")
	}
	if ok, err := r.Dir.initialised(); err != nil {
		return err
	} else if !ok {
		return fmt.Errorf("%s is not a data directory: run vaultpamd init", r.Dir)
	}
	d := &doctor{env: env, r: r, found: found}
	var err error
	if d.config, err = ReadConfig(r.Dir.Config(), env.Getenv); err != nil {
		d.ill("configuration", "mend the file; docs/configuration.md has every setting", "%v", err)
		return ctx.Err()
	}
	d.well("configuration", "right")
	d.status, d.serves = d.ask(ctx)
	d.keys()
	d.clock(ctx)
	d.disk()
	d.https(ctx)
	d.ssh(ctx)
	d.certificate()
	d.passkeys()
	d.notices(ctx)
	return ctx.Err()
}

// A doctor is a Doctor under way.
type doctor struct {
	env    Environment
	r      DoctorRequest
	found  func(Observation)
	config Config
	status LocalStatus
	serves error // why no server answers on the local socket, or nil

	chain   []*x509.Certificate // of the certificate that is served, or that would be
	noChain error               // why there is none
}

func (d *doctor) well(name, format string, args ...any) {
	d.found(Observation{Name: name, Verdict: Well, Says: oneLine(fmt.Sprintf(format, args...))})
}

func (d *doctor) ill(name, do, format string, args ...any) {
	d.found(Observation{Name: name, Verdict: Ill, Says: oneLine(fmt.Sprintf(format, args...)), Do: oneLine(do)})
}

func (d *doctor) untold(name, format string, args ...any) {
	d.found(Observation{Name: name, Verdict: Untold, Says: oneLine(fmt.Sprintf(format, args...))})
}

// ask asks the running server how it is.
func (d *doctor) ask(ctx context.Context) (LocalStatus, error) {
	var s LocalStatus
	res, err := d.r.Dir.Ask(ctx, RouteLocalStatus, "", nil)
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	return s, json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&s)
}

// keys looks at the keys as fsck does.
func (d *doctor) keys() {
	whole := true
	c := &check{env: d.env, dir: d.r.Dir, config: d.config, found: func(f Finding) {
		whole = false
		d.ill("keys", f.Do, "%s", f.What)
	}}
	c.checkPrivate(string(d.r.Dir), 0o700, "")
	c.checkPrivate(d.r.Dir.ledger(), 0o600, doRestore)
	c.checkKeys()
	c.checkTLS()
	if whole {
		d.well("keys", "whole, and nobody else can read them")
	}
}

// maxBehind is how far behind the last entry the clock may be (ledger.Config).
const maxBehind = 2 * time.Second

// clock compares the clock with the ledger's last entry.
func (d *doctor) clock(ctx context.Context) {
	last, err := d.status.LastEntry, d.serves
	if err != nil {
		last, err = d.lastEntry(ctx)
	}
	if err != nil {
		d.untold("clock", "the ledger's last entry can't be read: %v", err)
		return
	}
	since := d.env.Now().Sub(last)
	if since < -maxBehind {
		d.ill("clock", "set it right; where it is right, type: vaultpamd clock accept",
			"it is %s behind the ledger's last entry, so nothing is issued", (-since).Round(time.Second))
		return
	}
	d.well("clock", "%s, and the ledger's last entry is of %s", inUTC(d.env.Now()), inUTC(last))
}

// lastEntry reads the time of the last entry where no server runs.
func (d *doctor) lastEntry(ctx context.Context) (last time.Time, err error) {
	b, err := d.env.OpenBackend(d.r.Dir.ledger())
	if err != nil {
		return last, err
	}
	defer b.Close() // nothing was written
	head, err := b.Head(ctx)
	if err != nil || head.Size == 0 {
		return last, errors.Join(err, errors.New("it has no entries"))
	}
	records, err := b.Records(ctx, store.Index(head.Size-1), 1)
	if err != nil || len(records) != 1 {
		return last, errors.Join(err, store.ErrCorrupt)
	}
	e, err := store.DecodeEntry(records[0])
	if err != nil {
		return last, err
	}
	return e.Time.Time(), nil
}

// minFree is the room below which the disk is as good as full: recordings of a
// busy day take that much.
const minFree = 1 << 30

func (d *doctor) disk() {
	free, err := freeSpace(string(d.r.Dir))
	switch {
	case err != nil:
		d.untold("disk", "its free space can't be read: %v", err)
	case free < minFree:
		d.ill("disk", "make room: a full disk stops the ledger and every session", "%d MiB are free", free>>20)
	default:
		d.well("disk", "%d GiB are free", free>>30)
	}
}
