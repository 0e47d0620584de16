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
// host up, or with --undo takes that back; its head documents exit codes and
// environment. It holds public keys and names only, no secret.
func Script(s Setup) (string, error) {
	if err := checkTarget(s.Target); err != nil {
		return "", err
	}
	if !isServerName(s.ServerName) {
		return "", fmt.Errorf("server name %.80q: want a host name in lower case or an IP address", s.ServerName)
	}
	if len(s.TargetCAs) > 2 {
		return "", fmt.Errorf("%d target CA keys: a host trusts one, or two while a new one takes over", len(s.TargetCAs))
	}
	targetCAs, err := authorityLines(s.TargetCAs)
	if err != nil {
		return "", fmt.Errorf("target CA: %w", err)
	}
	emergencyCA, err := authorityLines([]ssh.PublicKey{s.EmergencyCA})
	if err != nil {
		return "", fmt.Errorf("emergency CA: %w", err)
	}
	if strings.Contains(targetCAs, emergencyCA) {
		return "", errors.New("emergency CA: it is the target CA; want a key of its own")
	}
	parsed, err := template.New("setup").Parse(setupTemplate)
	if err != nil {
		return "", fmt.Errorf("set-up script: %w", err)
	}
	var script strings.Builder
	// Every value above is free of quotes, spaces and $ by its grammar, and so
	// stands in the script as it is.
	err = parsed.Execute(&script, map[string]any{
		"Target":      s.Target,
		"Server":      s.ServerName,
		"TargetCAs":   targetCAs,
		"EmergencyCA": emergencyCA,
		"Directives":  directives("$ca", "$echo", s.Target),
	})
	if err != nil {
		return "", fmt.Errorf("set-up script: %w", err)
	}
	return script.String(), nil
}

func isServerName(s string) bool {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Zone() == ""
	}
	return isHostName(s) && s == strings.ToLower(s)
}
