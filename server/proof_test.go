package server_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

func proofOf(t *testing.T, hashes [][]byte) store.Proof {
	t.Helper()
	p := make(store.Proof, len(hashes))
	for i, h := range hashes {
		if len(h) != len(p[i]) {
			t.Fatalf("a hash of %d bytes", len(h))
		}
		copy(p[i][:], h)
	}
	return p
}

// checkpoint opens a signed checkpoint as a stranger who knows the log key.
func (s *site) checkpoint(signed []byte) store.Checkpoint {
	s.t.Helper()
	info := must[api.Info](s, nil, "GET", api.RouteInfo.Path, nil)
	if info.Origin != siteName+"/ledger" {
		s.t.Errorf("origin %s", info.Origin)
	}
	c, err := store.OpenCheckpoint(signed, info.Origin, ed25519.PublicKey(info.LogKey))
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// records returns the ledger's stored bytes in pages, and its roots at every
// size, hashed here.
func (s *site) records(who *resident, page int) ([][]byte, []store.Hash) {
	s.t.Helper()
	var all [][]byte
	for {
		r := must[api.RawResponse](s, who, "GET", fmt.Sprintf("%s?from=%d&limit=%d", api.RouteRaw.Path, len(all), page), nil)
		if r.From != uint64(len(all)) || len(r.Records) > page {
			s.t.Fatalf("from %d: %d records from %d", len(all), len(r.Records), r.From)
		}
		if len(r.Records) == 0 {
			break
		}
		all = append(all, r.Records...)
	}
	var hashes []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, x := range indexes {
			out[i] = hashes[x]
		}
		return out, nil
	})
	roots := []store.Hash{{}}
	for i, data := range all {
		more, err := tlog.StoredHashes(int64(i), data, reader)
		if err != nil {
			s.t.Fatal(err)
		}
		hashes = append(hashes, more...)
		root, err := tlog.TreeHash(int64(i)+1, reader)
		if err != nil {
			s.t.Fatal(err)
		}
		roots = append(roots, store.Hash(root))
	}
	return all, roots
}

func TestProofs(t *testing.T) {
	s := populated(t)
	dana := s.added("dana", "auditor")
	for i := range 9 {
		s.target(fmt.Sprintf("db%d", i))
	}
	records, roots := s.records(dana, 7)
	signed := must[api.CheckpointResponse](s, nil, "GET", api.RouteCheckpoint.Path, nil)
	now := s.checkpoint(signed.Checkpoint)
	if now.Size != uint64(len(records)) || now.Root != roots[now.Size] || len(signed.Proof) != 0 {
		t.Fatalf("checkpoint of %d with root %x; %d entries were read", now.Size, now.Root, len(records))
	}
	for since := uint64(1); since <= now.Size+1; since++ {
		r := must[api.CheckpointResponse](s, nil, "GET", fmt.Sprintf("%s?since=%d", api.RouteCheckpoint.Path, since), nil)
		if since >= now.Size {
			if len(r.Proof) != 0 {
				t.Errorf("since %d: a proof of what?", since)
			}
			continue
		}
		if err := store.CheckConsistency(proofOf(t, r.Proof), since, roots[since], now.Size, now.Root); err != nil {
			t.Errorf("since %d: %v", since, err)
		}
		if err := store.CheckConsistency(proofOf(t, r.Proof), since, roots[since-1], now.Size, now.Root); err == nil {
			t.Errorf("since %d: it proves another ledger, too", since)
		}
	}
	for i := range now.Size {
		for size := i + 1; size <= now.Size; size++ {
			r := must[api.EntryResponse](s, dana, "GET", fmt.Sprintf("%s?size=%d", indexPath(i), size), nil)
			if !bytes.Equal(r.Data, records[i]) || r.Entry.Index != i {
				t.Fatalf("entry %d is another one", i)
			}
			if err := store.CheckInclusion(proofOf(t, r.Proof), size, roots[size], store.Index(i), r.Data); err != nil {
				t.Errorf("entry %d at size %d: %v", i, size, err)
			}
		}
		r := must[api.EntryResponse](s, dana, "GET", indexPath(i), nil)
		at := s.checkpoint(r.Checkpoint)
		if err := store.CheckInclusion(proofOf(t, r.Proof), at.Size, at.Root, store.Index(i), r.Data); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
		flipped := bytes.Clone(r.Data)
		flipped[len(flipped)-1] ^= 1
		if store.CheckInclusion(proofOf(t, r.Proof), at.Size, at.Root, store.Index(i), flipped) == nil {
			t.Errorf("entry %d: another one verifies, too", i)
		}
	}
}

func TestProofsOfWhatIsNotThere(t *testing.T) {
	s := populated(t)
	dana := s.added("dana", "auditor")
	size := must[api.Info](s, nil, "GET", api.RouteInfo.Path, nil).Size
	for path, status := range map[string]int{
		indexPath(size):                                 http.StatusNotFound,
		indexPath(1 << 62):                              http.StatusNotFound,
		"/v1/entries/-1":                                http.StatusBadRequest,
		"/v1/entries/1e1":                               http.StatusBadRequest,
		"/v1/entries/9223372036854775808":               http.StatusBadRequest,
		"/v1/entries/x":                                 http.StatusBadRequest,
		indexPath(3) + "?size=3":                        http.StatusBadRequest,
		fmt.Sprintf("%s?size=%d", indexPath(0), size+1): http.StatusBadRequest,
		indexPath(0) + "?size=x":                        http.StatusBadRequest,
		"/v1/raw?from=x":                                http.StatusBadRequest,
		"/v1/raw?limit=-1":                              http.StatusBadRequest,
		"/v1/checkpoint?since=x":                        http.StatusBadRequest,
		"/v1/checkpoint?since=-1":                       http.StatusBadRequest,
	} {
		s.refused(s.ask("GET", path, dana.token, nil), status)
	}
	for _, path := range []string{fmt.Sprintf("/v1/raw?from=%d", size), "/v1/raw?from=9223372036854775807", "/v1/raw?from=9223372036854775807&limit=9223372036854775807"} {
		if r := must[api.RawResponse](s, dana, "GET", path, nil); len(r.Records) != 0 {
			t.Errorf("%s: %d records", path, len(r.Records))
		}
	}
	must[api.CheckpointResponse](s, nil, "GET", "/v1/checkpoint?since=9223372036854775807", nil)
}
