package store_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/vaultpam/vaultpam/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is for ever, old ledgers must stay readable (-want +got):\n%s", path, diff)
	}
}

func encode(t testing.TB, e *store.Entry) []byte {
	t.Helper()
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestEntriesGolden(t *testing.T) {
	var b strings.Builder
	have := map[store.EventType]bool{}
	for _, e := range examples() {
		fmt.Fprintf(&b, "%s %x\n", e.Event.EventType(), encode(t, e))
		have[e.Event.EventType()] = true
	}
	golden(t, "entries.golden", b.String())
	for _, typ := range eventTypes(t) {
		if !have[typ] {
			t.Errorf("no example of %q", typ)
		}
	}
}

func TestEntryRoundTrip(t *testing.T) {
	for _, e := range examples() {
		got, err := store.DecodeEntry(encode(t, e))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", e.Event.EventType(), diff)
		}
	}
}

// TestS30BitFlips: whoever flips a bit of an entry makes another entry or none.
func TestS30BitFlips(t *testing.T) {
	for _, e := range examples() {
		data := encode(t, e)
		for bit := range 8 * len(data) {
			flipped := bytes.Clone(data)
			flipped[bit/8] ^= 1 << (bit % 8)
			got, err := store.DecodeEntry(flipped)
			if err == nil && cmp.Equal(e, got) {
				t.Fatalf("%s: flipping bit %d makes no difference", e.Event.EventType(), bit)
			}
			if err != nil && !errors.Is(err, store.ErrMalformed) && !errors.Is(err, store.ErrUnknownEvent) {
				t.Fatalf("%s: flipping bit %d: unknown error %v", e.Event.EventType(), bit, err)
			}
		}
		for n := range len(data) {
			if _, err := store.DecodeEntry(data[:n]); !errors.Is(err, store.ErrMalformed) {
				t.Fatalf("%s cut at %d: error %v, want ErrMalformed", e.Event.EventType(), n, err)
			}
		}
		if _, err := store.DecodeEntry(append(data, 0)); !errors.Is(err, store.ErrMalformed) {
			t.Fatalf("%s with a byte behind it: error %v, want ErrMalformed", e.Event.EventType(), err)
		}
	}
}

func TestS40UnknownEvent(t *testing.T) {
	body := cbor.RawMessage{0xa0}
	for name, entry := range map[string][]any{
		"type":    {uint64(1), int64(2), "lock.changed", uint64(1), []byte{}, body},
		"version": {uint64(1), int64(2), "user.removed", uint64(2), []byte{}, body},
		"no type": {uint64(1), int64(2), "", uint64(1), []byte{}, body},
	} {
		data, err := cbor.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := store.DecodeEntry(data); !errors.Is(err, store.ErrUnknownEvent) {
			t.Errorf("unknown %s: error %v, want ErrUnknownEvent", name, err)
		}
	}
}

// TestOneEncoding decodes other ways to write the same entry.
func TestOneEncoding(t *testing.T) {
	const index, time, typ, version, actor, rules = "\x01", "\x02", "\x6frules.activated", "\x01", "\x40", "\xa1\x01\x02"
	good := "\x86" + index + time + typ + version + actor + rules
	if _, err := store.DecodeEntry([]byte(good)); err != nil {
		t.Fatalf("the one encoding: %v", err)
	}
	for name, data := range map[string]string{
		"long index":        "\x86\x18\x01" + time + typ + version + actor + rules,
		"indefinite array":  "\x9f" + index + time + typ + version + actor + rules + "\xff",
		"tag":               "\xc1" + good,
		"seven elements":    "\x87" + good[1:] + "\x00",
		"five elements":     "\x85" + index + time + typ + version + actor,
		"float time":        "\x86" + index + "\xf9\x40\x00" + typ + version + actor + rules,
		"null actor":        "\x86" + index + time + typ + version + "\xf6" + rules,
		"zero user":         "\x86" + index + time + typ + version + "\x50" + strings.Repeat("\x00", 16) + rules,
		"other actor":       "\x86" + index + time + typ + version + "\x41\x02" + rules,
		"null body":         "\x86" + index + time + typ + version + actor + "\xf6",
		"long field":        "\x86" + index + time + typ + version + actor + "\xa1\x01\x18\x02",
		"duplicate field":   "\x86" + index + time + typ + version + actor + "\xa2\x01\x02\x01\x02",
		"unknown field":     "\x86" + index + time + typ + version + actor + "\xa2\x01\x02\x02\x02",
		"text field":        "\x86" + index + time + typ + version + actor + "\xa1\x611\x02",
		"missing field":     "\x86" + index + time + typ + version + actor + "\xa0",
		"negative rules":    "\x86" + index + time + typ + version + actor + "\xa1\x01\x20",
		"bytes for version": "\x86" + index + time + typ + "\x41\x01" + actor + rules,
		"empty":             "",
	} {
		if e, err := store.DecodeEntry([]byte(data)); !errors.Is(err, store.ErrMalformed) {
			t.Errorf("%s: %+v, error %v, want ErrMalformed", name, e, err)
		}
	}
	if _, err := store.DecodeEntry(make([]byte, store.MaxEntry+1)); !errors.Is(err, store.ErrMalformed) {
		t.Errorf("too long: error %v, want ErrMalformed", err)
	}
}

