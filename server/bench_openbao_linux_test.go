package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"
)

// startOpenBao starts OpenBao with integrated storage and a file of audit, and
// gives each worker a token whose policy allows one path. The SSH engine stores no
// certificate that it signs: the audit file alone knows of it.
func startOpenBao(b *testing.B, program string) *peer {
	b.Helper()
	dir, address := b.TempDir(), freeAddress(b)
	cluster := freeAddress(b)
	pair := newTLSPair(b, dir, "openbao", false, nil)
	if err := os.Mkdir(filepath.Join(dir, "raft"), 0o700); err != nil {
		b.Fatal(err)
	}
	config := filepath.Join(dir, "openbao.hcl")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
api_addr     = "https://%s"
cluster_addr = "https://%s"
storage "raft" {
  path    = %q
  node_id = "bench"
}
listener "tcp" {
  address         = %q
  cluster_address = %q
  tls_cert_file   = %q
  tls_key_file    = %q
}
audit "file" "file" {
  options { file_path = %q }
}
`, address, cluster, filepath.Join(dir, "raft"), address, cluster, pair.cert, pair.key, filepath.Join(dir, "audit.log")), 0o600); err != nil {
		b.Fatal(err)
	}
	p := &peer{measured: startPeer(b, dir, program, "server", "-config="+config), name: "openbao", check: checkOpenBao}
	tokens := unsealOpenBao(b, "https://"+address)
	p.newCaller = func(b *testing.B, _, worker int) *caller {
		return newCaller(b, address, trusting(), cycle(requests(b, "/v1/ssh/sign/bench", address, always(http.Header{"X-Vault-Token": {tokens[worker]}}),
			func(key ssh.PublicKey) any {
				return map[string]any{"public_key": string(ssh.MarshalAuthorizedKey(key)), "valid_principals": "bench"}
			})))
	}
	return p
}

// unsealOpenBao sets it up and returns a token for each worker.
func unsealOpenBao(b *testing.B, url string) []string {
	b.Helper()
	c := insecure(b)
	awaitOK(b, c, url+"/v1/sys/health?uninitcode=200")
	var made struct {
		Keys      []string
		RootToken string `json:"root_token"`
	}
	callJSON(b, c, http.MethodPut, url+"/v1/sys/init", http.Header{}, map[string]any{"secret_shares": 1, "secret_threshold": 1}, &made)
	callJSON(b, c, http.MethodPut, url+"/v1/sys/unseal", http.Header{}, map[string]any{"key": made.Keys[0]}, nil)
	awaitOK(b, c, url+"/v1/sys/health")
	root := http.Header{"X-Vault-Token": {made.RootToken}}
	for _, call := range []struct {
		path string
		body map[string]any
	}{
		{"sys/mounts/ssh", map[string]any{"type": "ssh"}},
		{"ssh/config/ca", map[string]any{"generate_signing_key": true, "key_type": "ed25519"}},
		{"ssh/roles/bench", map[string]any{
			"key_type": "ca", "allow_user_certificates": true, "allowed_users": "bench", "default_user": "bench", "ttl": "5m",
			"default_extensions": map[string]string{"permit-pty": "", "permit-port-forwarding": ""},
		}},
		{"sys/policies/acl/bench", map[string]any{"policy": `path "ssh/sign/bench" { capabilities = ["update"] }`}},
	} {
		callJSON(b, c, http.MethodPost, url+"/v1/"+call.path, root, call.body, nil)
	}
	counts := workerCounts()
	tokens := make([]string, counts[len(counts)-1])
	for i := range tokens {
		var created struct {
			Auth struct {
				ClientToken string `json:"client_token"`
			}
		}
		callJSON(b, c, http.MethodPost, url+"/v1/auth/token/create", root, map[string]any{"policies": []string{"bench"}, "ttl": "10h"}, &created)
		tokens[i] = created.Auth.ClientToken
	}
	return tokens
}

func checkOpenBao(b *testing.B, body []byte) {
	b.Helper()
	var answer struct {
		Data struct {
			SignedKey string `json:"signed_key"`
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		b.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(answer.Data.SignedKey))
	checkPeer(b, key, err)
}
