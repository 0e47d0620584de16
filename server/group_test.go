package server_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// TestGroups goes through the life of a group, and reads it back from the ledger.
func TestGroups(t *testing.T) {
	s := populated(t)
	s.added("carol", "engineer")
	dana := s.added("dana", "auditor")
	path := api.RouteGroups.Path
	groups := func() []api.Group { t.Helper(); return must[[]api.Group](s, dana, "GET", path, nil) }
	if got := groups(); len(got) != 0 {
		t.Errorf("groups %v", got)
	}
	dba := must[api.Group](s, s.admin, "POST", path, api.GroupRequest{Name: "dba"})
	must[api.Empty](s, s.admin, "POST", path+"/dba/members", api.MemberRequest{Handle: "dana"})
	must[api.Empty](s, s.admin, "POST", path+"/dba/members", api.MemberRequest{Handle: "carol"})
	s.refused(s.ask("POST", path+"/dba/members", s.admin.token, api.MemberRequest{Handle: "carol"}), http.StatusConflict)
	s.refused(s.ask("POST", path+"/ops/members", s.admin.token, api.MemberRequest{Handle: "carol"}), http.StatusNotFound)
	must[api.Empty](s, s.admin, "POST", path+"/dba", api.GroupRequest{Name: "databases"})
	if diff := cmp.Diff([]api.Group{{ID: dba.ID, Name: "databases", Members: []string{"carol", "dana"}}}, groups()); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	must[api.Empty](s, s.admin, "DELETE", path+"/databases/members/dana", nil)
	must[api.Empty](s, s.admin, "DELETE", "/v1/admin/users/carol", nil)
	if diff := cmp.Diff([]api.Group{{ID: dba.ID, Name: "databases", Members: []string{}}}, groups()); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	must[api.Empty](s, s.admin, "DELETE", path+"/databases", nil)
	if got := groups(); len(got) != 0 {
		t.Errorf("groups %v", got)
	}
	// Who looks for a person finds when they belonged where, under the name of then.
	var told []string
	for _, e := range must[api.EntriesResponse](s, dana, "GET", api.RouteEntries.Path+"?user=dana", nil).Entries {
		if e.Type == "member.added" || e.Type == "member.removed" {
			told = append(told, e.Summary)
		}
	}
	want := []string{"dana belongs to group databases no more", "dana belongs to group dba from here on"}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}
