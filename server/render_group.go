package server

import (
	"context"
	"fmt"

	"github.com/vaultpam/vaultpam/store"
)

// group names a group as it was called before an entry: who reads an old entry
// looks for the name of its day.
func (r *reader) group(ctx context.Context, group, before store.Index) string {
	// An error leaves the name that the group began with.
	renamed, _ := r.n.ledger.Find(ctx, store.Query{Type: store.TypeGroupRenamed, From: group, To: before, Order: store.NewestFirst})
	for _, e := range renamed {
		if v, ok := e.Event.(*store.GroupRenamed); ok && v.Group == group {
			return string(v.Name)
		}
	}
	if e, _, err := r.n.ledger.Entry(ctx, group); err == nil {
		if added, ok := e.Event.(*store.GroupAdded); ok {
			return string(added.Name)
		}
	}
	return fmt.Sprintf("group %d", group)
}

func (v *view) group() {
	name := func(group store.Index) string {
		v.fields["group"] = v.r.group(v.ctx, group, v.e.Index)
		v.fields["group_id"] = uint64(group)
		return v.fields["group"].(string)
	}
	switch e := v.e.Event.(type) {
	case *store.GroupAdded:
		v.fields["group"], v.fields["group_id"] = string(e.Name), uint64(v.e.Index)
		v.say("group %s was added", e.Name)
	case *store.GroupRenamed:
		v.fields["name"] = string(e.Name)
		v.say("group %s is called %s from here on", name(e.Group), e.Name)
	case *store.GroupRemoved:
		v.say("group %s was removed", name(e.Group))
	case *store.MemberAdded:
		v.say("%s belongs to group %s from here on", v.r.handle(v.ctx, e.User), name(e.Group))
	case *store.MemberRemoved:
		v.say("%s belongs to group %s no more", v.r.handle(v.ctx, e.User), name(e.Group))
	}
}
