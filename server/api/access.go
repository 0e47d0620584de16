package api

// MaxChanges bounds the changes of one ChangesRequest.
const MaxChanges = 200

// ChangesRequest is several changes of who may reach what, in their order. All of
// them are made, by one append to the ledger, or none is.
type ChangesRequest struct {
	Changes []AccessChange `json:"changes"`
	DryRun  bool           `json:"dry_run,omitempty"` // say what would be refused and change nothing
}

// An AccessVerb is what a change does, and which fields say to what.
type AccessVerb string

const (
	VerbAddGroup     AccessVerb = "add-group"     // Group
	VerbRemoveGroup  AccessVerb = "remove-group"  // Group
	VerbAddMember    AccessVerb = "add-member"    // Group, Handle
	VerbRemoveMember AccessVerb = "remove-member" // Group, Handle
	VerbLabel        AccessVerb = "label"         // Target, Labels
	VerbAddGrant     AccessVerb = "add-grant"     // Grant, a guardrail too
	VerbRemoveGrant  AccessVerb = "remove-grant"  // ID
)

// AccessChange is one change.
type AccessChange struct {
	Do     AccessVerb `json:"do"`
	Group  string     `json:"group,omitempty"`
	Handle string     `json:"handle,omitempty"`
	Target string     `json:"target,omitempty"`
	Labels string     `json:"labels,omitempty"` // in place of the target's own; empty for none
	Grant  *Grant     `json:"grant,omitempty"`
	ID     uint64     `json:"id,omitempty"`
}

// ChangesResponse says whether the changes were made. Where some are refused none
// is, and Refused has each of those, in their order; what stands behind one was
// decided as if that were not there.
type ChangesResponse struct {
	Done    bool            `json:"done"`
	First   uint64          `json:"first,omitempty"` // the index of the first entry
	Refused []RefusedChange `json:"refused,omitempty"`
}

// RefusedChange is why a change is not made.
type RefusedChange struct {
	Change int    `json:"change"` // its place among the changes, from 0 on
	Kind   Kind   `json:"kind"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}
