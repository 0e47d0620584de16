package store

import "slices"

// A Preset is a name for the purposes that a tool needs, no more. What each of
// them lets its tool do is in docs/access.md.
type Preset string

const (
	// PresetVSCode is for VS Code's Remote-SSH.
	PresetVSCode Preset = "vscode"
	// PresetAnsible is for Ansible's ssh connections.
	PresetAnsible Preset = "ansible"
	// PresetBackup is for rsync.
	PresetBackup Preset = "backup"
)

// Presets lists the presets.
func Presets() []Preset { return []Preset{PresetVSCode, PresetAnsible, PresetBackup} }

// ParsePreset returns s as a Preset.
func ParsePreset(s string) (Preset, error) {
	if p := Preset(s); slices.Contains(Presets(), p) {
		return p, nil
	}
	return "", &WordError{What: "preset", Word: clip(s), Want: words(Presets())}
}

// Purposes returns what a preset stands for, nil for an unknown one. A grant
// holds the purposes and not the preset's name, so that a later release never
// changes what was granted.
func (p Preset) Purposes() Purposes {
	switch p {
	case PresetVSCode:
		return vscode()
	case PresetAnsible:
		return ansible()
	case PresetBackup:
		return backup()
	}
	return nil
}

// vscode: the extension runs `ssh -T -D PORT HOST bash` or sh, feeds the shell a
// script that starts its server on 127.0.0.1, and reaches that, and every port
// that the editor forwards, through the dynamic forward. Without a command it
// is a shell without a terminal. The editor's own terminals run inside of its
// server; sftp it does not use. Its setting remoteServerListenOnSocket wants
// local-forward=unix:* besides, which is left out because it opens every socket
// that the account may open.
func vscode() Purposes {
	return Purposes{
		{Purpose: PurposeExec, Limits: []string{"bash", "sh"}},
		{Purpose: PurposeNoTTY},
		{Purpose: PurposeLocalForward, Limits: []string{"127.0.0.1:*", "[::1]:*", "localhost:*"}},
	}
}

// ansible: every task is `/bin/sh -c '…'` with quotes, && and substitutions in
// it, which no pattern of plain words can hold, so commands are not limited. The
// module's file goes by sftp before it runs. It opens no shell.
func ansible() Purposes {
	return Purposes{
		{Purpose: PurposeExec},
		{Purpose: PurposeSFTP, Limits: []string{string(SFTPReadWrite)}},
	}
}

// backup: rsync runs itself on the host as `rsync --server …`, with `--sender`
// where files are fetched. Paths with signs that a shell acts on are refused
// unless rsync sends them by its protocol (--secluded-args, -s).
func backup() Purposes {
	return Purposes{{Purpose: PurposeExec, Limits: []string{"rsync --server *"}}}
}
