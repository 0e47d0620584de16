package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// TestProposalsOverTheAPI: each route that could give its caller access says that it
// waits, who sees it and who answers it, with codes in place of touches.
func TestProposalsOverTheAPI(t *testing.T) {
	s := populated(t)
	s.target("db1")
	must[api.Group](s, s.admin, "POST", api.RouteGroupAdd.Path, api.GroupRequest{Name: "dba"})
	own := api.Grant{User: s.admin.handle, Target: "db1", Logins: []string{"root"}}
	e := s.refused(s.ask("POST", api.RouteGrantAdd.Path, s.admin.token, own), http.StatusForbidden)
	if !strings.Contains(e.Hint, "self-grant") {
		t.Errorf("alone: %q, %q", e.Detail, e.Hint)
	}
	bob, dana, eve := s.added("bob", "administrator"), s.added("dana", "auditor"), s.added("eve", "engineer", "approver")
	granted := must[api.AddedGrant](s, s.admin, "POST", api.RouteGrantAdd.Path, own)
	joins := must[api.Changed](s, s.admin, "POST", "/v1/admin/groups/dba/members", api.MemberRequest{Handle: s.admin.handle})
	must[api.Grant](s, bob, "POST", api.RouteGrantAdd.Path, api.Grant{User: s.admin.handle, Targets: "env=dev", Logins: []string{"root"}})
	labels := must[api.Changed](s, s.admin, "POST", "/v1/admin/targets/db1/labels", api.LabelsRequest{Labels: "env=dev"})
	for want, got := range map[string]*api.AccessRequest{
		"ada may log in to db1 as root": granted.Waits, "ada joins group dba": joins.Waits, "target db1 gets the labels env=dev": labels.Waits,
	} {
		if got == nil || got.Change != want || got.State != string(access.RequestWaits) || got.User != s.admin.handle || got.Want != 1 || got.Yours || got.Login != "" || len(got.Hash) != 64 {
			t.Errorf("want %q: %+v", want, got)
		}
	}
	if granted.ID != 0 || len(must[[]api.Target](s, s.admin, "GET", api.RouteTargets.Path, nil)) != 0 {
		t.Errorf("a grant that waits: %+v", granted)
	}
	path := fmt.Sprintf("%s/%d", api.RouteRequests.Path, granted.Waits.ID)
	for who, sees := range map[*resident]bool{s.admin: true, bob: true, dana: true, eve: false} {
		if a := s.ask("GET", path, who.token, nil); (a.status == http.StatusOK) != sees {
			t.Errorf("%s gets %d", who.handle, a.status)
		}
	}
	s.refused(s.ask("POST", path+"/approve", eve.token, api.AnswerRequest{}), http.StatusNotFound)
	s.refused(s.ask("POST", path+"/approve", dana.token, api.AnswerRequest{}), http.StatusForbidden)
	s.refused(s.ask("POST", path+"/approve", s.admin.token, api.AnswerRequest{}), http.StatusForbidden)
	late := s.added("late", "administrator")
	if e := s.refused(s.ask("POST", path+"/deny", late.token, api.AnswerRequest{Comment: "no"}), http.StatusForbidden); !strings.Contains(e.Detail, "before you became an administrator") {
		t.Errorf("late: %q", e.Detail)
	}
	s.refused(s.ask("POST", path+"/approve", bob.token, api.AnswerRequest{}), http.StatusConflict) // he has no passkey
	s.refused(s.ask("POST", path+"/approve", bob.token, api.AnswerRequest{Code: s.code(bob)}), http.StatusForbidden)
	if got := must[api.AccessRequest](s, bob, "GET", path, nil); !got.Yours {
		t.Error("bob does not hear that he may answer it")
	}
	must[api.Empty](s, bob, "POST", path+"/deny", api.AnswerRequest{Comment: "what for?"})
	if r := must[api.AccessRequest](s, s.admin, "POST", path+"/wait", nil); r.State != string(access.RequestDenied) || r.Comment != "what for?" {
		t.Errorf("denied: %+v", r)
	}
	must[api.Empty](s, s.admin, "DELETE", fmt.Sprintf("%s/%d", api.RouteRequests.Path, joins.Waits.ID), nil)
	if n := len(s.entriesOf(store.TypeChangeProposed)); n != 3 {
		t.Errorf("%d entries", n)
	}
	// Of changes that are made together none waits.
	several := must[api.ChangesResponse](s, s.admin, "POST", api.RouteAccess.Path, api.ChangesRequest{Changes: []api.AccessChange{
		{Do: api.VerbAddGroup, Group: "ops"}, {Do: api.VerbAddMember, Group: "ops", Handle: s.admin.handle},
	}})
	if several.Done || len(several.Refused) != 1 || several.Refused[0].Change != 1 || !strings.Contains(several.Refused[0].Detail, "another administrator") {
		t.Errorf("together: %+v", several)
	}
}
