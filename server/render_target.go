package server

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/vaultpam/vaultpam/store"
)

// A renaming is a target's new name, from an entry on.
type renaming struct {
	entry store.Index
	name  store.TargetName
}

// target names a target by the index of its entry, as it is called now.
func (r *reader) target(ctx context.Context, entry store.Index) string {
	return r.targetAt(ctx, entry, r.state.Next())
}

// targetAt names a target as it was called before an entry: who reads an old entry
// looks for the name of its day.
func (r *reader) targetAt(ctx context.Context, entry, before store.Index) string {
	if entry == 0 {
		return ""
	}
	r.readRenamings(ctx)
	all := r.renamings[entry]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].entry < before {
			return string(all[i].name)
		}
	}
	return r.firstName(ctx, entry)
}

// readRenamings reads all that there are, which are few, once for an answer.
func (r *reader) readRenamings(ctx context.Context) {
	if r.renamings != nil {
		return
	}
	r.renamings = map[store.Index][]renaming{}
	renamed, err := r.n.ledger.Find(ctx, store.Query{Type: store.TypeTargetRenamed})
	if err != nil {
		r.n.Log.Error("targets' new names can't be read", "error", err) // they show as they began
	}
	for _, e := range renamed {
		if v, ok := e.Event.(*store.TargetRenamed); ok {
			r.renamings[v.Target] = append(r.renamings[v.Target], renaming{e.Index, v.Name})
		}
	}
}

// firstName is what a target was registered as.
func (r *reader) firstName(ctx context.Context, entry store.Index) string {
	if t, ok := r.state.Target(entry); ok && len(r.renamings[entry]) == 0 {
		return string(t.Name)
	}
	if name, ok := r.targets[entry]; ok {
		return name
	}
	name := fmt.Sprintf("target %d", entry)
	if e, _, err := r.n.ledger.Entry(ctx, entry); err == nil {
		if added, ok := e.Event.(*store.TargetAdded); ok {
			name = string(added.Name)
		}
	}
	r.targets[entry] = name
	return name
}

// target names a target as it was called before the entry that is told of.
func (v *view) target(entry store.Index) string { return v.r.targetAt(v.ctx, entry, v.e.Index) }

func (v *view) host() {
	switch e := v.e.Event.(type) {
	case *store.TargetAdded:
		v.fields["address"], v.fields["egress"], v.fields["logins"] = e.Address, e.Egress, texts(e.Logins)
		var pinned []string
		for _, blob := range e.HostKeys {
			if key, err := ssh.ParsePublicKey(blob); err == nil {
				pinned = append(pinned, ssh.FingerprintSHA256(key))
			}
		}
		v.fields["host_keys"] = pinned
		v.say("target %s at %s was added", e.Name, e.Address)
	case *store.TargetRemoved:
		v.say("target %s was removed", v.target(e.Target))
	case *store.TargetRenamed:
		v.fields["name"] = string(e.Name)
		v.say("target %s is called %s from here on", v.target(e.Target), e.Name)
	case *store.TargetLabelled:
		v.fields["labels"] = e.Labels.String()
		if len(e.Labels) == 0 {
			v.say("target %s has no labels any more", v.target(e.Target))
			return
		}
		v.say("target %s has the labels %s", v.target(e.Target), e.Labels)
	}
}
