package sshconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxFile bounds what is read of a user's configuration.
const maxFile = 1 << 20

// A Plan is what would be done to files, worked out before any is touched.
// The zero Plan is empty.
type Plan struct {
	Changes []Change
}

// A Change is one file before and after. A nil slice stands for no file.
type Change struct {
	// Path is the real file; a symbolic link was followed when planning.
	Path     string
	Old, New []byte
}

// PlanInstall plans the two files in c.Dir and the Include line at the top of
// userConfig, normally ~/.ssh/config.
func PlanInstall(c Config, userConfig string) (Plan, error) {
	// Whether "%" is expanded in an Include differs between versions of ssh, and
	// the rest are wildcards there.
	if strings.ContainsAny(c.Dir, "%*?[") {
		return Plan{}, fmt.Errorf("directory %s: an Include line cannot hold %% * ? [ in a path; move it to a path without", visible(c.Dir))
	}
	plan, err := PlanFiles(c)
	if err != nil {
		return Plan{}, err
	}
	// Last, so that a process that dies on the way leaves no Include of a file
	// that is half the old state and half the new one.
	err = plan.add(userConfig, func(old []byte) ([]byte, error) {
		return withInclude(old, includeArg(c.Dir)), checkText(userConfig, old)
	})
	return plan, err
}

// PlanFiles plans the two files in c.Dir alone, for use with "ssh -F".
func PlanFiles(c Config) (Plan, error) {
	config, err := c.SSHConfig()
	if err != nil {
		return Plan{}, err
	}
	plan, err := PlanKnownHosts(c)
	if err != nil {
		return Plan{}, err
	}
	err = plan.add(filepath.Join(c.Dir, ConfigFile), func([]byte) ([]byte, error) { return config, nil })
	return plan, err
}

// PlanKnownHosts plans the known_hosts file in c.Dir alone, for when what is pinned
// has changed.
func PlanKnownHosts(c Config) (Plan, error) {
	known, err := c.KnownHosts()
	if err != nil {
		return Plan{}, err
	}
	var plan Plan
	err = plan.add(filepath.Join(c.Dir, KnownHostsFile), func([]byte) ([]byte, error) { return known, nil })
	return plan, err
}

// PlanRemove plans to take back what PlanInstall did: the Include line for dir
// in userConfig first, then the files in dir.
func PlanRemove(dir, userConfig string) (Plan, error) {
	if err := checkPath("directory", dir); err != nil {
		return Plan{}, err
	}
	var plan Plan
	without := func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, nil
		}
		return withoutInclude(old, includeArg(dir)), checkText(userConfig, old)
	}
	if err := plan.add(userConfig, without); err != nil {
		return Plan{}, err
	}
	for _, name := range []string{ConfigFile, KnownHostsFile} {
		if err := plan.add(filepath.Join(dir, name), func([]byte) ([]byte, error) { return nil, nil }); err != nil {
			return Plan{}, err
		}
	}
	return plan, nil
}

// Empty says that there is nothing to do.
func (p Plan) Empty() bool { return len(p.Changes) == 0 }

// add plans the change that edit makes to the file at path, if it makes one.
func (p *Plan) add(path string, edit func(old []byte) ([]byte, error)) error {
	path, err := realPath(path)
	if err != nil {
		return err
	}
	old, err := readFile(path)
	if err != nil {
		return err
	}
	changed, err := edit(old)
	if err != nil {
		return err
	}
	if bytes.Equal(old, changed) && (old == nil) == (changed == nil) {
		return nil
	}
	p.Changes = append(p.Changes, Change{Path: path, Old: old, New: changed})
	return nil
}

// realPath follows symbolic links, so that a linked configuration (dotfiles
// kept elsewhere) is changed where it lies and stays a link. A file that is not
// there yet is fine, a link to nothing is not: where it should point is not
// ours to decide.
func realPath(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s: want an absolute path", visible(path))
	}
	resolved, err := filepath.EvalSymlinks(path)
	if err == nil {
		return resolved, nil
	}
	if _, lerr := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && errors.Is(lerr, fs.ErrNotExist) {
		return path, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is a symbolic link to a file that does not exist; create that file or remove the link", visible(path))
	}
	return "", fmt.Errorf("resolving path: %w", err)
}

// readFile returns the content of a regular file, nil if there is none.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file; nothing was changed", visible(path))
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes; nothing was changed", visible(path), maxFile)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	if content == nil {
		content = []byte{}
	}
	return content, nil
}

// checkText refuses to edit what ssh cannot read. Any other bytes are kept.
func checkText(path string, content []byte) error {
	if bytes.IndexByte(content, 0) >= 0 {
		return fmt.Errorf("%s holds zero bytes (UTF-16, or damaged), which ssh cannot read; save it as UTF-8 and try again", visible(path))
	}
	return nil
}
