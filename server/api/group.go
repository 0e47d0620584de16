package api

// Group is a named set of people.
type Group struct {
	ID      uint64   `json:"id"` // the index of its entry; a rename does not change it
	Name    string   `json:"name"`
	Members []string `json:"members"` // handles, in their order
}

// GroupRequest names a group that is to be added, or says what a group is called
// from now on.
type GroupRequest struct {
	Name string `json:"name"`
}

// MemberRequest names who is to belong to a group.
type MemberRequest struct {
	Handle string `json:"handle"`
}
