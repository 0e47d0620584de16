package relay_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/relay"
	"github.com/vaultpam/vaultpam/store"
)

func TestWaysIn(t *testing.T) {
	for _, way := range []struct {
		way  store.Way
		args func(p *person) []string
	}{
		{store.WayProxy, func(*person) []string { return []string{"db1.pam"} }},
		{store.WayJump, func(*person) []string { return []string{"jump.db1.pam"} }},
		{store.WayName, (*person).nameWay},
	} {
		t.Run(string(way.way), func(t *testing.T) {
			w := newWorld(t)
			carol := w.person("carol", nil)
			got := carol.ssh("what comes in", append(way.args(carol), "cat; echo out; echo err >&2; exit 3")...)
			want := result{stdout: "what comes inout\n", stderr: "err\n", code: 3}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
				t.Fatalf("ssh (-want +got):\n%s", diff)
			}
			ended := w.gate.awaitEnded(t, 1)[0]
			checkEnded(t, w, ended)
			request := w.gate.requests()[0]
			if request.Way != way.way || request.Target != "db1" || request.Login != store.Login(w.login) ||
				request.Identity.Handle != "carol" || request.Source.Addr().String() != "127.0.0.1" {
				t.Errorf("the gate was asked for %+v", request)
			}
			order := slices.DeleteFunc(w.gate.order(), func(c string) bool { return c == "Watch" || c == "HostKey" })
			wantOrder := []string{"Admit", "Start", "Certify", "Purposes", "End"}
			if way.way == store.WayJump {
				wantOrder = append([]string{"Admit"}, wantOrder...)
			}
			if diff := cmp.Diff(wantOrder, order); diff != "" {
				t.Errorf("calls of the gate (-want +got):\n%s", diff)
			}
		})
	}
}

// checkEnded holds the ledger's last entry of a session against the recording.
func checkEnded(t *testing.T, w *world, ended relay.Ended) {
	t.Helper()
	if ended.Reason != store.EndedByUser {
		t.Errorf("session ended by %s, want %s", ended.Reason, store.EndedByUser)
	}
	if ended.In != uint64(len("what comes in")) || ended.Out != uint64(len("what comes inout\nerr\n")) || ended.Duration <= 0 {
		t.Errorf("session ended with %d bytes in, %d out, after %v", ended.In, ended.Out, ended.Duration)
	}
	texts := w.recorded(0)
	names := map[string]store.Label{}
	for _, f := range ended.Files {
		names[f.Name] = f.Label
		if sum := sha256.Sum256([]byte(texts[f.Name])); store.Hash(sum) != f.SHA256 {
			t.Errorf("%s: the ledger's hash is not the file's", f.Name)
		}
	}
	if diff := cmp.Diff(map[string]store.Label{"session.jsonl": store.LabelMetadata, "1.cast": store.LabelMetadata}, names); diff != "" {
		t.Errorf("files in the ledger (-want +got):\n%s", diff)
	}
	for _, want := range []string{"what comes in", "out\\n", "cat; echo out"} {
		if !strings.Contains(texts["1.cast"], want) {
			t.Errorf("the recording does not hold %q:\n%s", want, texts["1.cast"])
		}
	}
	if !strings.Contains(texts["session.jsonl"], `"reason":"closed-by-user"`) || !strings.Contains(texts["session.jsonl"], `"status":3`) {
		t.Errorf("the recording's log does not say how it ended:\n%s", texts["session.jsonl"])
	}
}

func TestManyTargetsThroughOneJump(t *testing.T) {
	w := newWorld(t)
	carol := w.person("carol", nil)
	for i := range 3 {
		got := carol.ssh("", "jump.db1.pam", fmt.Sprintf("echo %d", i))
		if got.stdout != fmt.Sprintf("%d\n", i) || got.code != 0 {
			t.Fatalf("run %d: %+v", i, got)
		}
	}
	w.gate.awaitEnded(t, 3)
}
