package server

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/vaultpam/vaultpam/server/access"
	"github.com/vaultpam/vaultpam/server/api"
	"github.com/vaultpam/vaultpam/store"
)

const maxRaw = 4096

// entry answers one entry with what proves it.
func (n *Node) entry(ctx context.Context, c call, _ api.Empty) (api.EntryResponse, error) {
	i, err := strconv.ParseUint(c.param("index"), 10, 63)
	if err != nil {
		return api.EntryResponse{}, api.NewError(api.KindInvalid, "", "an entry's index is a number")
	}
	size, err := number(c, "size")
	if err != nil {
		return api.EntryResponse{}, err
	}
	data, signed, proof, err := n.ledger.ProveEntry(ctx, store.Index(i))
	if err != nil {
		return api.EntryResponse{}, err
	}
	if size != 0 {
		if size <= i || size > uint64(n.ledger.State().Next()) {
			return api.EntryResponse{}, api.NewError(api.KindInvalid, "", "size: entry %d is in no ledger of %d entries", i, size)
		}
		if proof, err = store.ProveInclusion(size, store.Index(i), store.Hashes(ctx, n.ledger.Backend)); err != nil {
			return api.EntryResponse{}, err
		}
	}
	e, err := store.DecodeEntry(data)
	if err != nil {
		return api.EntryResponse{}, err
	}
	return api.EntryResponse{Entry: n.newReader().entry(ctx, e), Data: data, Checkpoint: signed, Proof: hashes(proof)}, nil
}

// raw answers stored bytes, for whoever verifies the whole ledger.
func (n *Node) raw(ctx context.Context, c call, _ api.Empty) (api.RawResponse, error) {
	from, err := number(c, "from")
	if err != nil {
		return api.RawResponse{}, err
	}
	limit, err := number(c, "limit")
	if err != nil {
		return api.RawResponse{}, err
	}
	if limit == 0 || limit > maxRaw {
		limit = maxRaw
	}
	records, err := n.ledger.Records(ctx, store.Index(from), int(limit))
	return api.RawResponse{From: from, Records: records}, err
}

// maxRecording bounds what one answer carries of a recording.
const maxRecording = 256 << 20

// recording answers the files of a session's recording.
func (n *Node) recording(ctx context.Context, c call, _ api.Empty) (api.RecordingResponse, error) {
	id, err := store.ParseSessionID(c.param("id"))
	if err != nil {
		return api.RecordingResponse{}, api.NewError(api.KindInvalid, "vaultpam audit ls --type session.started", "%v", err)
	}
	s, err := n.recordings.OpenSession(id)
	if err != nil {
		return api.RecordingResponse{}, api.NewError(api.KindNotFound, "vaultpam audit ls --type session.started", "there is no recording of session %s", id)
	}
	defer s.Close()
	r := api.RecordingResponse{Session: id.String()}
	if r.Ended, err = n.endOf(ctx, id, s.Summary().Head.Started); err != nil {
		return r, err
	}
	total := int64(0)
	for _, ch := range s.Summary().Channels {
		f, err := s.Channel(ch.Number)
		if err != nil {
			return r, err
		}
		data, err := io.ReadAll(io.LimitReader(f, maxRecording-total+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return r, err
		}
		if total += int64(len(data)); total > maxRecording {
			return r, api.NewError(api.KindInvalid, "read it on the server", "the recording of %s is larger than an answer may be", id)
		}
		sum := ch.SHA256
		r.Files = append(r.Files, api.RecordingFile{Name: strconv.Itoa(ch.Number) + ".cast", SHA256: sum[:], Data: data})
	}
	return r, ctx.Err()
}

// endOf returns the index of the entry that closed a session which began at a
// moment, or 0 where none has.
func (n *Node) endOf(ctx context.Context, id store.SessionID, started time.Time) (uint64, error) {
	if _, live := n.ledger.State().Session(id); live {
		return 0, nil
	}
	from, err := n.ledger.Since(ctx, store.At(started.Add(-access.MaxClockBehind)))
	if err != nil {
		return 0, err
	}
	for {
		ended, err := n.ledger.Find(ctx, store.Query{Type: store.TypeSessionEnded, From: from, Limit: maxPage})
		if err != nil || len(ended) == 0 {
			return 0, err
		}
		for _, e := range ended {
			if e.Event.(*store.SessionEnded).Session == id {
				return uint64(e.Index), nil
			}
		}
		from = ended[len(ended)-1].Index + 1
	}
}
