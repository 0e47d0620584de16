package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vaultpam/vaultpam/store"
)

// A Header is the first line of a channel's file: the header of asciicast v2 and
// what VaultPAM adds to it.
type Header struct {
	Version   int               `json:"version"`
	Width     int               `json:"width"`
	Height    int               `json:"height"`
	Timestamp int64             `json:"timestamp"`
	Env       map[string]string `json:"env,omitempty"`
	VaultPAM  HeaderExtra       `json:"vaultpam"`
}

// A HeaderExtra says whose recording a file belongs to, exactly.
type HeaderExtra struct {
	Format  int         `json:"format"`
	Session string      `json:"session"`
	Channel int         `json:"channel"`
	Started time.Time   `json:"started"`
	Label   Label       `json:"label"`
	Info    ChannelInfo `json:"info"`
}

const castFormat = 1

func newHeader(id store.SessionID, number int, info ChannelInfo, start time.Time) Header {
	h := Header{
		Version: 2, Width: clampSize(info.Cols, 80), Height: clampSize(info.Rows, 24), Timestamp: start.Unix(),
		VaultPAM: HeaderExtra{
			Format: castFormat, Session: id.String(), Channel: number,
			Started: start.UTC().Round(0), Label: info.Label(), Info: info,
		},
	}
	if info.Term != "" {
		h.Env = map[string]string{"TERM": strings.ToValidUTF8(string(info.Term), "\uFFFD")}
	}
	return h
}

// clampSize bounds a terminal's size in one direction. Zero means that the
// client does not know (RFC 4254, section 6.2).
func clampSize(n, unknown int) int {
	if n <= 0 {
		return unknown
	}
	return min(n, 1<<16-1)
}

func (h Header) line() ([]byte, error) {
	b, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encoding the header of channel %d: %w", h.VaultPAM.Channel, err)
	}
	return append(appendASCII(nil, b), '\n'), nil
}

func parseHeader(line []byte) (Header, error) {
	var h Header
	if !utf8.Valid(line) {
		return h, errors.New("header is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return h, errors.New("header: more than one value")
	}
	x := h.VaultPAM
	if h.Version != 2 || x.Format != castFormat {
		return h, fmt.Errorf("asciicast version %d with format %d; this program reads 2 and %d", h.Version, x.Format, castFormat)
	}
	if _, err := store.ParseSessionID(x.Session); err != nil {
		return h, fmt.Errorf("header: %w", err)
	}
	if err := x.Info.check(); err != nil || x.Label != x.Info.Label() || x.Channel <= 0 {
		return h, errors.New("header describes no channel of a session")
	}
	return h, nil
}
