package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

// TestRequestsOverTheAPI: who sees a request, who answers it, and what its requester
// hears, with codes in place of touches.
func TestRequestsOverTheAPI(t *testing.T) {
	s := populated(t)
	s.target("db1")
	carol, eve := s.added("carol", "engineer"), s.added("eve", "engineer", "approver")
	bob, dana := s.added("bob", "approver"), s.added("dana", "auditor")
	must[api.Group](s, s.admin, "POST", api.RouteGroupAdd.Path, api.GroupRequest{Name: "leads"})
	must[api.Empty](s, s.admin, "POST", "/v1/admin/groups/leads/members", api.MemberRequest{Handle: "bob"})
	must[api.Grant](s, s.admin, "POST", api.RouteGrantAdd.Path, api.Grant{
		User: "carol", Target: "db1", Logins: []string{"root"}, Conditions: api.Conditions{Reason: true, Approvals: 1, Approvers: "leads"},
	})
	wish := api.MakeRequest{Target: "db1", Login: "root", Lasts: 3600, Reason: "the disk is full"}
	r := must[api.AccessRequest](s, carol, "POST", api.RouteRequestMake.Path, wish)
	if r.State != string(access.RequestWaits) || r.Reason != wish.Reason || r.Want != 1 || r.Have != 0 || r.Yours || len(r.Hash) != 64 {
		t.Errorf("made: %+v", r)
	}
	path := fmt.Sprintf("%s/%d", api.RouteRequests.Path, r.ID)
	for who, sees := range map[*resident]bool{carol: true, bob: true, dana: true, s.admin: true, eve: false} {
		if got := must[[]api.AccessRequest](s, who, "GET", api.RouteRequests.Path, nil); (len(got) == 1) != sees {
			t.Errorf("%s sees %d requests", who.handle, len(got))
		}
		if a := s.ask("GET", path, who.token, nil); (a.status == http.StatusOK) != sees {
			t.Errorf("%s gets %d", who.handle, a.status)
		}
	}
	if got := must[[]api.AccessRequest](s, bob, "GET", api.RouteRequests.Path, nil); !got[0].Yours {
		t.Error("bob does not hear that he may answer it")
	}
	s.refused(s.ask("DELETE", path, bob.token, nil), http.StatusNotFound)
	s.refused(s.ask("POST", path+"/deny", eve.token, api.AnswerRequest{Comment: "no"}), http.StatusNotFound)
	s.refused(s.ask("POST", path+"/deny", bob.token, api.AnswerRequest{}), http.StatusBadRequest)
	s.refused(s.ask("POST", path+"/approve", bob.token, api.AnswerRequest{}), http.StatusConflict) // he has no passkey
	s.refused(s.ask("POST", path+"/approve", bob.token, api.AnswerRequest{Code: s.code(bob)}), http.StatusForbidden)

	must[api.Empty](s, bob, "POST", path+"/deny", api.AnswerRequest{Comment: "not now"})
	if r = must[api.AccessRequest](s, carol, "POST", path+"/wait", nil); r.State != string(access.RequestDenied) || r.Comment != "not now" {
		t.Errorf("denied: %+v", r)
	}
	if n := len(s.entriesOf(store.TypeRequestDenied)); n != 1 {
		t.Errorf("%d entries", n)
	}
	again := must[api.AccessRequest](s, carol, "POST", api.RouteRequestMake.Path, wish)
	must[api.Empty](s, carol, "DELETE", fmt.Sprintf("%s/%d", api.RouteRequests.Path, again.ID), nil)
	wish.Lasts = 1 << 63 // seconds, which no duration holds
	s.refused(s.ask("POST", api.RouteRequestMake.Path, carol.token, wish), http.StatusBadRequest)
}
