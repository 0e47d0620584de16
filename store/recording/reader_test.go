package recording_test

import (
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vaultpam/vaultpam/store/recording"
)

// readCast returns the error at the end of a channel's file with these lines.
func readCast(lines ...string) error {
	r, err := recording.NewReader(strings.NewReader(strings.Join(lines, "\n") + "\n"))
	if err != nil {
		return err
	}
	for _, err := range r.Events() {
		if err != nil {
			return err
		}
	}
	return nil
}

const endEvent = `[9.000000,"z","{\"reason\":\"closed\"}"]`

func TestReaderIsStrict(t *testing.T) {
	check(t, readCast(castHeader, `[0.000000,"o","a"]`, endEvent))
	check(t, readCast(castHeader, `[0.000000,"b","o:/w=="]`, `[0.000000,"o","\n"]`, endEvent))
	check(t, readCast(castHeader, `[0.000000,"b","o:/w=="]`, endEvent)) // torn between the two, then recovered
	for name, lines := range map[string][]string{
		"other asciicast":    {`{"version": 2, "width": 80, "height": 24}`},
		"version 3":          {strings.Replace(castHeader, `"version":2`, `"version":3`, 1)},
		"format 2":           {strings.Replace(castHeader, `"format":1`, `"format":2`, 1)},
		"label":              {strings.Replace(castHeader, "metadata", "replayable", 1)},
		"session":            {strings.Replace(castHeader, "00000000-", "../../..-", 1)},
		"two headers":        {castHeader + castHeader},
		"unknown event":      {castHeader, `[0.000000,"?","a"]`, endEvent},
		"spaces":             {castHeader, `[0.000000, "o", "a"]`, endEvent},
		"leading zero":       {castHeader, `[00.000000,"o","a"]`, endEvent},
		"short time":         {castHeader, `[0.5,"o","a"]`, endEvent},
		"negative":           {castHeader, `[-1.000000,"o","a"]`, endEvent},
		"back in time":       {castHeader, `[2.000000,"o","a"]`, `[1.999999,"o","a"]`, endEvent},
		"quote":              {castHeader, `[0.000000,"o","a"b"]`, endEvent},
		"control":            {castHeader, "[0.000000,\"o\",\"a\x1b\"]", endEvent},
		"not UTF-8":          {castHeader, "[0.000000,\"o\",\"a\xff\"]", endEvent},
		"C1":                 {castHeader, "[0.000000,\"o\",\"a\u009b\"]", endEvent},
		"other escape":       {castHeader, `[0.000000,"o","\u000a"]`, endEvent},
		"upper case":         {castHeader, `[0.000000,"o","\u001B"]`, endEvent},
		"needless escape":    {castHeader, `[0.000000,"o","\u0041"]`, endEvent},
		"surrogate":          {castHeader, `[0.000000,"o","\ud83c"]`, endEvent},
		"slash":              {castHeader, `[0.000000,"o","\/"]`, endEvent},
		"cut escape":         {castHeader, `[0.000000,"o","\u00"]`, endEvent},
		"size":               {castHeader, `[0.000000,"r","80x0"]`, endEvent},
		"no display":         {castHeader, `[0.000000,"b","o:/w=="]`, `[0.000000,"i","?"]`, endEvent},
		"bytes after bytes":  {castHeader, `[0.000000,"b","o:/w=="]`, `[0.000000,"b","o:/w=="]`, endEvent},
		"unknown stream":     {castHeader, `[0.000000,"b","x:/w=="]`, endEvent},
		"base64":             {castHeader, `[0.000000,"b","o:/x=="]`, `[0.000000,"o","?"]`, endEvent},
		"after the end":      {castHeader, endEvent, `[9.000000,"o","a"]`},
		"end without reason": {castHeader, `[9.000000,"z","{}"]`},
		"end with more":      {castHeader, `[9.000000,"z","{\"reason\":\"closed\",\"x\":1}"]`},
		"empty line":         {castHeader, "", endEvent},
	} {
		t.Run(name, func(t *testing.T) {
			if err := readCast(lines...); !errors.Is(err, recording.ErrDamaged) {
				t.Errorf("error is %v, want ErrDamaged", err)
			}
		})
	}
	for name, lines := range map[string][]string{"no end": {castHeader, `[0.000000,"o","a"]`}, "header alone": {castHeader}} {
		if err := readCast(lines...); !errors.Is(err, recording.ErrUnfinished) {
			t.Errorf("%s: error is %v, want ErrUnfinished", name, err)
		}
	}
	endless := strings.NewReader(castHeader + "\n" + strings.Repeat("x", recording.MaxLine+1))
	r, err := recording.NewReader(endless)
	check(t, err)
	for _, err := range r.Events() {
		if !errors.Is(err, recording.ErrDamaged) {
			t.Errorf("an endless line: %v, want ErrDamaged", err)
		}
	}
}

// Files that were exchanged are noticed without a hash, too.
func TestForeignFileIsRefused(t *testing.T) {
	id := newSessionID(t)
	files, other := finished(t, id), finished(t, newSessionID(t))
	for name, foreign := range map[string][]byte{"of another channel": files["2.cast"], "of another session": other["1.cast"]} {
		s, _ := lay(t, id, with(files, "1.cast", foreign))
		if _, err := content(openSession(t, s, id), 1, recording.Output); !errors.Is(err, recording.ErrDamaged) {
			t.Errorf("%s: reading gives %v, want ErrDamaged", name, err)
		}
		s, _ = lay(t, id, with(with(files, "1.cast", foreign), "session.jsonl", lastLine(lastLine(files["session.jsonl"]))))
		sums, err := s.Recover(t.Context(), end)
		check(t, err)
		if len(sums) != 1 || !sums[0].Channels[0].Damaged {
			t.Errorf("%s: recovered %+v, want channel 1 damaged", name, sums)
		}
	}
	s, _ := lay(t, id, other)
	if _, err := s.OpenSession(id); !errors.Is(err, recording.ErrDamaged) {
		t.Errorf("the log of another session: %v, want ErrDamaged", err)
	}
}

// A clock that is set back does not turn a recording around.
func TestClockIsSetBack(t *testing.T) {
	now := time.Date(2026, 8, 1, 14, 0, 0, 0, time.UTC)
	s, err := recording.Open(filepath.Join(t.TempDir(), "r"), recording.Options{
		Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return now },
	})
	check(t, err)
	defer s.Close()
	r := create(t, s)
	c := channel(t, r, terminal())
	for _, step := range []time.Duration{time.Hour, -2 * time.Hour, time.Minute} {
		now = now.Add(step)
		check(t, c.Output([]byte("x")))
	}
	_, err = r.Close("")
	check(t, err)
	var at []time.Duration
	for e, err := range openSession(t, s, r.ID()).Events(1) {
		check(t, err)
		at = append(at, e.At)
	}
	if len(at) != 4 || at[0] != time.Hour || at[2] != time.Hour {
		t.Errorf("times are %v", at)
	}
}
