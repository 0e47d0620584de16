package target

import (
	_ "embed"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"text/template"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// Setup is what a host's set-up script says.
type Setup struct {
	// Target is the name that the host's principals end in.
	Target store.TargetName
	// TargetCAs are the target CA's key, or two while a new one takes over.
	TargetCAs []ssh.PublicKey
	// EmergencyCA opens the host when VaultPAM is down.
	EmergencyCA ssh.PublicKey
	// ServerName is VaultPAM's permanent name, a host name or an IP address. A
	// host that is set up for one name refuses the script of another.
	ServerName string
}

//go:embed setup.sh.tmpl
var setupTemplate string

// Script returns a POSIX shell script to be run as root on the host. It sets the
// host up, closes every other way into it that sshd knows, opens those again, or
// takes everything back, by its argument (see Mode); its head documents exit
// codes and environment. It holds public keys and names only, no secret.
func Script(s Setup) (string, error) {
	values, err := s.values()
	if err != nil {
		return "", err
	}
	return render("set-up script", setupTemplate, values)
}

// values are what the templates say about s. Every one is free of quotes, spaces
// and $ by its grammar, and so stands in a script as it is.
func (s Setup) values() (map[string]any, error) {
	if err := checkTarget(s.Target); err != nil {
		return nil, err
	}
	values, err := s.authorities()
	if err != nil {
		return nil, err
	}
	values["Target"] = s.Target
	values["Directives"] = directives("$ca", "$echo", s.Target)
	values["Closing"] = closingDirectives("$echo")
	return values, nil
}

// authorities are those of the values that are the same for every target.
func (s Setup) authorities() (map[string]any, error) {
	if !isServerName(s.ServerName) {
		return nil, fmt.Errorf("server name %.80q: want a host name in lower case or an IP address", s.ServerName)
	}
	if len(s.TargetCAs) > 2 {
		return nil, fmt.Errorf("%d target CA keys: a host trusts one, or two while a new one takes over", len(s.TargetCAs))
	}
	targetCAs, err := authorityLines(s.TargetCAs)
	if err != nil {
		return nil, fmt.Errorf("target CA: %w", err)
	}
	emergencyCA, err := authorityLines([]ssh.PublicKey{s.EmergencyCA})
	if err != nil {
		return nil, fmt.Errorf("emergency CA: %w", err)
	}
	if strings.Contains(targetCAs, emergencyCA) {
		return nil, errors.New("emergency CA: it is the target CA; want a key of its own")
	}
	return map[string]any{
		"Server":      s.ServerName,
		"TargetCAs":   targetCAs,
		"EmergencyCA": emergencyCA,
	}, nil
}

func render(name, text string, values map[string]any) (string, error) {
	parsed, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	var script strings.Builder
	if err := parsed.Execute(&script, values); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return script.String(), nil
}

func isServerName(s string) bool {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Zone() == ""
	}
	return isHostName(s) && s == strings.ToLower(s)
}
