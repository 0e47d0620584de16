package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/vaultpam/vaultpam/store"
)

// A voter approves with a passkey.
type voter struct {
	t    *testing.T
	id   store.UserID
	key  *ecdsa.PrivateKey
	cose []byte
}

func newVoter(t *testing.T) *voter {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	enc, err := cbor.CTAP2EncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	cose, err := enc.Marshal(map[int]any{1: 2, 3: -7, -1: 1, -2: point[1:33], -3: point[33:]})
	if err != nil {
		t.Fatal(err)
	}
	return &voter{t: t, id: store.UserID{2, 15: 7}, key: key, cose: cose}
}

// signs is an assertion over a challenge, at the page of pam.example.eu.
func (v *voter) signs(challenge store.Hash) *store.Assertion {
	v.t.Helper()
	rp := sha256.Sum256([]byte("pam.example.eu"))
	a := &store.Assertion{
		AuthenticatorData: binary.BigEndian.AppendUint32(append(rp[:], 5), 7),
		ClientDataJSON: fmt.Appendf(nil, `{"type":"webauthn.get","challenge":%q,"origin":"https://pam.example.eu"}`,
			base64.RawURLEncoding.EncodeToString(challenge[:])),
	}
	client := sha256.Sum256(a.ClientDataJSON)
	digest := sha256.Sum256(append(bytes.Clone(a.AuthenticatorData), client[:]...))
	var err error
	if a.Signature, err = ecdsa.SignASN1(rand.Reader, v.key, digest[:]); err != nil {
		v.t.Fatal(err)
	}
	return a
}

// TestS17AuditVerifyApproval: what a passkey signed verifies, with the server and
// without it; what it did not sign, and what nobody can verify, ends with an error.
func TestS17AuditVerifyApproval(t *testing.T) {
	s := newFakeServer(t)
	m := enrolled(t, s)
	v, carol := newVoter(t), store.UserID{1, 15: 7}
	factor := s.appendBy(v.id, &store.FactorEnrolled{User: v.id, Kind: store.FactorPasskey, Invitation: 1, Passkey: &store.Passkey{Credential: []byte("c"), PublicKey: v.cose}})
	request := s.appendBy(carol, &store.RequestMade{User: carol, Target: 9, Login: "root", Base: 11, Lasts: 3_600_000, Expires: 1_800_000_000_000, Nonce: store.Hash{1}})
	proposal := s.appendBy(carol, &store.ChangeProposed{User: carol, Expires: 1_800_000_000_000, Join: &store.MemberAdded{Group: 3, User: carol}})
	approve := func(of, target, signed uint64) uint64 {
		e := &store.RequestApproved{User: carol, Target: store.Index(target), Request: store.Index(of), SignIn: 1, Factor: store.Index(factor), Kind: store.FactorPasskey, Nonce: store.Hash{2}}
		e.Assertion = v.signs(store.ApprovalChallenge(store.RequestHash(s.records[signed]), e.Nonce))
		return s.appendBy(v.id, e)
	}
	ofRequest, ofProposal, replayed := approve(request, 9, request), approve(proposal, 0, proposal), approve(proposal, 0, request)
	byCode := s.appendBy(v.id, &store.RequestApproved{User: carol, Target: 9, Request: store.Index(request), SignIn: 1, Factor: store.Index(factor), Kind: store.FactorTOTP, Step: 7})
	file := filepath.Join(m.dir, "approval.json")
	verify := func(index uint64, more ...string) result {
		return m.run(append([]string{"audit", "verify", fmt.Sprint(index)}, more...)...)
	}
	verify(ofRequest).want(t, exitOK, fmt.Sprintf("approved     entry %d of server: ", request), fmt.Sprintf("passkey, enrolled by entry %d", factor),
		"verifiable   true\nverified     the passkey signed exactly this\nledger       all three are in the ledger of ")
	verify(ofProposal, "--save", file).want(t, exitOK, "verifiable   true", "kept in "+file)
	verify(replayed).want(t, exitLedger, fmt.Sprintf("entry %d of the ledger does not verify: not an approval of this request: something else was signed", replayed))
	r := verify(byCode)
	r.want(t, exitOther, "verifiable   false", "nobody can verify this approval: it was made with a code", "hint: vaultpamd setting approve-with passkey")
	verify(request).want(t, exitOther, fmt.Sprintf("entry %d is request.made, not an approval", request), fmt.Sprintf("hint: vaultpam audit show %d", request))
	var report approvalReport
	if err := json.Unmarshal([]byte(verify(ofProposal, "--json").out), &report); err != nil || !report.Verifiable || report.Asked != proposal || report.Size != uint64(len(s.records)) {
		t.Errorf("%+v, %v", report, err)
	}
	m.run("audit", "verify", "--save", file).want(t, exitUsage)
	m.run("audit", "verify", "1", "--file", file).want(t, exitUsage)

	// Another machine, which knows no server.
	other := newMachine(t)
	saved, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other.run("audit", "verify", "--file", file).want(t, exitOK, "to join the group of entry 3", "of "+carol.String(), "verifiable   true", "not that these entries are in its ledger")
	var kept savedApproval
	if err := json.Unmarshal(saved, &kept); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*savedApproval){
		"another request":  func(a *savedApproval) { a.Asked = s.records[request] },
		"another server":   func(a *savedApproval) { a.Server = "pam.example.com" },
		"another approval": func(a *savedApproval) { a.Approved = s.records[replayed] },
		"no approval":      func(a *savedApproval) { a.Approved = a.Asked },
		"a byte":           func(a *savedApproval) { a.Asked = bytes.Replace(a.Asked, []byte("proposed"), []byte("propose!"), 1) },
		"another format":   func(a *savedApproval) { a.Format = "vaultpam approval v2" },
		"nothing":          func(a *savedApproval) { *a = savedApproval{Format: a.Format} },
	} {
		spoiled := kept
		spoil(&spoiled)
		data, err := json.Marshal(spoiled)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := other.run("audit", "verify", "--file", file); r.code != exitOther || r.out != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
