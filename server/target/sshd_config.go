package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

func configPath(dir string) string { return filepath.Join(dir, "sshd_config") }

// prepareSshd writes what sshd reads, and returns the public host keys.
func prepareSshd(config SshdConfig) ([]ssh.PublicKey, error) {
	if !filepath.IsAbs(config.Dir) || strings.ContainsAny(config.Dir, " \t\n\"'\\%#") {
		return nil, fmt.Errorf("directory %q: want an absolute path without spaces, quotes, %% or #, which mean something in sshd_config", config.Dir)
	}
	if err := checkTarget(config.Target); err != nil {
		return nil, err
	}
	authorities, err := authorityLines(config.CAs)
	if err != nil {
		return nil, err
	}
	caFile := filepath.Join(config.Dir, "vaultpam_ca.pub")
	if err := os.WriteFile(caFile, []byte(authorities), 0o600); err != nil {
		return nil, err
	}
	hostKeys, _, keyFiles, err := hostKeysIn(config.Dir)
	if err != nil {
		return nil, err
	}
	trust, err := trustLines(config, caFile)
	if err != nil {
		return nil, err
	}
	text, err := sshdConfigText(config, trust, keyFiles)
	if err != nil {
		return nil, err
	}
	return hostKeys, os.WriteFile(configPath(config.Dir), []byte(text), 0o600)
}

// trustLines is the part by which this sshd accepts certificates: as root the
// very lines of the set-up script.
func trustLines(config SshdConfig, caFile string) ([]string, error) {
	if os.Geteuid() == 0 {
		if err := makePrivsepDir(); err != nil {
			return nil, err
		}
		echo, err := findEcho()
		if err != nil {
			return nil, err
		}
		return append(directives(caFile, echo, config.Target), "PermitRootLogin prohibit-password"), nil
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("finding the current account: %w", err)
	}
	for _, login := range config.Logins {
		if string(login) != me.Username {
			return nil, fmt.Errorf("login %q: sshd run by %s can serve the login %s alone", login, me.Username, me.Username)
		}
	}
	principals := filepath.Join(config.Dir, "principals")
	line := me.Username + "@" + string(config.Target) + "\n"
	if err := os.WriteFile(principals, []byte(line), 0o600); err != nil {
		return nil, err
	}
	return []string{
		"TrustedUserCAKeys " + caFile,
		"AuthorizedPrincipalsFile " + principals,
		"UsePAM no",
	}, nil
}

func sshdConfigText(config SshdConfig, trust, keyFiles []string) (string, error) {
	if len(config.Logins) == 0 {
		return "", errors.New("no login was given")
	}
	allow := "AllowUsers"
	for _, login := range config.Logins {
		// AllowUsers reads user@host as an account and where it comes from.
		if login == "" || strings.ContainsAny(string(login), "@*?! \t\n\"") {
			return "", fmt.Errorf("login %q: a private sshd can't tell it from a pattern", login)
		}
		allow += " " + string(login)
	}
	match := slices.IndexFunc(config.ExtraConfig, isMatch)
	if match < 0 {
		match = len(config.ExtraConfig)
	}
	lines := slices.Clone(config.ExtraConfig[:match])
	for _, file := range keyFiles {
		lines = append(lines, "HostKey "+file)
	}
	lines = append(lines, trust...)
	lines = append(lines,
		allow,
		"AuthorizedKeysFile none",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"UsePAM yes", // sshd takes the first value: an ordinary user's is "no"
		"StrictModes no",
		"PrintMotd no",
		"PidFile none",
		"UseDNS no",
		"LogLevel VERBOSE",
		"AcceptEnv LANG LC_*",
		"Subsystem sftp internal-sftp",
	)
	lines = append(lines, config.ExtraConfig[match:]...)
	return strings.Join(lines, "\n") + "\n", nil
}

func isMatch(line string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "match")
}

// makePrivsepDir makes the directory into which Debian's sshd locks its
// unprivileged half. The package's service makes it at its start, so it is
// missing where sshd was never started (containers). A system without /run has
// it elsewhere.
func makePrivsepDir() error {
	err := os.Mkdir("/run/sshd", 0o755) //nolint:gosec // as the package makes it: it is everybody's, and empty
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("making sshd's privilege separation directory: %w", err)
	}
	return nil
}

func findEcho() (string, error) {
	for _, path := range []string{"/usr/bin/echo", "/bin/echo"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("neither /usr/bin/echo nor /bin/echo exists, and sshd's AuthorizedPrincipalsCommand needs one")
}
