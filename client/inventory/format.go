package inventory

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
)

// ErrProgram is returned for an inventory that ansible would run. Nothing is run
// here.
var ErrProgram = errors.New("the inventory is a program")

// ReadAnsible reads an inventory in the format that its file's name says, as
// ansible chooses it. Where the name says neither, what reads as a YAML mapping is
// YAML.
func ReadAnsible(name string, data []byte) (targets []Target, problems []string, err error) {
	if bytes.HasPrefix(data, []byte("#!")) {
		return nil, nil, ErrProgram
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yml", ".yaml", ".json":
		return ReadAnsibleYAML(data)
	case "", ".":
		if targets, problems, err := ReadAnsibleYAML(data); err == nil {
			return targets, problems, nil
		}
	}
	return ReadAnsibleINI(data)
}
