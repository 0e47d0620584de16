package store_test

import (
	"bytes"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/vaultpam/vaultpam/store"
)

// grantParts is how the parts of a grant stand in an event.
type grantParts struct {
	Selector   store.Selector     `cbor:"1,keyasint,omitzero"`
	Hours      store.Hours        `cbor:"2,keyasint,omitzero"`
	Purposes   store.Purposes     `cbor:"3,keyasint,omitempty"`
	Conditions store.Conditions   `cbor:"4,keyasint,omitzero"`
	Labels     store.TargetLabels `cbor:"5,keyasint,omitempty"`
}

// What is not there takes no place in an entry, and what is there comes back as
// it was, from one encoding.
func TestGrantPartsInCBOR(t *testing.T) {
	enc, err := cbor.EncOptions{Sort: cbor.SortCoreDeterministic, NilContainers: cbor.NilContainerAsEmpty}.EncMode()
	if err != nil {
		t.Fatal(err)
	}
	selector, err := store.ParseSelector("env=prod")
	if err != nil {
		t.Fatal(err)
	}
	labels, err := store.ParseTargetLabels("env=prod,role=db")
	if err != nil {
		t.Fatal(err)
	}
	for _, parts := range []grantParts{
		{},
		{
			Selector: selector, Hours: hours(t, "Fri 22:00-02:00 America/New_York"), Labels: labels,
			Purposes:   purposes(t, "shell; exec=rsync --server *; sftp=read-only"),
			Conditions: store.Conditions{Reason: true, Approvals: 2, Approvers: 7},
		},
	} {
		data, err := enc.Marshal(parts)
		if err != nil {
			t.Fatal(err)
		}
		if parts.Selector.IsZero() && !bytes.Equal(data, []byte{0xa0}) {
			t.Errorf("nothing takes %x", data)
		}
		var again grantParts
		if err := cbor.Unmarshal(data, &again); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(parts, again, toArray, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%x:\n%s", data, diff)
		}
		twice, err := enc.Marshal(again)
		if err != nil || !bytes.Equal(twice, data) {
			t.Errorf("%x became %x, %v", data, twice, err)
		}
	}
	for _, text := range []string{"Mon 8:00-9:00 UTC", "mon 08:00-09:00 UTC", "Mon 08:00-09:00  UTC", "Mon 08:00-09:00"} {
		data, err := cbor.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var h store.Hours
		if cbor.Unmarshal(data, &h) == nil {
			t.Errorf("%q is accepted as %v", text, h)
		}
	}
}

func BenchmarkSelectorAllows(b *testing.B) {
	s, err := store.ParseSelector("env=prod,role in (cache,db,web),zone!=c")
	if err != nil {
		b.Fatal(err)
	}
	labels, err := store.ParseTargetLabels("env=prod,os=debian-12,role=db,team=ops,zone=a")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Allows(labels)
	}
}
