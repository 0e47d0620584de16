package relay

import (
	"fmt"

	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// Files lists a recording's files as session.ended names them: the log, whose
// hash stands for all of them, and one for each channel.
func Files(summary recording.Summary) []store.RecordingFile {
	if summary.SHA256 == (recording.Hash{}) {
		return nil // there is no end marker: it can't be held against anything
	}
	all := []store.RecordingFile{{Name: "session.jsonl", Label: recording.Metadata, SHA256: store.Hash(summary.SHA256)}}
	for _, c := range summary.Channels {
		all = append(all, store.RecordingFile{
			Name: fmt.Sprintf("%d.cast", c.Number), Label: c.Label, Size: c.Size, SHA256: store.Hash(c.SHA256),
		})
	}
	return all
}

// note writes a line about the session into the recording's log. It reports
// whether what it says may happen.
func (s *session) note(event, detail string) bool {
	if err := s.recording.Note(0, event, recording.Text(detail)); err != nil {
		s.recorderFailed(err)
		return false
	}
	return true
}

// noteRefused notes what was refused, up to a bound.
func (s *session) noteRefused(event, detail string) {
	switch n := s.refused.Add(1); {
	case n < maxNotes:
		s.note(event, clean(detail, maxForeign))
	case n == maxNotes:
		s.note("notes.suppressed", "more was refused than is listed")
	}
}
