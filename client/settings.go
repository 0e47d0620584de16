package client

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

const settingsFile = "config.json"

// ErrNoServer is returned where no server is known on this machine yet.
var ErrNoServer = errors.New("this machine knows no server yet")

// ErrOtherLedger is returned when a server says that it keeps another ledger
// than the one that this machine knows it by.
var ErrOtherLedger = errors.New("the server shows another ledger than it did before")

// Settings is what a machine knows of its server. The log key and the origin
// are believed once, at enrolment or the first sign-in, and never replaced by
// what a server says later.
type Settings struct {
	Server string       `json:"server"`        // HOST:PORT
	Pin    []byte       `json:"pin,omitempty"` // SHA-256 of the server's SubjectPublicKeyInfo
	Handle store.Handle `json:"handle"`
	// Factor is what this machine's last sign-in was made with.
	Factor store.FactorKind `json:"factor,omitempty"`
	// Bot says that the handle is a bot's, and BotKey which file its key is in: an
	// absolute path, or empty for the one that it made when it joined.
	Bot    bool   `json:"bot,omitempty"`
	BotKey string `json:"bot_key,omitempty"`
	Name   string `json:"name"`    // the server's permanent name
	Origin string `json:"origin"`  // of its checkpoints
	LogKey []byte `json:"log_key"` // Ed25519 public key
	Suffix string `json:"suffix"`  // behind target names, without a dot
	Relay  string `json:"relay"`   // HOST:PORT
	HostCA string `json:"host_ca"` // authorized_keys form
}

// NewSettings returns the settings for a server that said info, after holding
// it to its grammars. The handle may be empty until somebody has signed in.
func NewSettings(server string, pin []byte, handle store.Handle, info api.Info) (Settings, error) {
	server, err := CanonicalServer(server)
	if err != nil {
		return Settings{}, err
	}
	s := Settings{
		Server: server, Pin: pin, Handle: handle, Name: info.Name, Origin: info.Origin,
		LogKey: info.LogKey, Suffix: info.Suffix, Relay: info.Relay, HostCA: info.HostCA,
	}
	if err := s.check(); err != nil {
		return Settings{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	return s, nil
}

// check holds everything that reaches a file, a command line or a screen to its
// grammar, when it comes from a server and when it is read back.
func (s Settings) check() error {
	if _, err := CanonicalServer(s.Server); err != nil {
		return err
	}
	if len(s.Pin) != 0 && len(s.Pin) != sha256.Size {
		return fmt.Errorf("pin of %d bytes", len(s.Pin))
	}
	if _, err := store.ParseHandle(string(s.Handle)); err != nil && s.Handle != "" {
		return err
	}
	if s.Factor != "" && s.Factor != store.FactorTOTP && s.Factor != store.FactorPasskey && s.Factor != store.FactorSSO {
		return fmt.Errorf("factor %q", Clean(string(s.Factor)))
	}
	if s.BotKey != "" && (!s.Bot || !filepath.IsAbs(s.BotKey)) {
		return fmt.Errorf("bot's key file %q", Clean(s.BotKey))
	}
	if err := api.CheckHost(s.Name); err != nil || len(s.Name) > 253 {
		return fmt.Errorf("name %q of the server", Clean(s.Name))
	}
	if s.Origin != store.Origin(s.Name) {
		return fmt.Errorf("ledger's origin %q", Clean(s.Origin))
	}
	if len(s.LogKey) != ed25519.PublicKeySize {
		return fmt.Errorf("log key of %d bytes", len(s.LogKey))
	}
	if _, err := store.ParseTargetName(s.Suffix); err != nil {
		return fmt.Errorf("suffix %q of target names", Clean(s.Suffix))
	}
	if _, _, err := net.SplitHostPort(s.Relay); err != nil || api.CheckHost(s.Relay) != nil {
		return fmt.Errorf("relay's address %q", Clean(s.Relay))
	}
	if _, err := ParseHostKey(s.HostCA); err != nil {
		return fmt.Errorf("host CA: %w", err)
	}
	return nil
}

// Config returns how to reach the server, but for the timeout.
func (s Settings) Config() Config { return Config{Server: s.Server, Pin: s.Pin} }

// Settings returns what this machine knows, or ErrNoServer.
func (h *Home) Settings() (Settings, error) {
	data, err := h.read(settingsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, ErrNoServer
	}
	if err != nil {
		return Settings{}, fmt.Errorf("reading settings: %w", err)
	}
	var s Settings
	if err := decode(data, &s); err != nil {
		return Settings{}, fmt.Errorf("reading %s: %w", h.path(settingsFile), err)
	}
	if err := s.check(); err != nil {
		return Settings{}, fmt.Errorf("reading %s: %w", h.path(settingsFile), err)
	}
	return s, nil
}

// SaveSettings replaces what this machine knows.
func (h *Home) SaveSettings(s Settings) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("saving settings: %w", err)
	}
	if s.Handle == "" {
		return errors.New("saving settings: nobody has signed in")
	}
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("saving settings: %w", err)
	}
	return h.write(settingsFile, append(data, '\n'))
}
