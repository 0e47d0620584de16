package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/vaultpam/vaultpam/server/api"
)

// RouteLocalBackup streams a backup. The answer ends in one of two trailers,
// backupDone or backupFailed; an answer with neither was cut off.
var RouteLocalBackup = api.Route{Method: "POST", Path: "/v1/local/backup", Who: api.WhoAnybody, Does: "stream a backup, encrypted"}

const (
	backupDone   = "Vaultpam-Backup"        // BackupResult as JSON
	backupFailed = "Vaultpam-Backup-Failed" // why, on one line
)

// localBackup answers RouteLocalBackup. It may take as long as it takes; it ends
// with the server.
func (n *Node) localBackup(w http.ResponseWriter, r *http.Request) {
	var q BackupRequest
	body, err := readBody(w, r)
	if err == nil {
		err = decode(r, body, &q)
	}
	if err != nil {
		n.refuse(w, r, err)
		return
	}
	if _, err := ParseRecipients(q.Recipients); err != nil {
		n.refuse(w, r, api.NewError(api.KindInvalid, "", "%v", err))
		return
	}
	control := http.NewResponseController(w)
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Time{})); err != nil {
		n.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Trailer", backupDone+", "+backupFailed)
	result, err := n.Backup(r.Context(), w, q)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(result); err == nil {
			w.Header().Set(backupDone, string(text))
			return
		}
	}
	n.Log.Error("a backup failed", "error", err)
	// The administrator on the machine may read the log anyway.
	w.Header().Set(backupFailed, strings.Join(strings.Fields(err.Error()), " "))
}

// FetchBackup has the running server of a data directory write a backup, and
// returns ErrNotServing where there is none.
func (d Dir) FetchBackup(ctx context.Context, to io.Writer, r BackupRequest) (BackupResult, error) {
	res, err := d.Ask(ctx, RouteLocalBackup, "", r)
	if err != nil {
		return BackupResult{}, err
	}
	defer res.Body.Close()
	if _, err := io.Copy(to, res.Body); err != nil {
		return BackupResult{}, fmt.Errorf("taking the backup: %w", err)
	}
	if why := res.Trailer.Get(backupFailed); why != "" {
		return BackupResult{}, errors.New(why)
	}
	var result BackupResult
	if err := json.Unmarshal([]byte(res.Trailer.Get(backupDone)), &result); err != nil {
		return BackupResult{}, errors.New("taking the backup: the server did not say that it is whole")
	}
	return result, nil
}
