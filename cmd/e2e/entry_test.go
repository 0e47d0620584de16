//go:build linux

package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// doEntry asks as dana until the newest entries of the type hold one whose
// fields match. It becomes stdout, a field a line.
func (w *world) doEntry(ts *script, args []string) error {
	if len(args) < 1 {
		return errors.New("want TYPE [FIELD=REGEXP…]")
	}
	var listed []byte
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(patience); ; {
		cmd, err := w.command("dana", []string{"vaultpam", "audit", "ls", "--type", args[0], "--json", "--limit", "50"})
		if err != nil {
			return err
		}
		var said bytes.Buffer
		cmd.Stderr = &said
		if listed, err = cmd.Output(); err != nil {
			return fmt.Errorf("audit ls: %w\n%s", err, said.String())
		}
		text, err := pick(listed, args[1:])
		if err != nil {
			return err
		}
		if text != "" {
			_, err := fmt.Fprint(ts.Stdout(), text)
			return err
		}
		select {
		case <-tick.C:
		case <-end:
			return fmt.Errorf("no such entry after %s; there are:\n%s", patience, summaries(listed))
		}
	}
}

func summaries(listed []byte) string {
	var entries []struct{ Summary string }
	var b strings.Builder
	if err := json.Unmarshal(listed, &entries); err != nil {
		return err.Error()
	}
	for _, e := range entries {
		fmt.Fprintln(&b, e.Summary)
	}
	return b.String()
}

// pick returns the newest entry that matches, as lines FIELD=VALUE.
func pick(listed []byte, wanted []string) (string, error) {
	var entries []map[string]any
	if err := json.Unmarshal(listed, &entries); err != nil {
		return "", err
	}
	for i := len(entries) - 1; i >= 0; i-- {
		fields, _ := entries[i]["fields"].(map[string]any)
		if fields == nil {
			fields = map[string]any{}
		}
		for _, name := range []string{"index", "time", "actor", "user", "target", "summary"} {
			fields[name] = entries[i][name]
		}
		good := true
		for _, w := range wanted {
			name, text, ok := strings.Cut(w, "=")
			if !ok {
				return "", fmt.Errorf("%q: want FIELD=REGEXP", w)
			}
			pattern, err := regexp.Compile("^(?:" + text + ")$")
			if err != nil {
				return "", err
			}
			good = good && pattern.MatchString(plain(fields[name]))
		}
		if good {
			var b strings.Builder
			for name, value := range fields {
				fmt.Fprintf(&b, "%s=%s\n", name, plain(value))
			}
			return b.String(), nil
		}
	}
	return "", nil
}

func plain(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
