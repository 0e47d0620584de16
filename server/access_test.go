package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/server/api"
)

// Several changes are made together, or not at all, and a dry run makes none.
func TestChangeAccess(t *testing.T) {
	s := populated(t)
	s.added("carol", "engineer")
	ask := func(q api.ChangesRequest) api.ChangesResponse {
		t.Helper()
		return must[api.ChangesResponse](s, s.admin, "POST", api.RouteAccess.Path, q)
	}
	groups := func() int {
		t.Helper()
		return len(must[[]api.Group](s, s.admin, "GET", api.RouteGroups.Path, nil))
	}
	good := []api.AccessChange{
		{Do: api.VerbAddGroup, Group: "ops"},
		{Do: api.VerbAddMember, Group: "ops", Handle: "carol"},
		{Do: api.VerbAddGrant, Grant: &api.Grant{Group: "ops", Targets: "*", Forbids: true, For: "direct"}},
		{Do: api.VerbAddGrant, Grant: &api.Grant{Group: "ops", Targets: "*", Logins: []string{"root"}}},
	}
	bad := slices.Concat(good, []api.AccessChange{
		{Do: api.VerbLabel, Target: "db9", Labels: "env=prod"},
		{Do: api.VerbAddGrant, Grant: &api.Grant{User: "ada", Targets: "*", Logins: []string{"root"}}},
	})
	if r := ask(api.ChangesRequest{Changes: good, DryRun: true}); r.Done || len(r.Refused) > 0 || groups() != 0 {
		t.Errorf("a dry run: %+v, and %d groups", r, groups())
	}
	want := []api.RefusedChange{
		{Change: 4, Kind: api.KindNotFound, Detail: "there is no target db9", Hint: "vaultpam admin target ls"},
		{Change: 5, Kind: api.KindForbidden, Detail: "an administrator can't grant access to themselves", Hint: "it takes a second administrator, who has enrolled and is not locked; a company with only one sets: vaultpamd setting self-grant allowed"},
	}
	for _, dry := range []bool{true, false} {
		if diff := cmp.Diff(api.ChangesResponse{Refused: want}, ask(api.ChangesRequest{Changes: bad, DryRun: dry})); diff != "" || groups() != 0 {
			t.Errorf("%d groups (-want +got):\n%s", groups(), diff)
		}
	}
	r := ask(api.ChangesRequest{Changes: good})
	if !r.Done || r.First == 0 || groups() != 1 {
		t.Errorf("%+v, and %d groups", r, groups())
	}
	r = ask(api.ChangesRequest{Changes: []api.AccessChange{
		{Do: api.VerbRemoveGrant, ID: r.First + 2}, {Do: api.VerbRemoveGrant, ID: r.First + 3},
		{Do: api.VerbRemoveMember, Group: "ops", Handle: "carol"}, {Do: api.VerbRemoveGroup, Group: "ops"},
	}})
	if !r.Done || groups() != 0 {
		t.Errorf("%+v, and %d groups", r, groups())
	}
	for _, unknown := range []api.AccessChange{
		{}, {Do: "remove-user", Handle: "carol"}, {Do: api.VerbAddGrant},
		{Do: api.VerbAddGrant, Grant: &api.Grant{User: "carol", Targets: "*", Logins: []string{"root"}, Request: 4, Base: 3}},
	} {
		if r := ask(api.ChangesRequest{Changes: []api.AccessChange{unknown}}); r.Done || len(r.Refused) != 1 || r.Refused[0].Kind != api.KindInvalid {
			t.Errorf("%+v: %+v", unknown, r)
		}
	}
	s.refused(s.ask("POST", api.RouteAccess.Path, s.admin.token, api.ChangesRequest{}), http.StatusBadRequest)
	s.refused(s.ask("POST", api.RouteAccess.Path, s.admin.token, `{"changes":[`+strings.Repeat(`{"do":"add-group","group":"x"},`, api.MaxChanges)+`{"do":"add-group","group":"x"}]}`), http.StatusBadRequest)
}
