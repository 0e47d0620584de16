package store

import (
	"archive/zip"
	_ "embed"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ZoneDatabase is the version of the IANA time zone database that hours are
// judged by.
//
// The program carries its own and reads no other. Go's time.LoadLocation would
// ask $ZONEINFO and the machine first, and the copy in time/tzdata last, so two
// nodes, or one node before and after an upgrade of its distribution, could
// judge one moment differently.
//
// What remains is the release that brings a newer database: it judges the past by
// it as well. That changes an answer only where a country changed its clocks and
// this program did not know it yet: for moments between the change and the
// release, in that zone. What the ledger says was allowed or ended then stays as
// it is. Each release that changes this constant names the zones that differ.
const ZoneDatabase = "2025c"

// zoneArchive is lib/time/zoneinfo.zip of the Go distribution, whose README says
// that the data is in the public domain. Its entries are not compressed.
//
//go:embed zoneinfo.zip
var zoneArchive string

// zones indexes the archive at first use, and reads each zone at its first.
var zones = sync.OnceValue(indexZones)

func indexZones() map[string]func() (*time.Location, error) {
	archive, err := zip.NewReader(strings.NewReader(zoneArchive), int64(len(zoneArchive)))
	if err != nil {
		panic(err) // the archive is a constant
	}
	index := make(map[string]func() (*time.Location, error), len(archive.File))
	for _, f := range archive.File {
		begin, err := f.DataOffset()
		if err != nil || f.Method != zip.Store {
			panic(fmt.Sprintf("zone %s: not stored as it is: %v", f.Name, err)) // the archive is a constant
		}
		data := zoneArchive[begin : begin+int64(f.UncompressedSize64)]
		index[f.Name] = sync.OnceValues(func() (*time.Location, error) {
			return time.LoadLocationFromTZData(f.Name, []byte(data))
		})
	}
	return index
}

// zone returns a time zone by its IANA name.
func zone(name string) (*time.Location, error) {
	if load, ok := zones()[name]; ok {
		return load()
	}
	for known := range zones() {
		if strings.EqualFold(known, name) {
			return nil, fmt.Errorf("time zone %q: want it written %s", clip(name), known)
		}
	}
	return nil, fmt.Errorf("time zone %q: want an IANA name such as Europe/Berlin or UTC", clip(name))
}
