package server

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func (v *view) session() {
	switch e := v.e.Event.(type) {
	case *store.SessionStarted:
		v.fields["session"], v.fields["login"], v.fields["way"] = e.Session.String(), string(e.Login), string(e.Way)
		v.fields["certificate"], v.fields["grant"], v.fields["ends"] = uint64(e.Certificate), uint64(e.Grant), stamp(e.Ends)
		if len(e.Also) > 0 {
			v.fields["also"] = e.Also
		}
		if e.Errand != "" {
			v.fields["errand"] = string(e.Errand)
			v.say("the server opened a session as %s@%s to %s it", e.Login, v.target(e.Target), e.Errand)
			return
		}
		v.fields["source"] = v.r.text(v.ctx, e.User, e.Source)
		v.say("%s opened a session as %s@%s from %s", v.r.handle(v.ctx, e.User), e.Login, v.target(e.Target), v.fields["source"])
	case *store.SessionRefused:
		v.fields["login"], v.fields["reason"] = string(e.Login), string(e.Reason)
		where := v.target(e.Target)
		if where == "" {
			where = "what is no target"
		}
		v.say("%s was refused a session on %s: %s", v.r.handle(v.ctx, e.User), where, e.Reason)
	case *store.SessionEnded:
		v.fields["session"], v.fields["reason"], v.fields["started"] = e.Session.String(), string(e.Reason), uint64(e.Started)
		v.fields["duration_ms"], v.fields["bytes_in"], v.fields["bytes_out"] = e.Duration, e.In, e.Out
		var files []map[string]any
		for _, f := range e.Files {
			files = append(files, map[string]any{"name": f.Name, "label": f.Label, "size": f.Size, "sha256": hex.EncodeToString(f.SHA256[:])})
		}
		v.fields["files"] = files
		v.say("the session of %s on %s ended after %s: %s", v.r.handle(v.ctx, e.User), v.target(e.Target),
			(time.Duration(e.Duration) * time.Millisecond).Round(time.Second), e.Reason)
	}
}

func (v *view) doors() {
	switch e := v.e.Event.(type) {
	case *store.TargetChecked:
		v.fields["session"], v.fields["other_ways"], v.fields["closed"] = e.Session.String(), e.Doors, e.Closed
		v.fields["new"], v.fields["gone"], v.fields["unread"] = e.New, e.Gone, e.Unread
		var report []string
		for line := range strings.Lines(v.r.text(v.ctx, store.UserID{}, e.Report)) {
			report = append(report, strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", " "))
		}
		v.fields["report"] = report
		v.say("other ways into %s: %s", v.target(e.Target), otherWays(e))
	case *store.TargetClosed:
		v.fields["session"], v.fields["emergency_serial"] = e.Session.String(), uint64(e.Emergency)
		v.say("the other ways into %s were shut", v.target(e.Target))
	case *store.TargetReopened:
		v.fields["session"] = e.Session.String()
		v.say("what had shut the other ways into %s was taken back", v.target(e.Target))
	}
}

// otherWays says in words what a check found. Only where everything could be
// looked at is it "none".
func otherWays(e *store.TargetChecked) string {
	text := "none"
	switch {
	case e.Doors > 0:
		text = fmt.Sprint(e.Doors)
	case e.Unread > 0:
		text = "unknown"
	}
	for _, more := range []struct {
		n    uint64
		what string
	}{{e.New, "new"}, {e.Gone, "gone"}, {e.Unread, "not looked at"}} {
		if more.n > 0 {
			text += fmt.Sprintf(", %d %s", more.n, more.what)
		}
	}
	return text
}

// session returns a session.started entry with how the session ended.
func (r *reader) session(ctx context.Context, e *store.Entry) (api.Session, error) {
	started := e.Event.(*store.SessionStarted)
	s := api.Session{
		ID: started.Session.String(), Started: uint64(e.Index), Time: e.Time.Time(),
		User: r.handle(ctx, started.User), Target: r.targetAt(ctx, started.Target, e.Index), Login: string(started.Login),
	}
	if _, live := r.state.Session(started.Session); live {
		return s, nil
	}
	ended, err := r.n.ledger.Find(ctx, store.Query{
		Type: store.TypeSessionEnded, User: started.User, Target: started.Target, From: e.Index,
	})
	if err != nil {
		return s, err
	}
	for _, x := range ended {
		if end := x.Event.(*store.SessionEnded); end.Session == started.Session {
			s.Ended, s.Duration = string(end.Reason), float64(end.Duration)/1000
			break
		}
	}
	return s, nil
}
