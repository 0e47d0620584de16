package api

import "time"

// StartReviewRequest asks somebody whether standing grants are still wanted: all of
// them, or those that concern some targets, a group, or a user.
type StartReviewRequest struct {
	Owner   string    `json:"owner"` // handle of who answers
	Due     time.Time `json:"due"`
	Revokes bool      `json:"revokes,omitempty"` // what is not answered by then
	Title   string    `json:"title,omitempty"`
	Targets string    `json:"targets,omitempty"` // selector
	Group   string    `json:"group,omitempty"`   // name
	User    string    `json:"user,omitempty"`    // handle
}

// Review is a review in figures. Started, Reminded and Ended are indexes of its
// entries; ID is the first.
type Review struct {
	ID       uint64    `json:"id"`
	Title    string    `json:"title,omitempty"`
	Owner    string    `json:"owner"`
	By       string    `json:"by"` // who started it
	Started  time.Time `json:"started"`
	Due      time.Time `json:"due"`
	Revokes  bool      `json:"revokes"`
	Targets  string    `json:"targets,omitempty"`
	Group    string    `json:"group,omitempty"`
	User     string    `json:"user,omitempty"`
	State    string    `json:"state"` // open, answered, due, cancelled
	Reminded uint64    `json:"reminded,omitempty"`
	Ended    uint64    `json:"ended,omitempty"`
	EndedAt  time.Time `json:"ended_at,omitzero"`
	Yours    bool      `json:"yours"` // it is the caller's to answer, and open

	Grants     uint64 `json:"grants"`
	Kept       uint64 `json:"kept"`
	Revoked    uint64 `json:"revoked"` // by an answer
	Unanswered uint64 `json:"unanswered"`
	Gone       uint64 `json:"gone"` // otherwise, before they were answered
}

// ReviewDetail is a review with its grants: as they are while it is open, and as they
// were when it ended.
type ReviewDetail struct {
	Review
	Items []ReviewedGrant `json:"items"`
}

// ReviewedGrant is a grant of a review. LastSession is the entry of the session that
// used it last, Entry that of the answer, and Gone the one that removed it.
type ReviewedGrant struct {
	Grant       Grant     `json:"grant"`
	Since       time.Time `json:"since"` // when it was given
	LastUsed    time.Time `json:"last_used,omitzero"`
	LastSession uint64    `json:"last_session,omitempty"`
	State       string    `json:"state"` // waits, kept, revoked, lapsed, gone
	By          string    `json:"by,omitempty"`
	At          time.Time `json:"at,omitzero"`
	Comment     string    `json:"comment,omitempty"`
	Entry       uint64    `json:"entry,omitempty"`
	Gone        uint64    `json:"gone,omitempty"`
	MayKeep     bool      `json:"may_keep,omitempty"` // the caller
	MayRevoke   bool      `json:"may_revoke,omitempty"`
}

// ReviewAnswerRequest keeps grants of a review or revokes them, all or none.
type ReviewAnswerRequest struct {
	Grants  []uint64 `json:"grants"`
	Answer  string   `json:"answer"` // keep, revoke
	Comment string   `json:"comment,omitempty"`
}
