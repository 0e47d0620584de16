package server_test

import (
	"strings"
	"testing"

	"github.com/vaultpam/vaultpam/server"
)

func TestSSOConfig(t *testing.T) {
	for text, want := range map[string]string{
		"sso: {issuer: 'https://login.example.eu', client_id: pam}": "",
		"sso: {issuer: 'http://127.0.0.1:9998/', client_id: pam}":   "",
		"sso: {issuer: 'https://login.example.eu', client_id: pam, groups_claim: groups, groups: {DB Team: dba}, second_factor: {amr: [mfa], acr: ['urn:gold']}}": "",
		"sso: {issuer: 'https://login.example.eu'}":                                                "sso.client_id",
		"sso: {issuer: 'http://login.example.eu', client_id: pam}":                                 "sso.issuer",
		"sso: {issuer: 'https://user@login.example.eu', client_id: pam}":                           "sso.issuer",
		"sso: {issuer: 'login.example.eu', client_id: pam}":                                        "sso.issuer",
		"sso: {issuer: 'https://a.example', client_id: pam, client_secret_file: secret}":           "sso.client_secret_file",
		"sso: {issuer: 'https://a.example', client_id: pam, handle_claim: sub}":                    "sso.handle_claim",
		"sso: {issuer: 'https://a.example', client_id: pam, groups: {DB Team: dba}}":               "sso.groups_claim",
		"sso: {issuer: 'https://a.example', client_id: pam, groups_claim: g, groups: {DB: 'D B'}}": "sso.groups",
		"sso: {issuer: 'https://a.example', client_id: pam, second_factor: {amr: ['a b']}}":        "sso.second_factor.amr",
		"sso: {issuer: 'https://a.example', client_id: pam, secret: x}":                            "secret",
	} {
		_, err := server.ParseConfig([]byte(goodConfig+text+"\n"), noEnv)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
