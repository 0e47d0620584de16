package relay_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
	"github.com/vaultpam/vaultpam/store/recording"
)

// admit starts a session for the server itself on db1.
func (w *world) admit() *relay.Admission {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	a := w.gate.targets[db1]
	a.Session, a.Login = store.SessionID(uuid.New()), store.Login(w.login)
	w.gate.sessions[a.Session] = &gateSession{errand: true, over: make(chan store.EndReason, 1)}
	return &a
}

// errand runs an errand that has to be over within a minute, and holds what came
// back against how the session ended and what was recorded of it.
func (w *world) errand(ctx context.Context, e relay.Errand) (relay.Outcome, error) {
	w.t.Helper()
	a := w.admit()
	watchdog := time.AfterFunc(time.Minute, func() { panic("the errand does not end") })
	got, err := w.relay.Run(ctx, a, e)
	watchdog.Stop()
	w.checkErrand(a, e, got, err)
	return got, err
}

// checkErrand holds an errand to one end, for the reason that its caller was
// told, a recording with its end marker and the hash that the ledger was given,
// and an outcome that is in the recording (S24).
func (w *world) checkErrand(a *relay.Admission, e relay.Errand, got relay.Outcome, err error) {
	w.t.Helper()
	ended := w.endOf(a)
	want := store.EndedByUser
	if failed, ok := errors.AsType[*relay.ErrandError](err); ok {
		want = failed.Reason
		if failed.Message == "" || strings.ContainsAny(failed.Message, "\n") || strings.HasPrefix(failed.Message, "vaultpam") {
			w.t.Errorf("the error says %q", failed.Message)
		}
	} else if err != nil {
		w.t.Errorf("%v is no ErrandError", err)
	}
	if ended.Reason != want {
		w.t.Errorf("session ended by %s; the caller was told %s (%v)", ended.Reason, want, err)
	}
	session, err := w.recordings.OpenSession(a.Session)
	if err != nil {
		w.t.Errorf("there is no recording: %v", err)
		return
	}
	defer session.Close()
	summary := session.Summary()
	if want == store.EndedByRecorder && summary.SHA256 == (recording.Hash{}) {
		// What stopped the recorder can leave no room for the end marker either, which
		// depends on the last bytes that fitted. Then nothing may claim that there is one.
		if len(ended.Files) != 0 || summary.Reason != "" {
			w.t.Errorf("without an end marker the ledger was given %v, ended by %q", ended.Files, summary.Reason)
		}
		return
	}
	if len(ended.Files) != len(summary.Channels)+1 {
		w.t.Errorf("the ledger was given the files %v", ended.Files)
	} else if err := session.Verify(recording.Hash(ended.Files[0].SHA256)); err != nil {
		w.t.Error(err)
	}
	if summary.Head.Handle != "-" || summary.Reason == "" {
		w.t.Errorf("recording of %q ended by %q", summary.Head.Handle, summary.Reason)
	}
	if len(summary.Channels) == 0 {
		if len(got.Output)+len(got.Stderr) > 0 {
			w.t.Error("something came back and no channel was recorded")
		}
		return
	}
	if diff := cmp.Diff(recording.ChannelInfo{Kind: recording.Exec, Command: recording.Text(e.Command)}, *session.Log()[1].Info); diff != "" {
		w.t.Errorf("channel (-want +got):\n%s", diff)
	}
	w.checkRecorded(session, e, got, ended)
}

func (w *world) checkRecorded(session *recording.Session, e relay.Errand, got relay.Outcome, ended relay.Ended) {
	w.t.Helper()
	recorded := map[recording.EventKind][]byte{}
	for event, err := range session.Events(1) {
		if err != nil {
			w.t.Fatal(err)
		}
		recorded[event.Kind] = append(recorded[event.Kind], event.Data...)
	}
	if !bytes.HasPrefix(recorded[recording.Output], got.Output) {
		w.t.Errorf("%d bytes came back that are not the beginning of the %d recorded", len(got.Output), len(recorded[recording.Output]))
	}
	if stderr := relay.Clean(string(recorded[recording.Stderr]), 4<<10); !strings.HasPrefix(stderr, got.Stderr) {
		w.t.Errorf("standard error %q came back, %q was recorded", got.Stderr, stderr)
	}
	if !bytes.HasPrefix(e.Input, recorded[recording.Input]) {
		w.t.Errorf("input of %d bytes was recorded that is not the errand's", len(recorded[recording.Input]))
	}
	channel := session.Summary().Channels[0]
	if diff := cmp.Diff(got.Exit, channel.Exit); diff != "" {
		w.t.Errorf("exit came back and was recorded (-came +recorded):\n%s", diff)
	}
	if ended.Out < uint64(len(got.Output)) || ended.In > channel.BytesIn {
		w.t.Errorf("the ledger was told of %d bytes in and %d out; %d and %d were recorded", ended.In, ended.Out, channel.BytesIn, channel.BytesOut)
	}
}

// endOf returns the one end that a session has by now.
func (w *world) endOf(a *relay.Admission) relay.Ended {
	w.t.Helper()
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	var ends []relay.Ended
	for _, e := range w.gate.ended {
		if e.Admission.Session == a.Session {
			ends = append(ends, e)
		}
	}
	if len(ends) != 1 {
		w.t.Fatalf("the session has %d ends", len(ends))
	}
	return ends[0]
}

func status(n int) recording.Exit { return recording.Exit{Status: &n} }

// failedBy holds an errand's error to its reason and words.
func failedBy(t *testing.T, err error, reason store.EndReason, words string) {
	t.Helper()
	failed, ok := errors.AsType[*relay.ErrandError](err)
	if !ok {
		t.Fatalf("error %v, want one for %s", err, reason)
	}
	if failed.Reason != reason || !strings.Contains(failed.Message, words) {
		t.Errorf("%s: %s; want %s: … %s …", failed.Reason, failed.Message, reason, words)
	}
}
