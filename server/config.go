package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/vaultpam/vaultpam/ca"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// A Config is the file vaultpam.yaml. Every value can be overridden by the
// environment variable that its env tag names, but for lists and maps, which have
// none. Unknown fields are refused: a
// misspelt setting must not be a silent default.
type Config struct {
	// Name is the server's permanent name. Changing it in the file is refused:
	// it is in the ledger's first entry.
	Name   string       `yaml:"name" env:"VAULTPAMD_NAME"`
	Suffix string       `yaml:"suffix" env:"VAULTPAMD_SUFFIX"`
	Listen ListenConfig `yaml:"listen"`
	Public PublicConfig `yaml:"public"`
	TLS    TLSConfig    `yaml:"tls,omitempty"`
	Log    LogConfig    `yaml:"log,omitempty"`
	// CheckTargets is when the server looks each day which other ways into its
	// targets there are: HH:MM in UTC, or "off".
	CheckTargets string `yaml:"check_targets,omitempty" env:"VAULTPAMD_CHECK_TARGETS"`
	// AttestationRoots is a PEM file with the certificates of those makers of
	// authenticators whose models the setting "authenticators" names.
	AttestationRoots string `yaml:"attestation_roots,omitempty" env:"VAULTPAMD_ATTESTATION_ROOTS"`
	// RecoverPause is how long the administrators have to stop a recovery, from 1h
	// to 168h; empty is DefaultRecoverPause.
	RecoverPause string        `yaml:"recover_pause,omitempty" env:"VAULTPAMD_RECOVER_PAUSE"`
	Notices      NoticesConfig `yaml:"notices,omitempty"`
	// SSO is the company's OpenID provider. Without an issuer there is none.
	SSO SSOConfig `yaml:"sso,omitempty"`
}

// A ListenConfig says where the server listens, as [ADDRESS]:PORT.
type ListenConfig struct {
	HTTPS string `yaml:"https" env:"VAULTPAMD_LISTEN_HTTPS"`
	SSH   string `yaml:"ssh" env:"VAULTPAMD_LISTEN_SSH"`
}

// A PublicConfig says how clients reach the server, as HOST:PORT.
type PublicConfig struct {
	HTTPS string `yaml:"https" env:"VAULTPAMD_PUBLIC_HTTPS"`
	SSH   string `yaml:"ssh" env:"VAULTPAMD_PUBLIC_SSH"`
}

// A LogConfig says how much is logged.
type LogConfig struct {
	// Level is debug, info, warn or error.
	Level string `yaml:"level,omitempty" env:"VAULTPAMD_LOG_LEVEL"`
}

// DefaultCheckTargets is Config.CheckTargets where nothing else is said.
const DefaultCheckTargets = "02:30"

const maxConfig = 1 << 20