// TestNothingIsWrittenOneWay: a nil and an empty list are the same bytes.
func TestNothingIsWrittenOneWay(t *testing.T) {
	entry := func(empty []byte) *store.Entry {
		return &store.Entry{Event: &store.LedgerCreated{Name: "a", LogKey: make([]byte, 32), UserCA: empty}}
	}
	if a, b := encode(t, entry(nil)), encode(t, entry([]byte{})); !bytes.Equal(a, b) {
		t.Errorf("nil %x, empty %x", a, b)
	}
}

// TestEncodeRefuses what could not be relied on when it is read.
func TestEncodeRefuses(t *testing.T) {
	certificate := store.CertificateIssued{Kind: store.CertificateTarget, Target: 1, Login: "root", Session: store.SessionID{1}}
	change := func(f func(*store.CertificateIssued)) store.Event {
		c := certificate
		f(&c)
		return &c
	}
	direct := func(f func(*store.CertificateIssued)) store.Event {
		c := store.CertificateIssued{
			Kind: store.CertificateTarget, User: store.UserID{1}, Target: 1, Login: "root",
			SignIn: 1, Direct: true, Grant: 1, Source: store.Commitment{1},
		}
		f(&c)
		return &c
	}
	if _, err := (&store.Entry{Event: direct(func(*store.CertificateIssued) {})}).Encode(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&store.Entry{Event: &certificate}).Encode(); err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*store.Entry{
		"no event":       {},
		"two actors":     {Actor: store.Actor{User: store.UserID{1}, Local: true}, Event: &store.RulesActivated{}},
		"setting":        {Event: &store.SettingChanged{Setting: "mood", Value: store.SelfGrantAllowed}},
		"value":          {Event: &store.SettingChanged{Setting: store.SettingSelfGrant, Value: "maybe"}},
		"role":           {Event: &store.UserAdded{User: store.UserID{1}, Roles: []store.Role{"root"}}},
		"no role":        {Event: &store.UserAdded{User: store.UserID{1}}},
		"no user":        {Event: &store.UserAdded{Roles: store.Roles()}},
		"log key":        {Event: &store.LedgerCreated{Name: "a", LogKey: make([]byte, 31)}},
		"count 0":        {Event: &store.SignInFailed{}},
		"count":          {Event: &store.SignInFailed{Count: store.MaxFailureCount + 1}},
		"factor":         {Event: &store.FactorEnrolled{Kind: "sms"}},
		"no factor":      {Event: &store.FactorEnrolled{Kind: store.FactorRecovery}},
		"sign-in":        {Event: &store.SignInSucceeded{}},
		"no code":        {Event: &store.SignInSucceeded{Kind: store.FactorRecovery}},
		"a code":         {Event: &store.SignInSucceeded{Kind: store.FactorTOTP, Code: 1}},
		"code 65":        {Event: &store.SignInSucceeded{Kind: store.FactorRecovery, Code: store.MaxRecoveryCodes + 1}},
		"code step":      {Event: &store.SignInSucceeded{Kind: store.FactorRecovery, Code: 1, Step: 1}},
		"no set":         {Event: &store.RecoveryCreated{User: store.UserID{1}, Count: 10}},
		"no codes":       {Event: &store.RecoveryCreated{User: store.UserID{1}, Codes: store.Hash{1}}},
		"codes":          {Event: &store.RecoveryCreated{User: store.UserID{1}, Codes: store.Hash{1}, Count: store.MaxRecoveryCodes + 1}},
		"whose":          {Event: &store.RecoveryCreated{Codes: store.Hash{1}, Count: 10}},
		"stopped":        {Event: &store.SignInStopped{User: store.UserID{1}}},
		"who":            {Event: &store.SignInStopped{Count: 1}},
		"sso link":       {Event: &store.SSOLinked{User: store.UserID{1}}},
		"key":            {Event: &store.FactorEnrolled{Kind: store.FactorKey}},
		"long key":       {Event: &store.FactorEnrolled{Kind: store.FactorKey, Key: make([]byte, 257)}},
		"bot invite":     {Event: &store.FactorEnrolled{Kind: store.FactorKey, Key: []byte{1}, Invitation: 4}},
		"bot step":       {Event: &store.FactorEnrolled{Kind: store.FactorKey, Key: []byte{1}, Step: 4}},
		"bot by own":     {Event: &store.FactorEnrolled{Kind: store.FactorKey, Key: []byte{1}, SignIn: 4}},
		"key totp":       {Event: &store.FactorEnrolled{Kind: store.FactorTOTP, Invitation: 4, Key: []byte{1}}},
		"join totp":      {Event: &store.FactorEnrolled{Kind: store.FactorTOTP, Invitation: 4, Join: 4}},
		"bot sso":        {Event: &store.SignInSucceeded{Kind: store.FactorKey, Factor: 3, SSO: 4}},
		"bot count":      {Event: &store.SignInSucceeded{Kind: store.FactorKey, Factor: 3, Counter: 4}},
		"bot":            {Event: &store.BotAdded{}},
		"join":           {Event: &store.JoinCreated{User: store.UserID{1}, Expires: 1}},
		"join never":     {Event: &store.JoinCreated{User: store.UserID{1}, Token: store.Hash{1}}},
		"sso factor":     {Event: &store.SignInSucceeded{Kind: store.FactorSSO, Factor: 3, SSO: 4}},
		"sso":            {Event: &store.SignInSucceeded{Kind: store.FactorSSO}},
		"sid":            {Event: &store.SignInSucceeded{Kind: store.FactorTOTP, Factor: 3, SID: store.Hash{1}}},
		"group name":     {Event: &store.GroupAdded{Name: "Dba"}},
		"renamed":        {Event: &store.GroupRenamed{Group: 1, Name: "a b"}},
		"no group":       {Event: &store.GroupRenamed{Name: "dba"}},
		"group":          {Event: &store.GroupRemoved{}},
		"member":         {Event: &store.MemberAdded{Group: 1}},
		"of nothing":     {Event: &store.MemberRemoved{User: store.UserID{1}}},
		"name":           {Event: &store.TargetAdded{Name: "-x", HostKeys: [][]byte{{1}}, Logins: []store.Login{"root"}}},
		"no lock":        {Event: &store.LockAdded{Why: store.Commitment{1}}},
		"two locks":      {Event: &store.LockAdded{User: store.UserID{1}, Target: 9, Why: store.Commitment{1}}},
		"lock why":       {Event: &store.LockAdded{User: store.UserID{1}}},
		"lock of":        {Event: &store.LockAdded{Target: 9, Of: store.UserID{1}, Why: store.Commitment{1}}},
		"emergency":      {Event: &store.LockAdded{Serial: store.EmergencySerial, Why: store.Commitment{1}}},
		"unlock":         {Event: &store.LockRemoved{User: store.UserID{1}}},
		"no owner":       {Event: &store.ReviewStarted{Due: 1, Grants: []store.Index{4}}},
		"not due":        {Event: &store.ReviewStarted{Owner: store.UserID{1}, Grants: []store.Index{4}}},
		"reviewed":       {Event: &store.ReviewStarted{Owner: store.UserID{1}, Due: 1}},
		"grant 0":        {Event: &store.ReviewStarted{Owner: store.UserID{1}, Due: 1, Grants: []store.Index{0, 4}}},
		"twice":          {Event: &store.ReviewStarted{Owner: store.UserID{1}, Due: 1, Grants: []store.Index{4, 4}}},
		"unsorted":       {Event: &store.ReviewStarted{Owner: store.UserID{1}, Due: 1, Grants: []store.Index{5, 4}}},
		"answer":         {Event: &store.ReviewAnswered{Review: 1, Grant: 2, Answer: "perhaps"}},
		"no review":      {Event: &store.ReviewAnswered{Grant: 2, Answer: store.AnswerKeep}},
		"reminded":       {Event: &store.ReviewReminded{Review: 1}},
		"why ended":      {Event: &store.ReviewEnded{Owner: store.UserID{1}, Review: 1, Why: "mood"}},
		"answered":       {Event: &store.ReviewEnded{Owner: store.UserID{1}, Review: 1, Why: store.ReviewAnsweredAll, Unanswered: 1}},
		"also":           {Event: &store.SessionStarted{Session: store.SessionID{1}, Login: "root", Way: store.WayErrand, Errand: store.ErrandCheck, Also: []store.Index{4}}},
		"host key":       {Event: &store.TargetAdded{Name: "x", Logins: []store.Login{"root"}}},
		"logins":         {Event: &store.GrantAdded{}},
		"login":          {Event: &store.GrantAdded{Logins: []store.Login{"root", "a,b"}}},
		"kind":           {Event: change(func(c *store.CertificateIssued) { c.Kind = "host" })},
		"target":         {Event: change(func(c *store.CertificateIssued) { c.Target = 0 })},
		"no login":       {Event: change(func(c *store.CertificateIssued) { c.Login = "" })},
		"bad login":      {Event: change(func(c *store.CertificateIssued) { c.Login = "root,admin" })},
		"no session":     {Event: change(func(c *store.CertificateIssued) { c.Session = store.SessionID{} })},
		"user cert":      {Event: change(func(c *store.CertificateIssued) { c.Kind = store.CertificateUser })},
		"way":            {Event: &store.SessionStarted{Session: store.SessionID{1}, Login: "root", Way: "web"}},
		"refusal":        {Event: &store.SessionRefused{Reason: "mood"}},
		"end":            {Event: &store.SessionEnded{Reason: "mood"}},
		"duration":       {Event: &store.SessionEnded{Reason: store.EndedByUser, Duration: -1}},
		"file size":      {Event: &store.SessionEnded{Reason: store.EndedByUser, Files: []store.RecordingFile{{Size: -1}}}},
		"too long":       {Event: &store.LedgerCreated{Name: "a", LogKey: make([]byte, 32), UserCA: make([]byte, store.MaxEntry)}},
		"direct user":    {Event: &store.CertificateIssued{Kind: store.CertificateUser, User: store.UserID{1}, SignIn: 1, Direct: true, Grant: 1, Source: store.Commitment{1}}},
		"direct session": {Event: direct(func(c *store.CertificateIssued) { c.Session = store.SessionID{1} })},
		"direct nobody":  {Event: direct(func(c *store.CertificateIssued) { c.User = store.UserID{} })},
		"direct parent":  {Event: direct(func(c *store.CertificateIssued) { c.Parent = 1 })},
		"direct sign-in": {Event: direct(func(c *store.CertificateIssued) { c.SignIn = 0 })},
		"direct grant":   {Event: direct(func(c *store.CertificateIssued) { c.Grant = 0 })},
		"direct source":  {Event: direct(func(c *store.CertificateIssued) { c.Source = store.Commitment{} })},
		"other grant":    {Event: change(func(c *store.CertificateIssued) { c.Grant = 1 })},
		"other source":   {Event: change(func(c *store.CertificateIssued) { c.Source = store.Commitment{1} })},
		"target name":    {Event: &store.TargetRenamed{Target: 1, Name: "a b"}},
		"no target":      {Event: &store.TargetRenamed{Name: "db1"}},
	} {
		if data, err := e.Encode(); err == nil {
			t.Errorf("%s: encoded as %x", name, data)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	for _, e := range examples() {
		f.Add(encode(f, e))
	}
	f.Add([]byte{0x86})
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := store.DecodeEntry(data)
		if err != nil {
			if e != nil {
				t.Fatalf("refused, but returned %+v", e)
			}
			return
		}
		if again := encode(t, e); !bytes.Equal(again, data) {
			t.Fatalf("%x is encoded again as %x", data, again)
		}
		if e.Event == nil || reflect.ValueOf(e.Event).IsNil() {
			t.Fatal("an entry without an event")
		}
	})
}
