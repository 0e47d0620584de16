package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSSOGroups shows what claims would give before anybody signs in with them.
func TestSSOGroups(t *testing.T) {
	dir, _ := begun(t)
	claims := filepath.Join(t.TempDir(), "claims.json")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(claims, `{"sub": "24400320", "preferred_username": "admin", "groups": ["DB Team", "Others"], "amr": ["pwd", "mfa"]}`)
	if r := run(t, "sso", "groups", "--dir", dir, "--claims", claims); r.code == exitDone {
		t.Errorf("without a provider: %+v", r)
	}
	config := filepath.Join(dir, "vaultpam.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(config, string(text)+`sso:
  issuer: https://login.example.eu
  client_id: pam
  groups_claim: groups
  groups: {DB Team: dba, Everybody: staff}
  second_factor: {amr: [mfa]}
`)
	r := run(t, "sso", "groups", "--dir", dir, "--claims", claims)
	want := `user           admin
second factor  the provider's is enough, once the account is linked
groups         dba
would add      none
would remove   none
not there      dba, staff (vaultpam admin group add)
`
	if diff := cmp.Diff(want, r.out); diff != "" || r.code != exitDone {
		t.Errorf("%+v:\n%s", r, diff)
	}
	write(claims, `{"sub": "24400320", "groups": {"DB Team": true}}`)
	if r := run(t, "sso", "groups", "--dir", dir, "--claims", claims); r.code == exitDone || r.out != "" {
		t.Errorf("groups of another type: %+v", r)
	}
	if r := run(t, "sso", "groups", "--dir", dir); r.code != exitUsage {
		t.Errorf("without a file: %+v", r)
	}
}