// ReadConfig reads vaultpam.yaml and the environment over it.
func ReadConfig(path string, getenv func(string) string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return Config{}, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(data) > maxConfig {
		return Config{}, fmt.Errorf("%s: larger than a configuration may be (%d bytes)", path, maxConfig)
	}
	c, err := ParseConfig(data, getenv)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// ParseConfig parses the file's text and checks every value.
func ParseConfig(data []byte, getenv func(string) string) (Config, error) {
	c := Config{
		Suffix: "pam", Listen: ListenConfig{HTTPS: ":443", SSH: ":2222"}, TLS: TLSConfig{Mode: TLSSelfSigned},
		Log: LogConfig{Level: "info"}, CheckTargets: DefaultCheckTargets,
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, yamlError(err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Config{}, errors.New("more than one YAML document")
	}
	if err := override(reflect.ValueOf(&c).Elem(), "", getenv); err != nil {
		return Config{}, err
	}
	return c, c.check()
}

var (
	unknownField = regexp.MustCompile(`(?s)field (.*) not found in type \S+$`)
	wrongKind    = regexp.MustCompile(`(?s)cannot unmarshal !.* into (\S+)$`)
)

// yamlError says what is wrong with the file in its words and not in the
// program's.
func yamlError(err error) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return fmt.Errorf("not YAML: %s", oneLine(strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	var all []string
	for _, text := range wrong.Errors {
		text = unknownField.ReplaceAllStringFunc(text, func(s string) string {
			return fmt.Sprintf("there is no setting %.80q", unknownField.FindStringSubmatch(s)[1])
		})
		text = wrongKind.ReplaceAllStringFunc(text, func(s string) string {
			switch wrongKind.FindStringSubmatch(s)[1] {
			case "string":
				return "want one text here"
			case "bool":
				return "want true or false here"
			}
			return "want settings here, as NAME: VALUE"
		})
		all = append(all, text)
	}
	return errors.New(oneLine(strings.Join(all, "; ")))
}

// oneLine takes out what the file's own text brings into a message about it.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// canListen reports whether s is [ADDRESS]:PORT with a port in figures.
func canListen(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return false
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	return api.CheckHost(host) == nil
}

// override sets the fields whose environment variables are set. Within is what
// the fields are part of, as it is written in the file.
func override(v reflect.Value, within string, getenv func(string) string) error {
	for i := range v.NumField() {
		field, t := v.Field(i), v.Type().Field(i)
		name, _, _ := strings.Cut(t.Tag.Get("yaml"), ",")
		if field.Kind() == reflect.Struct {
			if err := override(field, within+name+".", getenv); err != nil {
				return err
			}
			continue
		}
		env := t.Tag.Get("env")
		if env == "" {
			continue // a list or a map, which the file alone says
		}
		value := getenv(env)
		switch {
		case value == "":
		case field.Kind() == reflect.Bool && (value == "true" || value == "false"):
			field.SetBool(value == "true")
		case field.Kind() == reflect.Bool:
			return fmt.Errorf("%s%s: %q: want true or false", within, name, value)
		default:
			field.SetString(value)
		}
	}
	return nil
}

func (c *Config) check() error {
	if _, err := ca.ParseHostName(c.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if _, err := store.ParseTargetName(c.Suffix); err != nil {
		return fmt.Errorf("suffix: %w", err)
	}
	for _, l := range []struct{ field, value string }{{"listen.https", c.Listen.HTTPS}, {"listen.ssh", c.Listen.SSH}} {
		if !canListen(l.value) {
			return fmt.Errorf("%s: %q: want [ADDRESS]:PORT", l.field, l.value)
		}
	}
	for _, p := range []struct{ field, value string }{{"public.https", c.Public.HTTPS}, {"public.ssh", c.Public.SSH}} {
		if _, _, err := net.SplitHostPort(p.value); err != nil || api.CheckHost(p.value) != nil {
			return fmt.Errorf("%s: %q: want HOST:PORT", p.field, p.value)
		}
	}
	switch c.Log.Level {
	case "debug", "info", "warn", "error":
	default:
		return fmt.Errorf("log.level: %q: want debug, info, warn or error", c.Log.Level)
	}
	if err := c.TLS.check(c.Name); err != nil {
		return err
	}
	if err := c.SSO.check(); err != nil {
		return err
	}
	if err := checkPath("attestation_roots", c.AttestationRoots); err != nil {
		return err
	}
	if err := c.Notices.check(); err != nil {
		return err
	}
	if _, err := c.recoverPause(); err != nil {
		return err
	}
	_, _, err := c.checkTime()
	return err
}

// checkTime returns when after midnight targets are looked at, and false where
// they are not.
func (c *Config) checkTime() (time.Duration, bool, error) {
	if c.CheckTargets == "off" {
		return 0, false, nil
	}
	t, err := time.Parse("15:04", c.CheckTargets)
	if err != nil || t.Format("15:04") != c.CheckTargets {
		return 0, false, fmt.Errorf("check_targets: %q: want HH:MM in UTC, or off", c.CheckTargets)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, true, nil
}

// encode returns the file's text as init writes it.
func (c Config) encode() ([]byte, error) {
	body, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("writing the configuration: %w", err)
	}
	return append([]byte("# The configuration of vaultpamd. The name is permanent.\n"), body...), nil
}
