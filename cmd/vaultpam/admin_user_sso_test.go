package main

import (
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server/api"
)

func TestAdminUserSSO(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	m.run("admin", "user", "sso", "carol", "--subject", "24400320").want(t, exitOK, "linked carol")
	if got := s.body(api.RouteUserSSO); !strings.HasPrefix(got, "/v1/admin/users/carol/sso ") || !strings.Contains(got, `{"subject":"24400320"}`) {
		t.Errorf("asked %s", got)
	}
	m.run("admin", "user", "sso", "carol").want(t, exitUsage, "--subject")
}
