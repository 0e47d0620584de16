package access_test

import (
	"pgregory.net/rapid"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/store"
)

// groupCommand draws something to do with a group.
func (w *world) groupCommand() access.Command {
	group, user := store.GroupName(w.anyGroup()), store.Handle(w.anyHandle())
	switch rapid.IntRange(0, 5).Draw(w.t, "group command") {
	case 0:
		return access.AddMember{By: w.by(), Group: group, User: user}
	case 1, 2:
		return access.RemoveMember{By: w.by(), Group: group, User: user}
	case 3:
		return access.RenameGroup{By: w.by(), Group: group, Name: w.anyGroup()}
	case 4:
		return access.RemoveGroup{By: w.by(), Name: group}
	default:
		return access.AddGroup{By: w.by(), Name: w.anyGroup()}
	}
}

func (w *world) anyGroup() string { return one(w, "group", "dba", "dba", "ops", "dba", "on-call", "-") }
